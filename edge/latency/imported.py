"""Files of other people's measurements, told apart by their contents: times of whole networks, and of operators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.imports import ai_hub, benchmark_model, etdump
from edge.imports.record import ImportedLatency, contents
from edge.operator_times import OperatorTime

YAML, TABLE, TEXT = (".yaml", ".yml"), (".tsv",), (".csv", ".txt", ".log")


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file held: latencies of networks, or the times of one network's operators on `device`."""

    by: str
    device: str
    latencies: tuple[ImportedLatency, ...] = ()
    operators: tuple[OperatorTime, ...] = ()

    def fields(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "by": self.by,
            "device": self.device,
            "latencies": [each.fields() for each in self.latencies],
            "operators": [each.fields() for each in self.operators],
        }


def imported(path: Path, device: str) -> Imported:
    """Read `path` by its ending; without a known one it is what benchmark_model wrote as protobuf.

    `device` says where it was measured, which only a perf.yaml tells itself. Raises `UsageError`.
    """
    suffix = path.suffix.lower()
    if suffix in YAML:
        found = ai_hub.latencies(path)
        return Imported(ai_hub.BY, "", found)
    if not device:
        raise UsageError(f"{path.name} does not say where it was measured", hint="say it with --device NAME")
    if suffix in TABLE:
        return Imported("ExecuTorch Inspector", device, operators=etdump.operators_of_tsv(_text(path)))
    if suffix in TEXT:
        return Imported(benchmark_model.BY, device, operators=benchmark_model.operators_of_text(_text(path)))
    return _of_proto(path, device)


def _of_proto(path: Path, device: str) -> Imported:
    """A result, or a profile of operators: the two messages have no mark, but only one of them can be read as such."""
    try:
        return Imported(benchmark_model.BY, device, (benchmark_model.latency(path, device=device),))
    except UsageError as no_result:
        try:
            return Imported(benchmark_model.BY, device, operators=benchmark_model.operators_of_proto(contents(path)))
        except UsageError:
            raise no_result from None


def _text(path: Path) -> str:
    return contents(path).decode("utf-8", "replace")
