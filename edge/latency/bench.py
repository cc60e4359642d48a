"""Exports pieces and networks in worker processes side by side, and times them in turns, one at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TypeVar

from edge import plugins, worker
from edge.errors import ConversionError, DeviceError
from edge.latency.pieces import PROBE, Piece
from edge.latency.table import Timed
from edge.latency.tag import Setup, Tag
from edge.measurement import Measurement
from edge.protocol import TimingPlan
from edge.space import Block, SearchSpace
from edge.spec import ModelSpec, Recipe

Content = Piece | ModelSpec
"""What a file holds: blocks in a row, or a whole network of the space."""

MOST_PASSES = 25
AGREE = 0.03
"""Two rounds' least times of a file agree within this share; ours, below the error that a table may have."""

Some = TypeVar("Some", bound=Content)
Name = TypeVar("Name")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is timed: `rounds` starts of the runtime with `passes` over all files each, `plan.runs` of each at once.

    A pass over one file ends early after `plan.budget_s` seconds. Few files get more passes, so that a round has at least
    `turns` passes over a file: else a moment of other work on the machine could cover all of it.
    """

    rounds: int = 3
    passes: int = 3
    turns: int = 200
    more_rounds: int = 4
    """At most, while a file's least time is confirmed by no other round; of all files, so that all get the same chances."""
    plan: TimingPlan = field(default_factory=lambda: TimingPlan(warmup=3, runs=25, budget_s=0.25))


@dataclass(frozen=True, slots=True)
class FileTime:
    """One file's passes over all rounds.

    `ms` is the smallest median of a pass. Other work on the machine, and a low clock, only ever add time, and they last
    longer than a pass: each file gets its quietest pass, and since files take turns all get the same chances.
    """

    passes: tuple[Measurement, ...]

    @property
    def ms(self) -> float:
        return min(each.median_ms for each in self.passes)

    @property
    def samples_ms(self) -> list[list[float]]:
        return [list(each.samples_ms) for each in self.passes]

    def network(self, scale: float = 1.0) -> Timed:
        """Of a file that holds a whole network, its time multiplied by `scale`."""
        return Timed(self.ms * scale, self.passes[0].source, now(), {"network": self.samples_ms})


@dataclass(frozen=True, slots=True)
class Captured:
    """The file with the program of `content`, and the card of the file to be made of it."""

    content: Content
    program: Path
    card: str


@dataclass(frozen=True)
class Bench:
    """Files of one space for one target, kept in `scratch`, and the device that times them."""

    space: SearchSpace
    setup: Setup
    scratch: Path
    log: Path
    effort: Effort = field(default_factory=Effort)
    _files: dict[Content, Path] = field(default_factory=dict)

    def time(self, contents: Iterable[Some], seed: int = 0) -> dict[Some, FileTime]:
        """Export what is not there yet, then time everything in turns. Raises `ConversionError` and what devices raise."""
        wanted = list(dict.fromkeys(contents))
        self._export([content for content in wanted if content not in self._files])
        return self.time_files({content: self._files[content] for content in wanted}, seed)

    def time_files(self, files: Mapping[Name, Path], seed: int = 0) -> dict[Name, FileTime]:
        """Time files of the bench's target in turns, each under its own name. Raises what devices raise."""
        wanted = list(files)
        rounds: dict[Name, list[FileTime]] = {name: [] for name in wanted}
        random = Random(seed)
        for number in range(self.effort.rounds + self.effort.more_rounds):
            if number >= self.effort.rounds and all(map(_confirmed, rounds.values())):
                break
            random.shuffle(wanted)  # what stands before a file, or at the end of a round, changes
            for name, time in self._round({name: files[name] for name in wanted}).items():
                rounds[name].append(time)
        times = {
            name: FileTime(tuple(each for time in found for each in time.passes)) for name, found in rounds.items()
        }
        _refuse_a_change([each for time in times.values() for each in time.passes])
        return times

    def _round(self, files: Mapping[Name, Path]) -> dict[Name, FileTime]:
        """One start of the runtime, and all its passes."""
        if not files:
            return {}
        turns = max(self.effort.passes, min(MOST_PASSES, -(-self.effort.turns // len(files))))
        device = plugins.device(self.setup.address)
        found = device.time_in_turns([*files.values()], self.effort.plan, passes=turns, log=self.log)
        return {name: FileTime(passes) for name, passes in zip(files, found, strict=True)}

    def tag(self) -> Tag:
        """What the device and its runtime are, from timing the smallest file there is."""
        smallest = (Block(PROBE, (), (1, 8, 8), (1, 8, 8)),)
        self._export([content for content in [smallest] if content not in self._files])
        plan = TimingPlan(warmup=0, runs=1, threads=self.effort.plan.threads)
        measured = plugins.device(self.setup.address).time(self._files[smallest], plan, log=self.log)
        return Tag.found(self.setup, measured)

    def _export(self, contents: Sequence[Content]) -> None:
        """Each worker process converts its share one after another: starting a vendor's converter costs seconds.

        Long files and short ones are shared out evenly. An interruption ends the workers.
        """
        workers = min(os.cpu_count() or 1, len(contents))
        contents = sorted(contents, key=self._length, reverse=True)
        with ThreadPoolExecutor(max(1, workers)) as pool:
            jobs: list[Future[dict[Content, Path]]] = []
            try:
                for first in range(workers):  # captured here while the shares before convert
                    share = [self._capture(content) for content in contents[first::workers]]
                    jobs.append(pool.submit(self._converted, share))
                for job in jobs:
                    self._files.update(job.result())
            except BaseException:
                worker.stop_all()
                raise

    def _length(self, content: Content) -> int:
        """Blocks inside."""
        return len(self.space.blocks(content) if isinstance(content, ModelSpec) else content)

    def _converted(self, share: Sequence[Captured]) -> dict[Content, Path]:
        recipe = Recipe(self.setup.target, self.setup.precision)
        suffix = plugins.exporter(recipe.exporter).suffix
        paths = {each.content: each.program.with_suffix(suffix) for each in share}
        items = [
            {
                "program": str(each.program),
                "recipe": asdict(recipe),
                "card": each.card,
                "path": str(paths[each.content]),
            }
            for each in share
        ]
        doing = f"converting {len(items)} files to {recipe.exporter}"
        worker.run(worker.Job("edge.tasks:convert_many", {"items": items}, self.log, doing, ConversionError))
        return paths

    def _capture(self, content: Content) -> Captured:
        import torch

        from edge import programs
        from edge.latency.modules import model

        number = len(list(self.scratch.glob("*.pt2")))
        made = model(self.space, content, seed=number)
        path = self.scratch / f"{number}.pt2"
        torch.export.save(programs.captured(made, made.deploy(), None), path)
        card = programs.card(made, Recipe(self.setup.target, self.setup.precision)).to_json()
        return Captured(content, path, card)


def _confirmed(rounds: Sequence[FileTime]) -> bool:
    """Whether two rounds agree on the least time: one alone may be all the quiet there was, or none."""
    least = sorted(time.ms for time in rounds)[:2]
    return least[-1] <= (1 + AGREE) * least[0]


def name(piece: Piece) -> str:
    """`5 x meta4d …`, or blocks joined by `+`."""
    if len(piece) > 1 and len({*piece}) == 1:
        return f"{len(piece)} x {piece[0].key}"
    return " + ".join(block.key for block in piece)


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _refuse_a_change(measurements: Sequence[Measurement]) -> None:
    """Times of two devices or two runtimes do not add up: a phone may have been changed for another meanwhile."""
    kinds = {(each.device, each.runtime, each.source) for each in measurements}
    if len(kinds) > 1:
        raise DeviceError(f"the device changed meanwhile: {kinds}", hint="start again; what was finished is kept")
