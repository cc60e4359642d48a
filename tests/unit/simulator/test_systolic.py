"""The systolic form gives SCALE-Sim's cycles (moe_fpga sheet 4.6.5)."""

from __future__ import annotations

import pytest

from edge.simulator.systolic import systolic_cycles


@pytest.mark.parametrize(
    ("m", "n", "k", "cycles"),
    [
        (129, 576, 192, 75_599),
        (129, 129, 64, 6_299),
        (129, 192, 192, 25_199),
        (129, 768, 192, 100_799),
        (16, 384, 192, 17_855),
    ],
)
def test_on_an_array_of_16_by_16(m, n, k, cycles):
    assert systolic_cycles(16, 16, m=m, n=n, k=k) == cycles
