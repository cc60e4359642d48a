"""The arithmetic behind the papers' three figures gives the numbers that the moe_fpga sheet computed."""

from __future__ import annotations

import pytest

from edge.models.m3vit_config import VARIANTS, backbone_macs
from edge.simulator.chip import chip
from edge.simulator.claims import (
    all_experts,
    baseline_experts,
    cache_fit,
    feasibility,
    feasibility_table,
    miss_rates,
    published_macs,
    reductions,
)
from edge.simulator.policies import Kind, policy
from edge.simulator.workloads import network_of, workload

SMALL = network_of(VARIANTS["m3vit_small"], (512, 512))
SMALL_MACS = backbone_macs(VARIANTS["m3vit_small"], (512, 512))


@pytest.mark.parametrize(("other", "experts"), [(0, 4.8), (1, 6.2), (8, 16.0)])
def test_the_memory_ratio_is_a_line(other, experts):
    assert baseline_experts(other) == pytest.approx(experts)
    assert (other + baseline_experts(other)) / (other + 2) == pytest.approx(2.4)


def test_sixteen_experts_of_small_do_not_fit_on_a_zcu104():
    on = chip("zcu104")
    fit = cache_fit(SMALL, on, policy(on, Kind.EXPERT_REORDER))
    assert (fit.expert_bytes, fit.experts * fit.expert_bytes) == (589_824, 9_437_184)
    assert fit.experts * fit.expert_bytes > fit.usable_bytes
    assert 4.8 < fit.cached < 6.2
    assert fit.fits == (fit.baseline_bytes <= 4_976_640)


@pytest.mark.parametrize(
    ("bits", "macs_per_cycle", "rate"),
    [(16, 256, 1.13), (16, 512, 0.56), (16, 1024, 0.28), (8, 256, 2.25), (8, 512, 1.13), (8, 1024, 0.56)],
)
def test_the_miss_rates_for_9_23_are_those_of_the_sheet(bits, macs_per_cycle, rate):
    found = feasibility(SMALL, macs=SMALL_MACS, macs_per_cycle=macs_per_cycle, weight_bits=bits, rate=16)
    assert found.visits == 6 * 4_100
    assert found.miss_rate == pytest.approx(rate, abs=0.005)


@pytest.mark.parametrize(("bits", "macs_per_cycle", "ceiling"), [(16, 256, 8.3), (8, 256, 4.7), (8, 512, 8.3)])
def test_no_miss_rate_beats_the_ceiling(bits, macs_per_cycle, ceiling):
    found = feasibility(SMALL, macs=SMALL_MACS, macs_per_cycle=macs_per_cycle, weight_bits=bits, rate=16)
    assert found.ceiling == pytest.approx(ceiling, abs=0.05)
    assert (found.miss_rate > 1) == (found.ceiling < 9.23)


def test_the_table_of_a_chip_starts_at_its_own_array_and_weights():
    [wide, narrow] = feasibility_table(SMALL, chip("zcu104"), SMALL_MACS)
    assert [each.macs_per_cycle for each in wide] == [256, 512, 1024]
    assert ({each.weight_bits for each in wide}, {each.weight_bits for each in narrow}) == ({16}, {8})
    assert narrow[2].miss_rate == pytest.approx(wide[1].miss_rate)


def test_the_toy_misses_as_often_as_by_hand():
    found = miss_rates(workload("toy").routing("task0"), (1, 2, 3, 4))
    assert found == {1: 11 / 12, 2: 8 / 12, 3: 3 / 12, 4: 3 / 12}


def test_the_reduction_is_75_percent_in_one_convention_and_88_only_in_a_mixed_one():
    assert published_macs() / 1e9 == pytest.approx(83.43, abs=0.01)
    assert [(each.baseline, each.per_mac, round(100 * each.share, 1)) for each in reductions()] == [
        ("Cross-Stitch", 1, 75.1),
        ("NDDR-CNN", 1, 77.5),
        ("Cross-Stitch", 2, 87.5),
        ("NDDR-CNN", 2, 88.8),
    ]


def test_all_experts_add_those_that_a_token_does_not_visit():
    network = workload("toy").network
    found = all_experts(network, network.visits * 2 * network.matrix_weights)
    assert found.share == 0.5  # two of four experts
