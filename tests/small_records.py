"""What tests of records share."""

import json

import pytest


def assert_refused_with(record, path, field, value, why):
    """Saves a record, changes one of its fields by hand, and has it refused for that."""
    kind = type(record)
    path = record.save(path)
    fields = json.loads(path.read_text(encoding="utf-8")) | {field: value}
    path.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(ValueError, match=kind.__name__) as raised:
        kind.load(path)
    assert str(raised.value) == (
        f"`{kind.__name__}.load`: `path` must be a readable file of {kind.__name__}.save. "
        f"Received: path='{path}' (fields that don't fit: {why})."
    )
