"""What networks take on the device: sums of a latency table that grows as blocks are asked for, and whole networks timed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

from edge import whole
from edge.errors import DeviceError, UsageError
from edge.latency.bench import Bench, Effort, Progress
from edge.latency.build import build, is_built
from edge.latency.check import CLOSE
from edge.latency.pace import timed
from edge.latency.start import bench_for, bench_of
from edge.latency.table import LatencyTable, Timed
from edge.latency.tag import Setup
from edge.measurement import Source
from edge.search.budget import Budget, Limit
from edge.space import SearchSpace
from edge.spec import ModelSpec

TABLE, MEASURED = "latency.sqlite", "measured.json"
"""What a search keeps in its folder: blocks, and whole networks."""


class Latencies:
    """Of networks of one space on one device, in ms. Nothing is measured twice, also not after a kill.

    `open_bench` is called once, when something is not known yet, and must refuse a device that `table` is not of. Whole
    networks are remembered in the file `memory`.
    """

    def __init__(
        self, space: SearchSpace, table: LatencyTable, open_bench: Callable[[], Bench], memory: Path, progress: Progress
    ) -> None:
        self.space, self.table = space, table
        self._open_bench, self._memory, self._progress = open_bench, memory, progress
        self._built = False

    def require_device(self) -> None:
        """Raise `UsageError` when the device or its runtime is not the table's, and `DeviceError` when there is none."""
        with _nothing_lost():
            _ = self._bench

    def predict_ms(self, specs: Sequence[ModelSpec]) -> tuple[float, ...]:
        """The sum of each network's blocks; those that the table lacks are measured first, all together.

        Raises `UsageError` for no point of the space, and what exporters and devices raise.
        """
        networks = [self.space.blocks(spec) for spec in specs]
        absent = self.table.missing(block for blocks in networks for block in blocks)
        if absent or not self._is_built():
            with _nothing_lost():
                build(self._bench, self.table, absent, self._progress)
        return tuple(self.table.predict_ms(blocks) for blocks in networks)

    def measure_ms(self, specs: Sequence[ModelSpec]) -> tuple[float, ...]:
        """The time of each network as a whole, exported with random weights, on the scale of the table's own networks.

        Raises `UsageError` for no point of the space, and what exporters and devices raise.
        """
        for spec in specs:
            self.space.check(spec)
        if absent := [spec for spec in dict.fromkeys(specs) if spec not in self.measured]:
            self._progress(f"whole networks timed: {len(absent)}")
            self.measured.update(self._timed(absent))
            rows = [{**spec.fields(), **asdict(found)} for spec, found in self.measured.items()]
            whole.write_text(self._memory, json.dumps(rows) + "\n")
        return tuple(self.measured[spec].ms for spec in specs)

    def measure_files(self, files: Mapping[ModelSpec, Path]) -> dict[ModelSpec, Timed]:
        """The time of each network's own file, all timed in turns; this is not remembered. Raises what devices raise."""
        with _nothing_lost():
            times = self._bench.time_files(files)
        return {spec: time.network() for spec, time in times.items()}

    def _timed(self, specs: Sequence[ModelSpec]) -> dict[ModelSpec, Timed]:
        """Each network whole. What is far from its prediction is timed once more, with the passes of both times: other work
        on the device only adds time."""
        with _nothing_lost():
            times = timed(self._bench, self.table, specs)
            if far := [spec for spec in specs if self._is_far(spec, times.network(spec).ms)]:
                times = times.with_passes_of(timed(self._bench, self.table, far, seed=1))
        return {spec: times.network(spec) for spec in specs}

    def _is_far(self, spec: ModelSpec, ms: float) -> bool:
        """Whether the table, where it knows the network, says something else."""
        blocks = self.space.blocks(spec)
        known = self._is_built() and not self.table.missing(blocks)
        return known and abs(self.table.predict_ms(blocks) / ms - 1) > CLOSE

    @cached_property
    def _bench(self) -> Bench:
        return self._open_bench()

    def _is_built(self) -> bool:
        """As `is_built`, which need not be asked again once it was so."""
        self._built = self._built or is_built(self.space, self.table)
        return self._built

    @cached_property
    def measured(self) -> dict[ModelSpec, Timed]:
        """The whole networks that were timed until now. Raises `UsageError` when their file was changed by hand."""
        if not self._memory.exists():
            return {}
        try:
            rows = json.loads(self._memory.read_text(encoding="utf-8"))
            return {ModelSpec(row["space"], row["choices"]): _read(**row) for row in rows}
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self._memory} cannot be read: {error}", hint="remove it to measure again") from None


def _read(ms: float, source: str, at: str, samples_ms: dict[str, list[list[float]]], **_: object) -> Timed:
    return Timed(float(ms), Source(source), at, samples_ms)


@contextmanager
def latencies(
    space: SearchSpace,
    setup: Setup,
    run: Path,
    effort: Effort,
    log: Path,
    progress: Progress,
    *,
    table: Path | None = None,
) -> Iterator[Latencies]:
    """Those of a search in the folder `run`, on the device of `setup`; or, with a `table`, on the device that it is of.

    A given table is copied: the search goes on with what it began with, and adds to its own. Raises `UsageError` when there
    is a table of another setup, and, for a new one, what exporters and devices raise.
    """
    path = run / TABLE
    if table is not None:
        _take_up(table, setup, path)
    with ExitStack() as opened:
        if path.exists():
            found = _of(setup, path)
            reopen = lambda: opened.enter_context(bench_for(found, effort, log))  # noqa: E731
            yield Latencies(space, found, reopen, run / MEASURED, progress)
        else:
            bench = opened.enter_context(bench_of(space, setup, effort, log))
            found = LatencyTable.create(path, bench.tag())
            yield Latencies(space, found, lambda: bench, run / MEASURED, progress)


def reachable(latencies: Latencies) -> tuple[float, float]:
    """The predicted latency in ms of the smallest and of the largest network of the space."""
    smallest_ms, largest_ms = latencies.predict_ms((latencies.space.smallest(), latencies.space.largest()))
    return smallest_ms, largest_ms


def resolve(limits: Sequence[Limit], params: int | None, macs: int | None, latencies: Latencies) -> tuple[Budget, ...]:
    """What the limits are in ms on this device, the largest first.

    Raises `UsageError` that says the reachable range for one that no network keeps, or that every network keeps.
    """
    smallest_ms, largest_ms = reachable(latencies)
    (uniform_ms,) = latencies.predict_ms((latencies.space.uniform(1.0),))
    budgets = [Budget(limit.text, _ms(limit, uniform_ms), params, macs) for limit in limits]
    for budget in budgets:
        if not smallest_ms <= budget.ms < largest_ms:
            beyond = "below the smallest" if budget.ms < smallest_ms else "not below the largest"
            raise UsageError(
                f"{budget.name} is {budget.ms:.3f} ms, {beyond} network of {latencies.space.name}",
                hint=f"give a latency between {smallest_ms:.3f} and {largest_ms:.3f} ms",
            )
    return tuple(sorted(budgets, key=lambda budget: -budget.ms))


def _ms(limit: Limit, whole_ms: float) -> float:
    return limit.ms if limit.ms is not None else whole_ms * (limit.share or 0.0)


def _of(setup: Setup, path: Path) -> LatencyTable:
    """The table at `path`, whichever device it is of. Raises `UsageError` when it is of another setup."""
    found = LatencyTable.open(path)
    try:
        found.tag.refuse(replace(found.tag, setup=setup))
    except UsageError as error:
        raise UsageError(f"{path}: {error}", hint="search with the table's own options, or on a device") from None
    return found


def _take_up(table: Path, setup: Setup, path: Path) -> None:
    """Copy a table to `path`, or find it there. Raises `UsageError` when that one is of another device, runtime or setup."""
    given = _of(setup, table)
    if path.exists():
        LatencyTable.open(path, given.tag)
        return
    with (
        whole.appearing(path) as staged,
        closing(sqlite3.connect(table)) as source,
        closing(sqlite3.connect(staged)) as target,
    ):
        source.backup(target)


@contextmanager
def _nothing_lost() -> Iterator[None]:
    """Say of a device that is gone what that means for the search."""
    try:
        yield
    except DeviceError as error:
        hint = "nothing is lost: once the device is back, the same command goes on from here"
        raise DeviceError(str(error), hint=f"{error.hint}; {hint}" if error.hint else hint) from error
