"""What the papers' 2.4×, 9.23× and 88 % would take here: a fit, a feasibility line and a convention; none is reproduced.

The formulas are ours and stand in the moe_fpga sheet 1.5 and 2.4; the three figures are those of the M3ViT abstract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.models.m3vit_config import VARIANTS, backbone_macs, head_macs
from edge.simulator.chip import MILLI, Chip
from edge.simulator.policies import Policy, expert_bytes, footprint, lru_visits
from edge.simulator.workload import Network, Routing

MEMORY_RATIO = 2.4
ENERGY_RATIO = 9.23
REDUCTION = 0.88

CNN_MACS = {"Cross-Stitch": 334.7e9, "NDDR-CNN": 371.6e9}
"""Five tasks of PASCAL-Context at 512 × 512 with a ResNet-18 each, counted by module hooks (moe_fpga sheet 1.5)."""


def baseline_experts(other_per_expert: float, ratio: float = MEMORY_RATIO) -> float:
    """Experts that a baseline must cache to take `ratio` times the memory of two expert buffers.

    Solves (X + c·W) / (X + 2·W) = ratio for c; `other_per_expert` is X/W, the rest on chip in experts.
    """
    return 2 * ratio + (ratio - 1) * other_per_expert


@dataclass(frozen=True, slots=True)
class CacheFit:
    """Where a design lies on the line of `baseline_experts`: bytes on chip besides experts, of one expert, and in all."""

    other_bytes: int
    expert_bytes: int
    experts: int
    usable_bytes: int

    @property
    def other_per_expert(self) -> float:
        return self.other_bytes / self.expert_bytes

    @property
    def cached(self) -> float:
        """Experts in the cache of the baseline that would make the ratio 2.4."""
        return baseline_experts(self.other_per_expert)

    @property
    def baseline_bytes(self) -> int:
        return round(self.other_bytes + self.cached * self.expert_bytes)

    @property
    def fits(self) -> bool:
        """Whether such a baseline could stand on this chip at all."""
        return self.baseline_bytes <= self.usable_bytes


def cache_fit(network: Network, chip: Chip, policy: Policy) -> CacheFit:
    """The place of a design: queues, lines and the gate are what is on chip besides experts."""
    needed = footprint(network, chip, policy)
    other = needed.queues + needed.lines + needed.gate
    return CacheFit(other, expert_bytes(network, chip), network.experts, chip.memory.usable_bytes)


@dataclass(frozen=True, slots=True)
class Feasibility:
    """Token order with blocking misses against computing all the time, of one array and one width of weights.

    `compute_cycles` of the frame at the full rate of the array; `load_cycles` of one expert; `visits` of all layers.
    """

    macs_per_cycle: int
    weight_bits: int
    compute_cycles: float
    load_cycles: float
    visits: int

    @property
    def miss_rate(self) -> float:
        """The share of visits that must miss for a ratio of 9.23; above 1 it is impossible."""
        return (ENERGY_RATIO - 1) * self.compute_cycles / (self.visits * self.load_cycles)

    @property
    def ceiling(self) -> float:
        """The ratio when every visit misses."""
        return 1 + self.visits * self.load_cycles / self.compute_cycles


def feasibility(network: Network, *, macs: int, macs_per_cycle: int, weight_bits: int, rate: float) -> Feasibility:
    """`macs` of a frame and `rate` of the weight port in bytes per cycle; energy is taken as power × time."""
    return Feasibility(
        macs_per_cycle=macs_per_cycle,
        weight_bits=weight_bits,
        compute_cycles=macs / macs_per_cycle,
        load_cycles=2 * network.matrix_weights * weight_bits / 8 / rate,
        visits=network.visits * network.moe_layers,
    )


def feasibility_table(network: Network, chip: Chip, macs: int) -> tuple[tuple[Feasibility, ...], ...]:
    """Rows: the chip's weights and half their bits; columns: its linear array, twice and four times that."""
    own = chip.precision.weight_bits
    return tuple(
        tuple(
            feasibility(
                network,
                macs=macs,
                macs_per_cycle=chip.array.linear.macs_per_cycle * times,
                weight_bits=bits,
                rate=chip.weight_millibytes / MILLI,
            )
            for times in (1, 2, 4)
        )
        for bits in ((own, own // 2) if own > 1 else (own,))
    )


def miss_rates(routing: Routing, capacities: Sequence[int]) -> dict[int, float]:
    """Share of visits that miss, over all MoE layers in token order, by the experts that an LRU cache holds."""
    visits = sum(layer.size for layer in routing.layers)
    return {
        capacity: sum(visit.miss for layer in routing.layers for visit in lru_visits(layer, capacity)) / visits
        for capacity in capacities
    }


@dataclass(frozen=True, slots=True)
class Reduction:
    """MACs of a network against a baseline; `per_mac` is how often the baseline counts one MAC (1, or 2 as FLOPs)."""

    baseline: str
    baseline_macs: float
    macs: float
    per_mac: int

    @property
    def share(self) -> float:
        return 1 - self.macs / (self.baseline_macs * self.per_mac)


def published_macs() -> int:
    """MACs of the ViT-Small M3ViT at 512 × 512 with one head, as the sheet 1.5 counts: without the last 1×1 convolution."""
    config, size = VARIANTS["m3vit_small"], (512, 512)
    return backbone_macs(config, size) + head_macs(config, size, 0)


def reductions() -> tuple[Reduction, ...]:
    """The published network against two CNNs: both in MACs, then the CNN alone in FLOPs, which lands near 88 %."""
    ours = published_macs()
    return tuple(
        Reduction(name, macs, ours, per_mac)
        for name, macs, per_mac in (
            *((n, m, 1) for n, m in CNN_MACS.items()),
            *((n, m, 2) for n, m in CNN_MACS.items()),
        )
    )


def all_experts(network: Network, macs: int) -> Reduction:
    """A frame of `macs` against the same network when every token visits every expert."""
    left_out = network.moe_layers * network.tokens * (network.experts - network.top_k) * 2 * network.matrix_weights
    return Reduction("all experts for every token", macs + left_out, macs, 1)
