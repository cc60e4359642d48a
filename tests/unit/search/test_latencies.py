"""Latencies of a search: predicted after one measurement of all that is missing, remembered, and refused from elsewhere."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from random import Random

import pytest

from edge.errors import DeviceError, UsageError
from edge.latency.build import INTERCEPT_NETWORKS, build, drawn
from edge.latency.table import LatencyTable
from edge.latency.tag import Setup
from edge.search import latencies as module
from edge.search.budget import limits
from edge.search.latencies import MEASURED, TABLE, Latencies, latencies, reachable, resolve
from edge.spec import ModelSpec, Precision
from tests.fakes.toy_space import ExactBench, tag, toy_space


def silent(stage):
    pass


@pytest.fixture
def space():
    return toy_space()


@pytest.fixture
def bench(space):
    return ExactBench(space)


@pytest.fixture
def opened(space, bench, tmp_path):
    """The latencies of a search in `tmp_path`; open them again for those of the same search after a kill."""

    def opened(open_bench=lambda: bench):
        table = LatencyTable.create(tmp_path / TABLE, tag(space))
        return Latencies(space, table, open_bench, tmp_path / MEASURED, silent)

    return opened


class LargerIsSlower(ExactBench):
    """A block takes as long as it has outputs."""

    def ms(self, content):
        blocks = self.space.blocks(content) if isinstance(content, ModelSpec) else content
        return 1 + sum(prod(block.output) for block in blocks) / 1000


def unreachable():
    raise DeviceError("the toy is gone", hint="plug it in")


def test_predictions_are_exact_on_an_additive_device(opened, bench, space):
    specs = [space.smallest(), space.largest(), space.smallest()]
    assert opened().predict_ms(specs) == pytest.approx([bench.ms(spec) for spec in specs])


def test_what_is_missing_of_all_networks_is_measured_in_one_build(opened, space, monkeypatch):
    builds = []
    monkeypatch.setattr(module, "build", lambda *given: (builds.append(given[2]), build(*given)))
    found = opened()
    found.predict_ms([space.smallest(), space.largest()])
    found.predict_ms([space.smallest()])
    both = {*space.blocks(space.smallest()), *space.blocks(space.largest())}
    assert [{*blocks} for blocks in builds] == [both]


def test_after_a_kill_nothing_is_asked_twice(opened, bench, space):
    specs = [space.smallest(), space.largest()]
    before = opened().predict_ms(specs), opened().measure_ms(specs)
    bench.timed.clear()
    again = opened(unreachable)
    assert (again.predict_ms(specs), again.measure_ms(specs)) == before
    assert bench.timed == []


def test_a_table_whose_intercept_is_not_complete_is_completed_before_it_predicts(opened, bench, space):
    specs = drawn(space, 1)
    first = opened()
    build(bench, first.table, space.blocks(specs[0]), silent)
    rows = len(first.table.networks())
    with sqlite3.connect(first.table.path) as database:
        database.execute("DELETE FROM network WHERE rowid > 2")
    assert len(first.table.networks()) == 2
    opened().predict_ms(specs)
    assert len(first.table.networks()) == rows == len({*drawn(space, INTERCEPT_NETWORKS)})


def test_whole_networks_are_timed_once_and_in_turns(opened, bench, space):
    found = opened()
    small, large = space.smallest(), space.largest()
    assert found.measure_ms([small, large, small]) == (bench.ms(small), bench.ms(large), bench.ms(small))
    assert bench.timed == [small, large]
    found.measure_ms([large])
    assert bench.timed == [small, large]
    assert {*found.measured} == {small, large}


def test_every_sample_of_a_whole_network_is_kept_with_its_source(opened, space, tmp_path):
    opened().measure_ms([space.smallest()])
    (row,) = json.loads((tmp_path / MEASURED).read_text())
    assert row["source"] == "measured"
    assert row["at"].endswith("+00:00")
    assert [len(runs) for runs in row["samples_ms"]["network"]] == [3, 3]


def test_a_memory_that_was_changed_by_hand_is_refused(opened, space, tmp_path):
    (tmp_path / MEASURED).write_text('[{"space": "toy_space"}]')
    with pytest.raises(UsageError, match=r"measured\.json cannot be read"):
        opened().measure_ms([space.smallest()])


def test_what_is_no_point_is_refused_before_the_device_is_asked(opened, space):
    other = ModelSpec(space.name, {**space.smallest().choices, "width1": 5})
    for ask in (opened(unreachable).predict_ms, opened(unreachable).measure_ms):
        with pytest.raises(UsageError, match="width1 is 5"):
            ask([other])


def test_a_device_that_is_gone_says_that_nothing_is_lost(opened, space):
    found = opened(unreachable)
    for ask in (lambda: found.predict_ms([space.largest()]), lambda: found.measure_ms([space.largest()])):
        with pytest.raises(DeviceError, match="the toy is gone") as caught:
            ask()
        assert "plug it in" in caught.value.hint
        assert "the same command goes on" in caught.value.hint


def test_a_device_that_comes_back_is_asked_again(opened, bench, space):
    away = [True]
    found = opened(lambda: unreachable() if away else bench)
    with pytest.raises(DeviceError):
        found.measure_ms([space.largest()])
    away.clear()
    assert found.measure_ms([space.largest()]) == (bench.ms(space.largest()),)


def test_budgets_are_resolved_on_the_device_largest_first(opened, space):
    bench = LargerIsSlower(space)
    found = opened(lambda: bench)
    smallest_ms, largest_ms = reachable(found)
    assert (smallest_ms, largest_ms) == pytest.approx((bench.ms(space.smallest()), bench.ms(space.largest())))
    middle = (smallest_ms + largest_ms) / 2
    budgets = resolve(limits(f"{middle:.4f}ms,99%"), 7, None, found)
    assert [(each.name, each.params, each.macs) for each in budgets] == [("99%", 7, None), (f"{middle:.4f}ms", 7, None)]
    assert [each.ms for each in budgets] == pytest.approx([0.99 * bench.ms(space.uniform(1.0)), middle], abs=1e-4)


@pytest.mark.parametrize(("text", "said"), [("0.01ms", "below the smallest"), ("900ms", "not below the largest")])
def test_a_budget_out_of_reach_says_what_is_reachable(opened, space, text, said):
    found = opened(lambda: LargerIsSlower(space))
    smallest_ms, largest_ms = reachable(found)
    with pytest.raises(UsageError, match=f"{text} is .* ms, {said} network of") as caught:
        resolve(limits(f"99%,{text}"), None, None, found)
    assert f"between {smallest_ms:.3f} and {largest_ms:.3f} ms" in caught.value.hint


@pytest.fixture
def searched(space, bench, tmp_path, monkeypatch):
    """A search's latencies in a folder of their own, on the toy device or from a table."""
    setup = Setup.of(space, "toy", "tflite", Precision.FP32, 1)

    @contextmanager
    def bench_of(*_):
        bench.tag = lambda: tag(space)
        yield bench

    monkeypatch.setattr(module, "bench_of", bench_of)
    monkeypatch.setattr(module, "bench_for", bench_of)

    def searched(table=None, setup=setup):
        return latencies(space, setup, tmp_path / "run", None, tmp_path / "log", silent, table=table)

    return searched


@pytest.fixture
def table(space, bench, tmp_path):
    found = LatencyTable.create(tmp_path / "given.sqlite", tag(space))
    build(bench, found, space.blocks(space.smallest()), silent)
    return found


def test_a_new_search_makes_a_table_of_the_device_and_goes_on_with_it(searched, bench, space, tmp_path):
    with searched() as found:
        before = found.predict_ms([space.smallest()])
    assert LatencyTable.open(tmp_path / "run" / TABLE).tag == tag(space)
    bench.timed.clear()
    with searched() as found:
        assert found.predict_ms([space.smallest()]) == before
    assert bench.timed == []


def test_a_given_table_is_copied_and_only_the_copy_grows(searched, table, bench, space, tmp_path):
    before = table.blocks()
    bench.timed.clear()
    with searched(table.path) as found:
        assert found.predict_ms([space.smallest()]) == (table.predict_ms(space.blocks(space.smallest())),)
        assert bench.timed == []
        found.predict_ms([space.draw(Random(3)), space.largest()])
    assert LatencyTable.open(table.path).blocks() == before
    assert before.items() <= LatencyTable.open(tmp_path / "run" / TABLE).blocks().items()


@pytest.mark.parametrize(
    "change", [{"target": "executorch"}, {"threads": 4}, {"image_size": (32, 32)}, {"num_classes": 7}]
)
def test_a_table_of_another_setup_is_refused(searched, table, space, change):
    setup = replace(Setup.of(space, "toy", "tflite", Precision.FP32, 1), **change)
    with pytest.raises(UsageError, match=next(iter(change))), searched(table.path, setup):
        raise AssertionError


@pytest.mark.parametrize("change", [{"runtime": "toy 2.0"}, {"device": "another toy"}])
def test_a_table_of_another_device_than_the_searchs_own_is_refused(searched, table, space, change, tmp_path):
    with searched():
        pass
    other = LatencyTable.create(tmp_path / "other.sqlite", replace(tag(space), **change))
    with pytest.raises(UsageError, match=next(iter(change.values()))), searched(other.path):
        raise AssertionError


def test_a_table_that_is_not_there_is_refused(searched, tmp_path):
    with pytest.raises(UsageError, match="there is no table"), searched(tmp_path / "none.sqlite"):
        raise AssertionError


def test_a_device_that_is_slower_today_is_told_by_a_network_of_the_table(opened, bench, space):
    found, spec = opened(), space.largest()
    (predicted_ms,) = found.predict_ms([spec])
    quiet = bench.ms
    bench.ms = lambda content: quiet(content) * 1.5
    assert found.measure_ms([spec]) == (pytest.approx(predicted_ms),)


def test_a_network_that_takes_longer_than_the_table_says_is_not_excused(opened, bench, space):
    found, spec = opened(), space.mutate(space.largest(), Random(0))
    assert spec not in drawn(space, INTERCEPT_NETWORKS)
    (predicted_ms,) = found.predict_ms([spec])
    quiet = bench.ms
    bench.ms = lambda content: quiet(content) * (1.5 if content == spec else 1.0)
    assert found.measure_ms([spec]) == (pytest.approx(1.5 * predicted_ms),)


def test_a_network_far_from_its_prediction_is_timed_once_more_and_its_quiet_passes_count(opened, bench, space):
    found, spec = opened(), space.mutate(space.largest(), Random(0))
    (predicted_ms,) = found.predict_ms([spec])
    bench.timed.clear()
    quiet = bench.ms
    bench.ms = lambda content: quiet(content) * (1.5 if content == spec and bench.timed.count(spec) == 1 else 1.0)
    assert found.measure_ms([spec]) == (pytest.approx(predicted_ms),)
    assert bench.timed.count(spec) == 2
