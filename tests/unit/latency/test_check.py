"""Held-out networks are held out, and the figures of a check follow from its rows."""

from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.latency.build import build
from edge.latency.check import Check, Row, check, held_out, spearman
from edge.latency.page import render
from edge.latency.table import LatencyTable
from edge.spec import ModelSpec
from tests.fakes.toy_space import ExactBench, tag, toy_space


def row(predicted_ms: float, measured_ms: float, noise_ms: float = 0.01) -> Row:
    return Row(ModelSpec("toy_space", {"name": "<b>"}), predicted_ms, measured_ms, noise_ms)


ROWS = (row(1.05, 1.0), row(1.9, 2.0), row(3.0, 3.0), row(5.0, 4.0))


@pytest.fixture
def bench():
    return ExactBench(toy_space())


@pytest.fixture
def table(bench, tmp_path):
    found = LatencyTable.create(tmp_path / "table.sqlite", tag(bench.space))
    build(bench, found, bench.space.every_block(), print)
    return found


def test_the_figures_are_shares_of_the_measured_times():
    fields = Check(tag(toy_space()), "measured", ROWS, ()).fields()
    assert fields["models"] == 4
    assert fields["mape"] == pytest.approx((0.05 + 0.05 + 0 + 0.25) / 4)
    assert fields["median_error"] == pytest.approx(0.05)
    assert fields["worst_error"] == pytest.approx(0.25)
    assert fields["within_10_percent"] == 0.75
    assert fields["spearman"] == pytest.approx(1.0)


def test_a_sign_counts_only_where_two_networks_differ_by_more_than_the_noise():
    rows = (row(1.0, 1.0), row(1.1, 1.2), row(2.0, 2.0), row(1.9, 2.1), row(3.0, 3.0), row(2.9, 3.015))
    fields = Check(tag(toy_space()), "measured", rows, ((0, 1), (2, 3), (4, 5))).fields()
    assert (fields["pairs"], fields["pairs_clear"], fields["pairs_sign_right"]) == (3, 2, 1)


def test_ranks_that_are_reversed_or_all_alike():
    assert spearman([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 1], [9, 5, 1]) == 0


def test_no_network_of_the_table_is_held_out_and_none_comes_twice(bench, table):
    specs, places = held_out(bench.space, table, models=20, pairs=3, seed=0)
    assert len(set(specs)) == 20
    assert not {*specs} & {*table.networks()}
    assert len(places) == 3
    for one, other in places:
        changed = [name for name, value in specs[one].choices.items() if specs[other].choices[name] != value]
        assert len(changed) == 1


def test_networks_of_blocks_that_the_table_does_not_know_are_passed_over(bench, tmp_path):
    found = LatencyTable.create(tmp_path / "table.sqlite", tag(bench.space))
    build(bench, found, (), print)
    specs, _ = held_out(bench.space, found, models=4, pairs=0, seed=1)
    assert not found.missing(block for spec in specs for block in bench.space.blocks(spec))


@pytest.mark.parametrize(("models", "pairs"), [(3, 0), (8, 5), (1000, 0)])
def test_too_few_networks_are_refused(bench, table, models, pairs):
    with pytest.raises(UsageError):
        held_out(bench.space, table, models, pairs, seed=0)


def test_a_check_on_an_additive_device_finds_no_error(bench, table):
    checked = check(bench, table, models=10, pairs=2, seed=0, progress=print)
    assert [row.error for row in checked.rows] == pytest.approx([0] * 10, abs=1e-9)
    assert [row.measured_ms for row in checked.rows] == [bench.ms(row.spec) for row in checked.rows]


def test_the_page_stands_alone_and_says_what_is_predicted_and_what_measured():
    page = render(Check(tag(toy_space()), "measured", ROWS, ((0, 1),)))
    assert "<b>" not in page.replace("&lt;b&gt;", "")
    assert "Predicted against measured" in page
    assert "<svg" in page
    assert page.count("✗") == 1
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
