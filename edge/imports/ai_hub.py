"""The perf.yaml that Qualcomm AI Hub Models publishes for each of its networks: hosted phones and boards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from edge.errors import UsageError
from edge.imports.record import ImportedLatency, contents

BY = "Qualcomm AI Hub Models"
PASSED = "Passed"
RUNTIMES = {"tflite": "tflite", "onnx": "onnx_runtime"}
"""The tool whose version is that of a runtime; the others are parts of QAIRT."""


def latencies(path: Path) -> tuple[ImportedLatency, ...]:
    """Every latency of a network, by precision, component, device and runtime, as published. Raises `UsageError`.

    Jobs that failed and language models, which have rates instead, are left out. Which statistic of the runs is
    published the file does not say.
    """
    try:
        document = yaml.load(contents(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no YAML: {str(error).splitlines()[0]}", hint="give a perf.yaml") from error
    if not isinstance(document, dict) or not isinstance(document.get("precisions"), dict):
        raise UsageError(f"{path} is no perf.yaml: it has no precisions", hint="take it from a model of AI Hub Models")
    return tuple(_latencies(document["precisions"]))


def _latencies(precisions: dict[str, Any]) -> Iterator[ImportedLatency]:
    for precision, of_precision in precisions.items():
        for component, of_component in _table(of_precision, "components"):
            for device, by_runtime in _table(of_component, "performance_metrics"):
                for runtime, job in _items(by_runtime):
                    if isinstance(job, dict) and job.get("job_status") == PASSED:
                        yield _latency(str(precision), str(component), str(device), str(runtime), job)


def _latency(precision: str, component: str, device: str, runtime: str, job: dict[str, Any]) -> ImportedLatency:
    ms = job.get("inference_time_milliseconds")
    if not _is_number(ms):
        raise UsageError(f"{component} on {device} passed without a time: {ms!r}", hint="the file is damaged")
    memory, versions = job.get("estimated_peak_memory_range_mb"), job.get("tool_versions")
    most_mb = memory.get("max") if isinstance(memory, dict) else None
    version = versions.get(RUNTIMES.get(runtime, "qairt"), "") if isinstance(versions, dict) else ""
    return ImportedLatency(
        device=device, runtime=f"{runtime} {version}".strip(), model=component, precision=precision, ms=float(ms),
        statistic="as published", by=BY, peak_rss_kb=round(most_mb * 1024) if _is_number(most_mb) else None,
        unit=str(job.get("primary_compute_unit") or ""), reference=str(job.get("job_id") or ""),
    )  # fmt: skip


def _is_number(value: Any) -> TypeGuard[int | float]:
    """YAML's own numbers; its truths are numbers to Python."""
    return type(value) in (int, float) and math.isfinite(value)


def _table(parent: Any, key: str) -> Iterator[tuple[Any, Any]]:
    """The items of a table that may be absent."""
    return _items(parent.get(key) if isinstance(parent, dict) else None)


def _items(table: Any) -> Iterator[tuple[Any, Any]]:
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"a table of the file is a {type(table).__name__}", hint="is it a perf.yaml of 2025 or later?")
    return iter((table or {}).items())
