"""One HTML page of a simulation that stands alone: no request, one script of ours, every name escaped."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from math import gcd
from pathlib import Path
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from edge import __version__
from edge.report import page as report
from edge.simulator import claims, figures
from edge.simulator.lanes import MOST_BLOCKS, Block, Lane, held, lanes
from edge.simulator.roofline import Point, owners, points, roofs
from edge.simulator.schedule import Served, percentile
from edge.simulator.simulation import Simulation
from edge.simulator.timeline import Timeline, simulate

FOLDER = Path(__file__).parent
ENERGY_KEYS = {"static": "static_w", "mac": "pj_mac", "dram": "pj_dram_byte", "sram": "pj_sram_byte"}
"""The key of a chip's [power] that each part of the energy is made with."""
CAPACITIES = (1, 2, 4, 6, 8, 12, 16)
"""Experts of the caches whose misses are counted."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """What a schedule did to the frames of one task; latencies in ms."""

    name: str
    routing: str
    frames: int
    p50_ms: float
    p99_ms: float
    missed: int


def render(result: Simulation, most: int = MOST_BLOCKS) -> str:
    """The page as HTML text, with at most `most` blocks in its chart; the same simulation gives the same text."""
    whole = simulate(result.workload, result.chip, result.policy, result.tasks)
    drawn, found = lanes(whole, most), points(result.timeline)
    fitted = [part for part, key in ENERGY_KEYS.items() if key in result.chip.power.calibrated]
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    return report.environment(FOLDER).get_template("page.html").render(
        facts=result.fields(),
        result=result,
        whole=whole,
        data=htmlsafe_json_dumps(chart(result, whole, drawn), separators=(",", ":")),
        hues=_hues(whole),
        merged=sum(block.jobs for lane in drawn for block in lane.blocks)
        - sum(len(lane.blocks) for lane in drawn),
        points=found,
        roofs=roofs(result.chip),
        drawings=_drawings(result, found),
        fitted_parts=fitted,
        calibrated_share=sum(asdict(result.timeline.energy)[part] for part in fitted) / (result.timeline.energy.total or 1),
        task_rows=_task_rows(result),
        paper=_paper(result),
        version=__version__,
        style=report.style() + Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip


def chart(result: Simulation, whole: Timeline, drawn: tuple[Lane, ...]) -> dict[str, Any]:
    """What the script draws, as JSON.

    A block is [start, cycles, name, operation, frame, jobs, share, MACs, bytes]: `name` is an index of `names`,
    `operation` one of `operations`, and `share` the part of its cycles that its work takes at the full rate.
    """
    names = list(dict.fromkeys(block.name for lane in drawn for block in lane.blocks))
    operations = list(dict.fromkeys(job.operation for job in whole.program.jobs))
    name_at = {name: index for index, name in enumerate(names)}
    operation_at = {name: index for index, name in enumerate(operations)}

    def packed(block: Block) -> list[float]:
        length = block.end - block.start
        share = round(min(1.0, block.busy / length), 3) if length else 0
        return [
            block.start, length, name_at[block.name], operation_at[block.operation], block.frame, block.jobs, share,
            block.macs, block.dram_bytes,
        ]  # fmt: skip

    hues = _hues(whole)
    return {
        "cycles": whole.cycles,
        "mhz": result.chip.clock.mhz,
        "usable": result.chip.memory.usable_bytes,
        "names": names,
        "operations": [{"name": name, "hue": hues[owners(whole.program)[name]]} for name in operations],
        "frames": [{"task": task, "cycles": size} for task, size in zip(result.tasks, whole.frame_cycles, strict=True)],
        "lanes": [{"name": lane.name, "blocks": [packed(block) for block in lane.blocks]} for lane in drawn],
        "memory": held(whole),
    }


def _hues(whole: Timeline) -> dict[str, int]:
    """A hue in degrees for each operation that is not the load of another; those that follow each other differ most."""
    names = list(dict.fromkeys(owners(whole.program).values()))
    stride = next(step for step in range(max(1, 2 * len(names) // 5), len(names) + 1) if gcd(step, len(names)) == 1)
    return {name: round(200 + 360 * (stride * index) / len(names)) % 360 for index, name in enumerate(names)}


def _drawings(result: Simulation, found: tuple[Point, ...]) -> dict[str, Markup]:
    served = result.served
    marks = {name: (share, percentile(served, share)) for name, share in (("median", 0.5), ("p99", 0.99))}
    deadlines = [frame.arrival.deadline_ms for frame in served if frame.arrival.deadline_ms is not None]
    fit = claims.cache_fit(result.workload.network, result.chip, result.policy)
    return {
        "roofline": Markup(figures.roofline(found, roofs(result.chip))),
        "latencies": Markup(figures.latencies(served, marks, deadlines)),
        "memory_line": Markup(figures.memory_line(fit)),
    }


def _task_rows(result: Simulation) -> list[TaskRow]:
    by_task: dict[str, list[Served]] = {task: [] for task in result.tasks}
    for frame in result.served:
        by_task[frame.arrival.task].append(frame)
    return [
        TaskRow(
            task,
            result.workload.routing(task).origin,
            len(own),
            percentile(own, 0.5),
            percentile(own, 0.99),
            sum(frame.missed for frame in own),
        )
        for task, own in by_task.items()
        if own
    ]


def _paper(result: Simulation) -> dict[str, Any]:
    """The papers' three figures as far as formulas give them for this workload and chip."""
    network, macs = result.workload.network, result.timeline.macs
    capacities = [capacity for capacity in CAPACITIES if capacity <= network.experts]
    return {
        "fit": claims.cache_fit(network, result.chip, result.policy),
        "feasibility": claims.feasibility_table(network, result.chip, macs),
        "misses": claims.miss_rates(result.workload.routing(result.tasks[0]), capacities),
        "reductions": claims.reductions(),
        "published_macs": claims.published_macs(),
        "all_experts": claims.all_experts(network, macs),
        "memory_ratio": claims.MEMORY_RATIO,
        "energy_ratio": claims.ENERGY_RATIO,
        "reduction": claims.REDUCTION,
    }
