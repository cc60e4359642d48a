"""A search from order to story: budgets, supernet, strategy, and the networks that are trained and measured in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from edge import plugins, runfolder, whole
from edge.errors import UsageError
from edge.latency.bench import Effort as Timing
from edge.latency.tag import Setup
from edge.models import point
from edge.models.weights import save_weights
from edge.search import story as stories
from edge.search.budget import Budget
from edge.search.crew import crew, one_thread
from edge.search.evaluation import Judge
from edge.search.final import Finishing, Pick, chosen, finish, largest_uniform
from edge.search.lab import Workbench
from edge.search.latencies import Latencies, latencies, reachable, resolve
from edge.search.lesson import fine_tuning, judge, lesson, recipe
from edge.search.mixing import MixedSupernet
from edge.search.order import Finish, SearchOrder
from edge.search.page import render
from edge.search.pictures import SearchPictures, search_pictures
from edge.search.place import LENT, PAGE, SUPERNET, Place
from edge.search.sizes import require_room
from edge.search.story import Anchor, Finished, Role, Story
from edge.search.strategy import Strategy
from edge.search.supernet_training import load, trained
from edge.search.trial import Trial
from edge.search.trials import Trials
from edge.search.uniform_networks import uniform_networks
from edge.search.watch import Phase, SearchWatcher
from edge.space import SearchSpace
from edge.spec import ModelSpec, Recipe
from edge.training.loop import Leaky
from edge.training.parallel import Group, alone, joined
from edge.training.record import Record

Warn = Callable[[str], None]
PATIENCE_S, LOOK_S = 120, 2
"""How long a process that joined waits for a leader that is silent or has yet to begin, and how often it looks for the
supernet."""


def search(order: SearchOrder, place: Place, watcher: SearchWatcher, warn: Warn) -> Story | None:
    """Search, or go on where a search with the same settings ended in the folder; None in processes that only help to train.

    Raises `UsageError` for a folder of another search, for budgets out of reach and for pictures that make no classifier,
    and what exporters and devices raise; what was done until then is kept.
    """
    strategy = plugins.strategy(order.strategy)
    with joined() as group:
        pictures = search_pictures(order.data, order.space, order.image_size, order.seed, workers=place.workers)
        space = plugins.space(order.space, order.image_size, pictures.num_classes)
        desk = _Desk(order, place, space, pictures, watcher if group.leads else SearchWatcher(), warn)
        budgets = _begun(desk) if group.leads else ()
        with desk.phase(Phase.SUPERNET) if group.leads else nullcontext():
            supernet = desk.supernet(group)
    if not group.leads:
        return None
    with alone(), desk.latencies() as timed:
        return _told(desk, strategy, budgets, supernet, timed)


def join(place: Place, data: str | None, warn: Warn) -> int:
    """Try networks for the search in the place until it ends; returns how many were tried here.

    `data` says where its pictures lie on this machine, None: where the search has them. Waits for the supernet. Raises
    `UsageError` for other pictures than the search's.
    """
    order, fingerprint = place.claimed()
    data = data or order.data
    pictures = search_pictures(data, order.space, order.image_size, order.seed, workers=place.workers)
    if pictures.fingerprint != fingerprint:
        raise UsageError(f"{data} has other pictures than the search", hint="give the same ones with --data")
    space = plugins.space(order.space, order.image_size, pictures.num_classes)
    desk = _Desk(order, place, space, pictures, SearchWatcher(), warn)
    weights = place.run / SUPERNET / runfolder.WEIGHTS
    if not weights.exists():
        warn(f"waiting for {weights}")
    while not weights.exists():
        time.sleep(LOOK_S)
    asked = desk.judge(load(space, place.run / SUPERNET))
    with Trials.join(place.url, desk.identity(), patience_s=PATIENCE_S) as trials, one_thread():
        return trials.serve(asked, PATIENCE_S)


@dataclass(frozen=True)
class _Desk:
    """What the parts of a search share."""

    order: SearchOrder
    place: Place
    space: SearchSpace
    pictures: SearchPictures
    watcher: SearchWatcher
    warn: Warn

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Tell the watcher, and add how long it took to what the folder remembers, also when it is interrupted."""
        self.watcher.begins(phase)
        started = time.monotonic()
        try:
            yield
        finally:
            self.place.spend(phase.value, time.monotonic() - started)

    def latencies(self) -> AbstractContextManager[Latencies]:
        order, log = self.order, self.place.logs / "latency.log"
        setup = Setup.of(self.space, order.device, order.target, order.precision, order.threads)
        return latencies(self.space, setup, self.place.run, Timing(), log, self.watcher.says, table=order.table)

    def supernet(self, group: Group) -> MixedSupernet:
        """Trained, or found finished."""
        order, own = self.order, lesson(self.order, self.pictures)
        folder = self.place.run / SUPERNET
        with self.watcher.training("the supernet") as bar:
            return trained(
                self.space, own, order.work.calibration, self.pictures.fingerprint, folder, group=group, watcher=bar
            )

    def judge(self, supernet: MixedSupernet) -> Judge:
        return judge(supernet, lesson(self.order, self.pictures), self.order.work.calibration)

    def identity(self) -> dict[str, str]:
        """All that an evaluation depends on."""
        supernet = whole.sha256(self.place.run / SUPERNET / runfolder.WEIGHTS)
        own = {"supernet_sha256": supernet, "pictures_sha256": self.pictures.fingerprint}
        return {"space": self.space.name, "calibration": str(self.order.work.calibration), **own}


def _begun(desk: _Desk) -> tuple[Budget, ...]:
    """Take the folder, and say what the budgets are on the device, before anything is trained."""
    order = desk.order
    desk.place.claim(order, desk.pictures.fingerprint)
    if desk.pictures.unreadable:
        desk.warn(f"left out, as they cannot be read as pictures: {len(desk.pictures.unreadable)}")
    require_room(desk.space, order.params, order.macs)
    with desk.phase(Phase.BLOCKS), desk.latencies() as timed:
        timed.require_device()
        budgets = resolve(order.limits, order.params, order.macs, timed)
    desk.watcher.aims(budgets)
    return budgets


def _told(
    desk: _Desk, strategy: Strategy, budgets: tuple[Budget, ...], supernet: MixedSupernet, timed: Latencies
) -> Story:
    order = desk.order
    story = Story(
        tag=timed.table.tag,
        data=order.data,
        strategy=strategy.name,
        effort=order.effort.value,
        finish=order.finish.value,
        seed=order.seed,
        budgets=budgets,
        reachable_ms=reachable(timed),
        supernet=Record(desk.place.run / SUPERNET).metrics(),
        importance=supernet.mixing.importance(),
    )
    asked = desk.judge(supernet)
    with (
        desk.phase(Phase.SEARCH),
        Trials.create(desk.place.url, desk.identity()) as trials,
        crew(desk.place),
    ):
        lab = Workbench(
            desk.space, budgets, order.work, order.seed, story.importance,
            judge=asked, trials=trials, latencies=timed, watcher=desk.watcher,
        )  # fmt: skip
        steps = strategy.search(lab)
        searched = lab.tried
        uniform = _uniform(lab)
        members = dict(zip(desk.space.members, lab.evaluate([*desk.space.members.values()]), strict=True))
        removal = {} if story.importance else _removal(lab)
        trials.finish()
    story = replace(
        story, steps=steps, trials=lab.tried, uniform=uniform, members=members, removal=removal,
        evaluations_per_minute=lab.evaluations_per_minute or _rate_before(desk.place.run),
    )  # fmt: skip
    _publish(desk, story, timed)
    with desk.phase(Phase.FINAL):
        finished = _finished(desk, searched, story, asked, timed)
    story = replace(story, finished=finished)
    _publish(desk, story, timed)
    return story


def _rate_before(run: Path) -> float | None:
    """How many networks were tried a minute when this search last told its story, for now there may be none left to try."""
    try:
        return stories.read(run).evaluations_per_minute
    except UsageError:  # no story yet, or one that will be written anew
        return None


def _uniform(lab: Workbench) -> tuple[tuple[float, Trial], ...]:
    """What scaling by hand gives, with its share of the way from the smallest to the largest."""
    specs = uniform_networks(lab.space)
    return tuple(zip((index / (len(specs) - 1) for index in range(len(specs))), lab.evaluate(specs), strict=True))


def _removal(lab: Workbench) -> dict[str, float]:
    """How much confidence is lost when one choice of the largest network alone is at its cheapest."""
    largest = lab.space.largest()
    cheap = {
        name: lab.space.canonical(ModelSpec(largest.space, {**largest.choices, name: values[0]}))
        for name, values in lab.space.choices.items()
    }
    whole_network, *others = lab.evaluate([largest, *cheap.values()])
    confidence = whole_network.evaluation.confidence
    return {name: confidence - trial.evaluation.confidence for name, trial in zip(cheap, others, strict=True)}


def _finished(
    desk: _Desk, searched: tuple[Trial, ...], story: Story, asked: Judge, timed: Latencies
) -> tuple[Finished, ...]:
    """For each budget the network that the search chose and the uniform one, trained alike and measured whole."""
    uniform = tuple(trial for _, trial in story.uniform)
    picks: list[Pick] = []
    for budget in story.budgets:
        for role, trial in (
            (Role.BEST, chosen(searched, budget, timed)),
            (Role.UNIFORM, largest_uniform(uniform, budget, timed)),
        ):
            if trial is None:
                desk.warn(f"{role} for {budget.name}: of the networks that should fit, none did when it was measured")
            else:
                picks.append(Pick(role, budget, trial))
    with desk.watcher.training("the networks that were chosen") as bar:
        return finish(picks, _finishing(desk, asked), timed, bar, desk.warn)


def _finishing(desk: _Desk, asked: Judge) -> Finishing:
    order, largest = desk.order, desk.space.largest()
    finetunes = order.finish is Finish.FINETUNE
    leaks = isinstance(desk.space.build(largest), Leaky)
    return Finishing(
        run=desk.place.run,
        data=order.data,
        recipe=(fine_tuning if finetunes else recipe)(order.work.final_epochs),
        target=Recipe(order.target, order.precision),
        preprocess=desk.pictures.preprocess,
        logs=desk.place.logs,
        seed=order.seed,
        weights=(lambda spec: _lent(asked, spec, desk.place.run / LENT)) if finetunes else None,
        teacher=largest if finetunes else None,
        leak_epochs=0 if finetunes and leaks else None,
        workers=desk.place.workers,
    )


def _lent(asked: Judge, spec: ModelSpec, folder: Path) -> Path:
    """The file with a network's weights as the supernet lends them, its batch norms calibrated."""
    path = folder / f"{point.stem(point.reference(spec))}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(asked.calibrated(spec), path)
    return path


def _publish(desk: _Desk, story: Story, timed: Latencies) -> None:
    """Write the story and its page, whole."""
    anchors = (
        Anchor(spec, timed.predict_ms([spec])[0], whole_network.ms, whole_network.source)
        for spec, whole_network in timed.measured.items()
    )
    blocks = {key: block.ms for key, block in timed.table.blocks().items()}
    story = replace(story, measured=tuple(anchors), block_ms=blocks, seconds=desk.place.spent())
    stories.write(story, desk.place.run)
    whole.write_text(desk.place.run / PAGE, render(story))
