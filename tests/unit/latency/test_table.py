"""A table: its tag is refused or not, its sums have no gaps, and what others measured stays beside it."""

from __future__ import annotations

import sqlite3

import pytest

from edge.errors import UsageError
from edge.imports.record import ImportedLatency
from edge.latency.table import LatencyTable, Timed
from edge.latency.tag import Tag
from edge.measurement import Source
from edge.space import Block
from tests.fakes.toy_space import tag, toy_space

CONV, DOWN, HEAD = (
    Block(kind, (), (4, 8, 8), output) for kind, output in (("a", (4, 8, 8)), ("b", (8, 4, 4)), ("c", (5,)))
)


def timed(ms: float) -> Timed:
    return Timed(ms, Source.MEASURED, "2026-01-01T00:00:00+00:00", {"file": [[ms, ms], [ms]]})


@pytest.fixture
def table(tmp_path):
    found = LatencyTable.create(tmp_path / "sub" / "table.sqlite", tag(toy_space()))
    for block, ms in ((CONV, 1.0), (DOWN, 2.0)):
        found.put_block(block, timed(ms))
    for spec, rest in zip((toy_space().smallest(), toy_space().largest()), (0.25, 0.75), strict=True):
        found.put_network(spec, (CONV, DOWN), timed(3.0 + rest))
    return found


def test_a_prediction_is_the_intercept_and_the_sum_of_the_blocks(table):
    assert table.predict_ms((CONV, CONV, DOWN)) == pytest.approx(1 + 1 + 2 + 0.5)


def test_a_block_that_is_not_there_is_named_and_how_to_add_it(table):
    assert table.missing((CONV, HEAD, HEAD)) == (HEAD,)
    with pytest.raises(UsageError, match=r"c 4x8x8>5") as error:
        table.predict_ms((CONV, HEAD))
    assert "edge latency build --spec" in error.value.hint


def test_without_a_whole_network_there_is_no_prediction(tmp_path):
    found = LatencyTable.create(tmp_path / "table.sqlite", tag(toy_space()))
    found.put_block(CONV, timed(1.0))
    with pytest.raises(UsageError, match="not finished"):
        found.predict_ms((CONV,))


def test_rows_are_there_when_the_table_is_opened_again(table):
    again = LatencyTable.open(table.path, table.tag)
    assert again.blocks() == table.blocks() == {CONV.key: timed(1.0), DOWN.key: timed(2.0)}
    assert {*again.networks()} == {toy_space().smallest(), toy_space().largest()}


def test_a_row_is_never_changed(table):
    table.put_block(CONV, timed(9.0))
    assert table.blocks()[CONV.key].ms == 1.0


@pytest.mark.parametrize(
    ("field", "other", "said"),
    [
        ("runtime", "toy 2.0", "runtime toy 1.0, not toy 2.0"),
        ("threads", 4, "threads 1, not 4"),
        ("precision", "fp16", "precision fp32, not fp16"),
        ("device", "phone", "device .*, not phone"),
        ("image_size", (32, 32), "image_size 16x16, not 32x32"),
        ("method", 2, "method 1, not 2"),
    ],
)
def test_a_table_of_another_tag_is_refused_and_both_sides_are_said(table, field, other, said):
    from dataclasses import replace

    setup = table.tag.setup
    if hasattr(setup, field):
        wanted = replace(table.tag, setup=replace(setup, **{field: other}))
    else:
        wanted = replace(table.tag, **{field: other})
    with pytest.raises(UsageError, match=said):
        LatencyTable.create(table.path, wanted)
    with pytest.raises(UsageError, match=said):
        LatencyTable.open(table.path, wanted)


def test_the_address_of_a_device_does_not_make_it_another(table):
    from dataclasses import replace

    LatencyTable.open(table.path, replace(table.tag, setup=replace(table.tag.setup, address="toy:serial")))


def test_a_tag_survives_json(table):
    assert Tag.from_json(table.tag.to_json()) == table.tag


@pytest.mark.parametrize("contents", [b"", b"not a database at all, but long enough to be read as one", None])
def test_a_file_that_is_no_table_is_one_of_our_errors(tmp_path, contents):
    path = tmp_path / "table.sqlite"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(UsageError, match="table"):
        LatencyTable.open(path)


def test_a_database_of_something_else_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite") as database:
        database.execute("CREATE TABLE tag (only INTEGER, json TEXT)")
        database.execute("INSERT INTO tag VALUES (1, '{}')")
    with pytest.raises(UsageError, match="tag"):
        LatencyTable.open(tmp_path / "other.sqlite")


def test_what_others_measured_changes_no_prediction(table):
    before = table.predict_ms((CONV, DOWN))
    record = ImportedLatency("Phone 9", "tflite 2", "net", "fp32", 7.5, "median", "someone")
    table.put_imported([record, record])
    again = LatencyTable.open(table.path)
    assert again.imported() == [record.fields()]
    assert again.predict_ms((CONV, DOWN)) == before
    assert again.missing((HEAD,)) == (HEAD,)
