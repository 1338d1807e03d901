"""What tests of findings share."""


def assert_found(look, *said):
    """Holds what a look has found, if anything, against grade, code, argument and sentence."""
    finding = look()
    assert (finding.grade, finding.code, finding.argument, finding.sentence) == said
