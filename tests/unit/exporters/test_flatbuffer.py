"""The flatbuffer reader finds every kind of field, reads what is absent as its default, and never leaves the bytes."""

from __future__ import annotations

import pytest

from edge.errors import BadArtifactError
from exporters._flatbuffer import Table

flatbuffers = pytest.importorskip("flatbuffers")


@pytest.fixture(scope="module")
def data() -> bytes:
    """{0: 7, 1: "name", 2: [{0: 9}, {}], 3: bytes, 4: absent}"""
    builder = flatbuffers.Builder(64)
    builder.StartObject(1)
    builder.PrependInt32Slot(0, 9, 0)
    full = builder.EndObject()
    builder.StartObject(0)
    bare = builder.EndObject()
    name, blob = builder.CreateString("name"), builder.CreateByteVector(b"\x01\x02\x03")
    builder.StartVector(4, 2, 4)
    builder.PrependUOffsetTRelative(bare)
    builder.PrependUOffsetTRelative(full)
    children = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUint32Slot(0, 7, 0)
    for field, offset in ((1, name), (2, children), (3, blob)):
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TEST")
    return bytes(builder.Output())


def test_fields_of_every_kind_are_read(data):
    root = Table.root(data, b"TEST")
    assert (root.integer(0, "<I"), root.text(1), bytes(root.blob(3))) == (7, "name", b"\x01\x02\x03")
    assert [child.integer(0, "<i") for child in root.tables(2)] == [9, 0]
    assert root.integers(3, "<B") == (1, 2, 3)


def test_absent_fields_read_as_their_defaults(data):
    root = Table.root(data, b"TEST")
    assert (root.integer(4, "<I", 5), root.text(4), root.table(4), root.tables(4)) == (5, "", None, ())
    assert root.integer(99, "<I") == 0


def test_another_identifier_is_refused(data):
    with pytest.raises(BadArtifactError, match="does not begin"):
        Table.root(data, b"TFL3")


def test_a_read_ends_well_or_in_our_error_whatever_is_cut_or_changed(data):
    refused = 0
    for place in range(8, len(data)):
        for spoilt in (data[:place], data[:place] + b"\xff" + data[place + 1 :]):
            try:
                root = Table.root(spoilt, b"TEST")
                root.text(1), root.blob(3), [child.integer(0, "<i") for child in root.tables(2)]
            except BadArtifactError:
                refused += 1
    assert refused > len(data) // 2
