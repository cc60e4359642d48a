"""Summaries of latency samples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.device_state import DeviceState
from edge.measurement import Measurement, Source


def measured(*samples_ms: float) -> Measurement:
    return Measurement("host", Source.MEASURED, "runtime 1", 1, samples_ms, 3.0, 1000)


def test_median_and_p90_are_those_of_the_samples():
    measurement = measured(*range(1, 12))
    assert measurement.median_ms == 6
    assert measurement.p90_ms == 10


def test_the_interval_holds_the_median_and_repeats_exactly():
    samples = [1 + 0.01 * (i % 7) for i in range(50)]
    low, high = measured(*samples).ci95_ms
    assert low <= measured(*samples).median_ms <= high
    assert measured(*samples).ci95_ms == (low, high)


@pytest.mark.parametrize(("samples", "verdict"), [([1.0] * 20, "ok"), ([1.0, 2.0] * 10, "noisy")])
def test_a_wide_interval_is_called_noisy(samples, verdict):
    assert measured(*samples).verdict == verdict


def test_the_fields_are_those_of_the_contract():
    fields = {
        "device",
        "runtime",
        "threads",
        "source",
        "samples_ms",
        "median_ms",
        "p90_ms",
        "ci95_ms",
        "verdict",
        "init_ms",
        "peak_rss_kb",
    }
    assert set(measured(1.0, 2.0).fields()) >= fields


def test_energy_is_power_times_time_and_only_where_the_battery_feeds_the_device():
    def state(*, charging: bool) -> DeviceState:
        return DeviceState(0, current_ma=-500.0, voltage_mv=4000.0, charging=charging)

    fed_by_battery = replace(measured(3.0, 3.0), during=(state(charging=False),))
    assert fed_by_battery.energy_mj == pytest.approx(2.0 * 3.0)  # 2 W for 3 ms
    assert replace(measured(3.0), during=(state(charging=True),)).energy_mj is None
    assert measured(3.0).energy_mj is None


def test_a_device_that_slowed_down_is_called_throttled():
    hot = DeviceState(0, thermal_status=3)
    assert replace(measured(*[1.0] * 20), during=(hot,)).verdict == "throttled"


def test_the_median_distance_from_the_median():
    assert measured(1.0, 2.0, 3.0, 4.0, 100.0).mad_ms == 1.0
