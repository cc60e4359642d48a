"""Frames over time: arrivals, waits, percentiles and deadlines."""

from __future__ import annotations

import pytest

from edge.errors import UnknownNameError, UsageError
from edge.simulator.schedule import Arrival, percentile, schedule, serve

TASKS = ("seg", "depth")


def ten_ms_and_five_for_a_switch(before, task):
    return 10.0 if before == task else 15.0


def test_a_frame_waits_for_the_one_before_it_and_pays_for_the_switch():
    served = serve([Arrival(0, "seg"), Arrival(4, "depth"), Arrival(90, "depth")], ten_ms_and_five_for_a_switch)
    assert [frame.latency_ms for frame in served] == [10, 21, 10]


def test_a_deadline_counts_from_the_arrival_and_includes_the_wait():
    served = serve([Arrival(0, "seg", 10), Arrival(4, "depth", 20.5)], ten_ms_and_five_for_a_switch)
    assert [frame.missed for frame in served] == [False, True]


def test_round_robin_takes_the_tasks_in_turn_without_a_wait():
    arrivals = schedule("round-robin", TASKS, frames=3, deadline_ms=None, seed=0)
    assert [arrival.task for arrival in arrivals] == ["seg", "depth", "seg"]
    assert [frame.latency_ms for frame in serve(arrivals, ten_ms_and_five_for_a_switch)] == [10, 15, 15]


def test_poisson_arrivals_have_their_rate_and_repeat_with_their_seed():
    arrivals = schedule("poisson:100", TASKS, frames=4000, deadline_ms=5, seed=1)
    assert arrivals == schedule("poisson:100", TASKS, frames=4000, deadline_ms=5, seed=1)
    assert arrivals[-1].at_ms == pytest.approx(40_000, rel=0.05)
    assert {arrival.task for arrival in arrivals} == {*TASKS}


def test_percentiles_are_latencies_that_occurred():
    served = serve([Arrival(1000 * at, "seg") for at in range(100)], lambda before, task: 1.0)
    slow = serve([Arrival(0, "seg")], lambda before, task: 7.0)
    assert (percentile(served + slow, 0.5), percentile(served + slow, 0.99), percentile(served + slow, 1)) == (1, 1, 7)


def test_a_file_of_arrivals_is_sorted_by_time(tmp_path):
    file = tmp_path / "seen.csv"
    file.write_text("time_ms,task,deadline_ms\n9,depth,\n2.5,seg,30\n")
    arrivals = schedule(str(file), TASKS, frames=1, deadline_ms=40, seed=0)
    assert arrivals == (Arrival(2.5, "seg", 30), Arrival(9, "depth", 40))


@pytest.mark.parametrize(
    "text", ["round-robin:2", "poisson:", "poisson:0", "poisson:-1", "poisson:nan", "poisson:inf", "often", "none.csv"]
)
def test_a_schedule_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError):
        schedule(text, TASKS, frames=3, deadline_ms=None, seed=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no frames"),
        ("time_ms,task\n", "no frames"),
        ("when,task\n1,seg\n", "no frames"),
        ("time_ms,task\nsoon,seg\n", "row 1: time_ms is 'soon'"),
        ("time_ms,task\n-1,seg\n", "row 1: time_ms"),
        ("time_ms,task\n1,parts\n", "no task named 'parts'"),
        ("time_ms,task\n1\n", "no task named ''"),
        ("time_ms,task,deadline_ms\n1,seg,late\n", "deadline_ms is 'late'"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path, content, said):
    (tmp_path / "seen.csv").write_text(content)
    with pytest.raises(UsageError, match=said):
        schedule(str(tmp_path / "seen.csv"), TASKS, frames=3, deadline_ms=None, seed=0)


def test_an_unknown_task_in_a_file_names_the_nearest(tmp_path):
    (tmp_path / "seen.csv").write_text("time_ms,task\n1,dept\n")
    with pytest.raises(UnknownNameError) as refused:
        schedule(str(tmp_path / "seen.csv"), TASKS, frames=3, deadline_ms=None, seed=0)
    assert "depth" in refused.value.hint
