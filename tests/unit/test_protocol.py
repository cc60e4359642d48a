"""The protocol of a sound measurement, with a clock that stands still unless someone waits."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edge.device_state import DeviceInfo, DeviceState, throttled
from edge.errors import DeviceError
from edge.protocol import COOL_EVERY_S, Bench, Clock, Round, TimingPlan, timed


@dataclass
class FakeClock:
    """Seconds that pass only in `sleep_s`."""

    seconds: float = 0.0

    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class FakeBench(Bench):
    """Rounds as given, each of which takes ten seconds; states as given, the last one for ever."""

    rounds: list[tuple[float, ...]]
    time: FakeClock
    states: list[DeviceState] = field(default_factory=list)
    taken: int = 0

    def round(self, _: TimingPlan) -> Round:
        self.time.sleep(10)
        self.taken += 1
        return Round(self.rounds[min(self.taken, len(self.rounds)) - 1], 3.0, 1000 * self.taken)

    def state(self) -> DeviceState | None:
        if not self.states:
            return None
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


QUIET, NOISY = (1.0,) * 20, (1.0, 2.0) * 10


def test_a_quiet_device_is_timed_once():
    time = FakeClock()
    result = timed(FakeBench([QUIET], time), TimingPlan(budget_s=1000), time.clock())
    assert result.samples_ms == QUIET
    assert time.seconds == 10


def test_a_noisy_device_is_timed_until_the_budget_is_spent():
    time = FakeClock()
    bench = FakeBench([NOISY], time)
    result = timed(bench, TimingPlan(budget_s=35), time.clock())
    assert bench.taken == 3
    assert result.samples_ms == NOISY * 3
    assert result.peak_rss_kb == 3000


def test_rounds_stop_as_soon_as_the_interval_is_tight():
    time = FakeClock()
    bench = FakeBench([NOISY, (1.0,) * 200], time)
    timed(bench, TimingPlan(budget_s=1000), time.clock())
    assert bench.taken == 2


def test_a_warm_device_cools_before_it_is_timed():
    time = FakeClock()
    hot, warm, cool = (DeviceState(0, temperatures_c={"SKIN": celsius}) for celsius in (46.0, 42.0, 35.0))
    result = timed(FakeBench([QUIET], time, [hot, warm, cool]), TimingPlan(), time.clock())
    assert result.before == cool
    assert time.seconds == 2 * COOL_EVERY_S + 10


def test_a_device_that_stays_hot_is_timed_when_the_wait_is_over():
    time = FakeClock()
    hot = DeviceState(0, thermal_status=2)
    result = timed(FakeBench([QUIET], time, [hot]), TimingPlan(cool_down_s=20), time.clock())
    assert result.before == hot
    assert time.seconds == 30


@pytest.mark.parametrize("samples", [(), (1.0, 0.0), (1.0, -2.0), (float("nan"),), (float("inf"),)])
def test_impossible_samples_are_an_error_and_never_a_number(samples):
    with pytest.raises(DeviceError, match="runner reported"):
        Round(samples, 1.0, 1)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], False),
        ([DeviceState(0, thermal_status=0)], False),
        ([DeviceState(0, thermal_status=0), DeviceState(1, thermal_status=1)], True),
        ([DeviceState(0, clocks_khz=(600, 2000)), DeviceState(1, clocks_khz=(600, 1850))], False),
        ([DeviceState(0, clocks_khz=(600, 2000)), DeviceState(1, clocks_khz=(600, 1790))], True),
        ([DeviceState(0, clocks_khz=(600, 1000)), DeviceState(1, clocks_khz=(600, 2000))], False),
    ],
)
def test_a_thermal_status_or_a_slower_clock_is_throttling(states, expected):
    assert throttled(states) is expected


def test_two_phones_of_one_model_and_system_have_one_fingerprint():
    one, two = (DeviceInfo(f"android:{serial}", "android", "device", "Pixel", "G3", "arm64", "14") for serial in "AB")
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != DeviceInfo("x", "android", "device", "Pixel", "G3", "arm64", "15").fingerprint
