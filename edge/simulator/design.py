"""The space of designs around a chip: what may change, to what, and the chip and policy that a design means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from edge.simulator.chip import Chip
from edge.simulator.chip_parts import Granularity
from edge.simulator.policies import Kind, Policy
from edge.simulator.workload import Network

DSP_INPUTS = (27, 18)
"""Bits of the two factors that one DSP48E2 multiplies (Xilinx UG579)."""
PACKED_BITS = 8
"""Two products of up to 8 bits that share a factor fit into one DSP48E2 (Xilinx WP486)."""


def dsps_per_product(bits: int, other: int) -> float:
    """DSPs of a product: pieces of the wide factor × pieces of the narrow one. A model, not a synthesis result.

    It gives what the moe_fpga sheet 3.4 estimates for Edge-MoE: 2 for 32 × 16 bits and 4 for 32 × 32.
    """
    wide, narrow = max(bits, other), min(bits, other)
    if wide <= PACKED_BITS:
        return 0.5
    return math.ceil(wide / DSP_INPUTS[0]) * math.ceil(narrow / DSP_INPUTS[1])


@dataclass(frozen=True, slots=True)
class Design:
    """A point of the space. `array` is rows × cols, `ports` a factor on the width of every port, `bits` weight and act.

    `buffer_bytes` is the size of one weight buffer; how many there are, what one holds, and the cache are in `policy`.
    """

    array: tuple[int, int]
    queries: int
    lanes: int
    buffer_bytes: int
    ports: float
    bits: tuple[int, int]
    policy: Policy

    def on(self, base: Chip) -> Chip:
        """The chip that this design means. Raises `UsageError` where it needs more DSPs than the device has.

        DSPs per MAC follow the precision: those of the base chip × the ratio of the model of a product.
        """
        before, (weight, act) = base.precision, self.bits
        linear = dsps_per_product(before.weight_bits, before.act_bits) / dsps_per_product(weight, act)
        attention = dsps_per_product(before.act_bits, before.act_bits) / dsps_per_product(act, act)
        array = base.array
        return replace(
            base,
            array=replace(
                array,
                linear=replace(
                    array.linear,
                    rows=self.array[0],
                    cols=self.array[1],
                    macs_per_dsp=array.linear.macs_per_dsp * linear,
                ),
                attn=replace(
                    array.attn,
                    queries=self.queries,
                    lanes=self.lanes,
                    macs_per_dsp=array.attn.macs_per_dsp * attention,
                ),
            ),
            buffers=replace(
                base.buffers,
                weight_bytes=self.buffer_bytes,
                count=self.policy.buffers,
                granularity=self.policy.granularity,
            ),
            port=tuple(replace(port, bytes_per_cycle=port.bytes_per_cycle * self.ports) for port in base.port),
            precision=replace(base.precision, weight_bits=weight, act_bits=act),
        )

    def fields(self, base: Chip) -> dict[str, Any]:
        """The design as plain data."""
        policy = self.policy
        return {
            "array": list(self.array),
            "queries": self.queries,
            "lanes": self.lanes,
            "buffer_bytes": self.buffer_bytes,
            "port_bytes_per_cycle": [port.bytes_per_cycle * self.ports for port in base.port],
            "weight_bits": self.bits[0],
            "act_bits": self.bits[1],
            "policy": policy.kind.value,
            "buffers": policy.buffers,
            "granularity": policy.granularity.value if policy.kind is Kind.EXPERT_REORDER else None,
            "order": policy.order.value if policy.kind is Kind.EXPERT_REORDER else None,
            "cache": policy.cache if policy.kind is Kind.TOKEN_LRU else None,
        }


@dataclass(frozen=True, slots=True)
class Space:
    """The values of each field of a design; the first of each is the base's."""

    array: tuple[tuple[int, int], ...]
    queries: tuple[int, ...]
    lanes: tuple[int, ...]
    buffer_bytes: tuple[int, ...]
    ports: tuple[float, ...]
    bits: tuple[tuple[int, int], ...]
    policy: tuple[Policy, ...]

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        return {axis.name: getattr(self, axis.name) for axis in fields(self)}

    @property
    def base(self) -> Design:
        return Design(**{name: values[0] for name, values in self.axes.items()})

    def blocks(self) -> Iterator[tuple[Design, ...]]:
        """All combinations, by linear array: designs of one array share the most. The first is the base."""
        first, *others = self.axes.values()
        return (tuple(Design(array, *values) for values in product(*others)) for array in first)

    def single_changes(self) -> Iterator[tuple[str, Design]]:
        """Every design that differs from the base in one field, and which."""
        for name, values in self.axes.items():
            for value in values[1:]:
                yield name, replace(self.base, **{name: value})


def space(network: Network, base: Chip, policy: Policy) -> Space:
    """Halves, doubles and the like around a chip; precisions from its own down; buffers and caches of both schedules."""
    linear, attention, precision = base.array.linear, base.array.attn, base.precision
    rows, cols = linear.rows, linear.cols
    weights = _distinct(precision.weight_bits, *(bits for bits in (16, 8) if bits < precision.weight_bits))
    acts = _distinct(precision.act_bits, *(bits for bits in (16, 8) if bits < precision.act_bits))
    return Space(
        array=_distinct((rows, cols), (max(1, rows // 2), cols), (2 * rows, cols), (2 * rows, 2 * cols)),
        queries=_distinct(*(max(1, attention.queries * factor // 2) for factor in (2, 1, 4, 8))),
        lanes=_distinct(attention.lanes, 2 * attention.lanes),
        buffer_bytes=_distinct(base.buffers.weight_bytes, max(1, base.buffers.weight_bytes // 2)),
        ports=(1, 0.5, 2),
        bits=tuple(product(weights, acts)),
        policy=_policies(network, policy),
    )


def _policies(network: Network, policy: Policy) -> tuple[Policy, ...]:
    plain = Policy(Kind.EXPERT_REORDER, policy.buffers, policy.granularity)
    like = policy if policy.kind is Kind.EXPERT_REORDER else plain
    reordered = (
        replace(like, granularity=granularity, buffers=buffers)
        for granularity, buffers in product(
            _distinct(policy.granularity, *Granularity), _distinct(policy.buffers, 1, 2, 3)
        )
    )
    cached = (
        replace(plain, kind=Kind.TOKEN_LRU, cache=cache, misses=policy.misses)
        for cache in (1, 2, 4, 8)
        if cache <= network.experts
    )
    return _distinct(policy, *reordered, *cached)


def _distinct(*values: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
