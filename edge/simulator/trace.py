"""A timeline as the Chrome trace format, which Perfetto and chrome://tracing open."""

from __future__ import annotations

from typing import Any

from edge.simulator.program import Unit
from edge.simulator.timeline import Timeline

PROCESS = 1


def chrome_trace(timeline: Timeline) -> dict[str, Any]:
    """One thread per unit, a counter of the bytes held on chip; times in microseconds, whole cycles in `args`."""
    mhz = timeline.chip.clock.mhz
    threads = {unit: number for number, unit in enumerate(Unit, start=1)}
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": PROCESS, "args": {"name": f"simulated:{timeline.chip.name}"}},
        *(
            {"name": "thread_name", "ph": "M", "pid": PROCESS, "tid": number, "args": {"name": unit.value}}
            for unit, number in threads.items()
        ),
    ]
    for job, span in zip(timeline.program.jobs, timeline.spans, strict=True):
        moved = {transfer.traffic.value: transfer.size for transfer in job.transfers}
        events.append(
            {
                "name": job.name,
                "cat": job.operation,
                "ph": "X",
                "ts": span.start / mhz,
                "dur": (span.end - span.start) / mhz,
                "pid": PROCESS,
                "tid": threads[job.unit],
                "args": {
                    "frame": job.frame,
                    "start_cycle": span.start,
                    "end_cycle": span.end,
                    "macs": job.macs,
                    **moved,
                },
            }
        )
    events += [
        {"name": "bytes held", "ph": "C", "ts": cycle / mhz, "pid": PROCESS, "args": {"bytes": level}}
        for cycle, level in timeline.held_bytes
    ]
    return {"traceEvents": events, "displayTimeUnit": "ns"}
