"""How a share is told to a reader."""


def percent(share: float) -> str:
    """Returns a share in per cent: two digits of a small one, and no power of ten of a large one.

    Example:
        >>> [percent(share) for share in (0.0012, 0.194, 0.996, 4.8)]
        ['0.12 %', '19 %', '100 %', '480 %']
    """
    digits = ".2g" if abs(share) < 0.995 else ".0f"
    return f"{100 * share:{digits}} %"
