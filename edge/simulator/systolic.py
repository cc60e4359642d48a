"""A weight-stationary systolic array in closed form, to compare with the broadcast array that Edge-MoE has."""

from __future__ import annotations


def systolic_cycles(rows: int, cols: int, *, m: int, n: int, k: int) -> int:
    """Cycles of an (m, k) × (k, n) product on a rows × cols array: k lies along the rows, n along the columns.

    Each fold loads its weights, fills and drains: (2R + C + M − 2)·⌈K/R⌉·⌈N/C⌉ − 1 (moe_fpga sheet 4.6, which
    checked it against SCALE-Sim 3.0.0).
    """
    return (2 * rows + cols + m - 2) * -(-k // rows) * -(-n // cols) - 1
