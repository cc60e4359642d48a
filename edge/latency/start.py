"""Opens what the commands work on: a space by name, a point of it, a table with its bench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from edge import plugins
from edge.errors import UsageError
from edge.latency.bench import Bench, Effort
from edge.latency.table import LatencyTable
from edge.latency.tag import Setup
from edge.models import point
from edge.space import SearchSpace
from edge.spec import ModelSpec
from edge.suggest import unknown


def space_of(setup: Setup) -> SearchSpace:
    """The space that a table is about. Raises `UnknownNameError`."""
    return plugins.space(setup.space, setup.image_size, setup.num_classes)


def spec_of(space: SearchSpace, named: str) -> ModelSpec:
    """A member of the family by name, or the point in a JSON file. Raises `UsageError` for no point of `space`."""
    path = Path(named)
    if path.suffix == ".json" or path.exists():
        spec = point.read(path)
        space.check(spec)
        return spec
    size = "x".join(map(str, space.image_size))
    if not space.members:
        raise UsageError(f"{space.name} has no hand-made member at {size}", hint="give a SPEC.json")
    if named not in space.members:
        raise unknown(f"member of {space.name} at {size}", named, space.members)
    return space.members[named]


@contextmanager
def bench_of(space: SearchSpace, setup: Setup, effort: Effort, log: Path) -> Iterator[Bench]:
    """A bench whose files are removed at the end. Raises `UsageError` for a target or device that cannot be."""
    exporter = plugins.exporter(setup.target)
    plugins.require(exporter)
    if setup.precision not in exporter.precisions:
        raise UsageError(f"{setup.target} is not exported in {setup.precision}", hint="give another --precision")
    effort = replace(effort, plan=replace(effort.plan, threads=setup.threads))
    with TemporaryDirectory(prefix="edge-latency-") as scratch:
        yield Bench(space, setup, Path(scratch), log, effort)


@contextmanager
def bench_for(table: LatencyTable, effort: Effort, log: Path) -> Iterator[Bench]:
    """The bench that a table's times came from. Raises `UsageError` when the device or the runtime is another today."""
    setup = table.tag.setup
    with bench_of(space_of(setup), setup, effort, log) as bench:
        table.tag.refuse(bench.tag())
        yield bench
