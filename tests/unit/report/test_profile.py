"""The page of a profile."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from edge.device_state import DeviceState
from edge.measurement import Measurement, Source
from edge.operator_times import OperatorTime, by_type, outside_delegates
from edge.report.profile import render

OPERATORS = (
    OperatorTime("a", "conv", 3.0, "XNNPACK"),
    OperatorTime("b", "conv", 1.0),
    OperatorTime("c", "softmax", 1.0),
)


def measured(**more: object) -> Measurement:
    return Measurement("host", Source.EMULATED, "runtime 1", 1, (1.0, 1.1, 1.2, 1.0, 5.0), 3.0, 1000, **more)


def test_time_outside_delegates_is_a_share_of_the_operators():
    assert outside_delegates(OPERATORS) == pytest.approx(0.4)
    assert outside_delegates(()) == 0


def test_types_are_summed_the_dearest_first():
    assert by_type(OPERATORS) == {"conv": (3.0, 1.0), "softmax": (0.0, 1.0)}


def test_the_page_says_where_the_numbers_came_from_and_asks_nothing_of_the_network():
    page = render("model.tflite", measured(), OPERATORS, ())
    assert "every latency here is emulated" in page
    assert "40.00 % of it outside delegates" in page
    assert "not available" in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_the_clock_is_drawn_where_the_device_shows_it():
    watched = measured(during=(DeviceState(1.0, clocks_khz=(2_000_000,)), DeviceState(2.0, clocks_khz=(1_900_000,))))
    assert "Fastest clock" in render("m", watched, (), ())
    assert "Fastest clock" not in render("m", measured(), (), ())


def test_names_from_a_file_stay_text():
    hostile = "</svg><script>alert(1)</script>"

    seen = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, _: object) -> None:
            seen.append(tag)

    Tags().feed(render(hostile, measured(), (OperatorTime(hostile, hostile, 1.0, hostile),), ()))
    assert "script" not in seen
    assert "svg" in seen
