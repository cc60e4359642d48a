"""Files take turns on the device, each gets its quietest pass, and two devices are never mixed."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from edge import plugins, worker
from edge.device import Device
from edge.errors import DeviceError
from edge.latency.bench import Bench, Effort, FileTime
from edge.latency.tag import Setup
from edge.protocol import TimingPlan
from edge.spec import Precision
from tests.fakes.eventually import becomes_true
from tests.fakes.toy_space import measurement, toy_space

QUIET, BUSY = 2.0, 3.0


class Restless(Device):
    """Quiet in its third and fourth round, busy otherwise."""

    def __init__(self):
        super().__init__()
        self.rounds = []

    def attached(self):
        return ()

    def can_run(self, path):  # noqa: ARG002
        return True

    def time(self, path, plan, *, log):  # noqa: ARG002
        raise AssertionError

    def time_in_turns(self, paths, plan, *, passes, log):  # noqa: ARG002
        self.rounds.append(len(paths))
        ms = QUIET if len(self.rounds) in {3, 4} else BUSY + len(self.rounds)
        return tuple((measurement((ms,)),) * passes for _ in paths)


class RestlessForOne(Restless):
    """Quiet in its third and fourth round for one file, busy all the time for the others."""

    def time_in_turns(self, paths, plan, *, passes, log):
        several = super().time_in_turns(paths, plan, passes=passes, log=log)
        return tuple(
            found if path.name == "0.tflite" else (measurement((BUSY,)),) * passes
            for path, found in zip(paths, several, strict=True)
        )


class Clockwork(Device):
    """Remembers the order of timings; its runtime may change on the way."""

    def __init__(self, runtimes=("toy 1.0",)):
        super().__init__()
        self.runtimes, self.order = runtimes, []

    def attached(self):
        return ()

    def can_run(self, path):  # noqa: ARG002
        return True

    def time(self, path, plan, *, log):  # noqa: ARG002
        self.order.append(path.name)
        return measurement((1.0, 2.0, 3.0), runtime=self.runtimes[min(len(self.order), len(self.runtimes)) - 1])


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """Time the three networks of `toy_space`'s first draws on a clockwork, without exporting anything."""

    def timed(clockwork, **effort):
        space = toy_space()
        specs = [space.smallest(), space.largest(), space.uniform(0)]
        setup = Setup.of(space, "toy", "tflite", Precision.FP32, 1)
        bench = Bench(space, setup, tmp_path, tmp_path / "log", Effort(plan=TimingPlan(runs=3), **effort))
        bench._files.update({spec: tmp_path / f"{place}.tflite" for place, spec in enumerate(specs[:2])})
        monkeypatch.setattr(plugins, "device", lambda address: clockwork)
        return bench.time(specs)

    return timed


def test_each_pass_goes_over_all_files_before_the_next(timed):
    clockwork = Clockwork()
    times = timed(clockwork, rounds=2, passes=3, turns=1)
    assert len(times) == 2
    assert [len(time.passes) for time in times.values()] == [6, 6]
    turns = [set(clockwork.order[first : first + 2]) for first in range(0, 12, 2)]
    assert turns == [{"0.tflite", "1.tflite"}] * 6


def test_few_files_get_more_passes(timed):
    times = timed(Clockwork(), rounds=1, passes=3, turns=15)
    assert [len(time.passes) for time in times.values()] == [8, 8]


def test_a_file_takes_the_least_median_of_its_passes():
    passes = (measurement((5.0, 6.0, 7.0)), measurement((1.0, 3.0, 9.0)), measurement((4.0, 4.0, 4.0)))
    assert FileTime(passes).ms == 3.0


def test_a_device_that_changes_on_the_way_is_refused(timed):
    with pytest.raises(DeviceError, match="changed meanwhile"):
        timed(Clockwork(("toy 1.0", "toy 1.0", "toy 2.0")), rounds=1, passes=2, turns=1)


def test_a_least_time_that_no_other_round_confirms_is_timed_again(timed):
    device = Restless()
    times = timed(device, rounds=3, passes=1, turns=1)
    assert device.rounds == [2, 2, 2, 2]
    assert [time.ms for time in times.values()] == [QUIET, QUIET]


def test_what_one_file_needs_to_be_confirmed_is_timed_of_all_in_turns(timed):
    device = RestlessForOne()
    times = timed(device, rounds=3, passes=1, turns=1)
    assert device.rounds == [2, 2, 2, 2]
    assert [len(time.passes) for time in times.values()] == [4, 4]
    assert [time.ms for time in times.values()] == [QUIET, BUSY]


def test_an_interruption_ends_the_converters(monkeypatch, tmp_path):
    """The first share is being converted when the second, which is still captured, is interrupted."""
    really_run, convert_s = worker.run, 60
    monkeypatch.setattr(
        worker,
        "run",
        lambda job: really_run(replace(job, function="os:system", arguments={"command": f"sleep {convert_s}"})),
    )
    really_capture = Bench._capture

    def capture(bench, content):
        if content == second:
            assert becomes_true(lambda: bool(worker._RUNNING))
            raise KeyboardInterrupt
        return really_capture(bench, content)

    monkeypatch.setattr(Bench, "_capture", capture)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    space = toy_space()
    first, second = space.largest(), space.smallest()
    bench = Bench(space, Setup.of(space, "host", "onnx", Precision.FP32, 1), tmp_path, tmp_path / "log")
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bench.time([first, second])
    assert time.monotonic() - started < convert_s
    assert not worker._RUNNING
