"""A made-up search: the networks are those of a real space, every time and every accuracy is invented, the same each time."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from random import Random

from edge import plugins
from edge.latency.tag import Setup, Tag
from edge.measurement import Source
from edge.search.budget import Budget
from edge.search.story import Anchor, Finished, Role, Story
from edge.search.trial import Candidate, Evaluation, Step, Trial
from edge.space import SearchSpace
from edge.spec import ModelSpec, Precision
from edge.training.record import EpochMetrics

DATA = "digits"
BUDGETS = (Budget("4.0ms", 4.0), Budget("50%", 3.25), Budget("2.5ms", 2.5, params=2_000_000))


def tag(space: SearchSpace) -> Tag:
    """Of a device that nobody has."""
    setup = Setup.of(space, "host", "tflite", Precision.FP32, 1)
    return Tag(setup, "f1d2-host", "Toy CPU, 2 cores", "LiteRT 2.1.0")


@cache
def space(name: str = "efficientformer") -> SearchSpace:
    """For pictures like the digits."""
    return plugins.space(name, (32, 32), 10)


@cache
def block_ms(of: SearchSpace) -> dict[str, float]:
    """A time for every block, by its sizes."""
    return {
        block.key: 0.05 + math.prod(block.output) ** 0.5 / 300 + len(block.kind) / 200 for block in of.every_block()
    }


def trial(of: SearchSpace, spec: ModelSpec) -> Trial:
    """A larger network answers better, with a little luck."""
    times = block_ms(of)
    predicted_ms = 0.1 + sum(times[block.key] for block in of.blocks(spec))
    luck = Random(str(spec.fields())).uniform(-0.015, 0.015)
    confidence = 0.97 - 0.5 * math.exp(-0.8 * predicted_ms) + luck
    evaluation = Evaluation(round(min(1.0, confidence + 0.02) * 360) / 360, confidence)
    return Trial(spec, evaluation, predicted_ms, int(4e5 * predicted_ms), int(2e7 * predicted_ms))


@cache
def story(name: str = "efficientformer") -> Story:
    """A search that is over."""
    of, random = space(name), Random(0)
    steps = _steps(of, random)
    trials = tuple(trial(of, of.draw(random)) for _ in range(150)) + tuple(step.trial for step in steps)
    uniform = tuple((share, trial(of, of.uniform(share))) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    known = tuple(step.trial for step in steps if step.measured_ms is not None)
    measured = tuple(Anchor(each.spec, each.predicted_ms, _measured(each), Source.MEASURED) for each in known)
    return replace(
        begun(name),
        supernet=tuple(
            EpochMetrics(n, 2.3 * math.exp(-n / 8), 1 - 0.8 * math.exp(-n / 6), 1e-3, 2.0) for n in range(1, 31)
        ),
        importance=_importance(of),
        trials=trials,
        members={member: trial(of, spec) for member, spec in of.members.items()},
        uniform=uniform,
        steps=steps,
        measured=measured,
        finished=_finished(trials, uniform),
        evaluations_per_minute=412.0,
        block_ms=block_ms(of),
        seconds={"train the supernet": 312.0, "search": 120.5, "train what was chosen": 400.0},
    )


def begun(name: str = "efficientformer") -> Story:
    """A search that knows what it is asked for, and nothing else."""
    of = space(name)
    ends = tuple(trial(of, spec).predicted_ms for spec in (of.smallest(), of.largest()))
    return Story(tag(of), DATA, "slimming", "small", "finetune", 7, BUDGETS, (ends[0], ends[1]))


def _steps(of: SearchSpace, random: Random) -> tuple[Step, ...]:
    at = trial(of, of.largest())
    found = [Step("start at the largest network", at, (), _measured(at))]
    while at.predicted_ms > BUDGETS[-1].ms:
        faster = [trial(of, of.mutate(at.spec, random)) for _ in range(12)]
        candidates = tuple(
            Candidate(_action(at.spec, each.spec), each, _cost(at, each))
            for each in faster
            if each.predicted_ms < at.predicted_ms
        )
        if candidates:
            taken = min(candidates, key=lambda candidate: candidate.cost_per_ms)
            at = taken.trial
            found.append(Step(taken.action, at, candidates, _measured(at) if len(found) % 4 == 0 else None))
    return tuple(found)


def _action(before: ModelSpec, after: ModelSpec) -> str:
    changed = [name for name, value in after.choices.items() if value != before.choices[name]]
    return ", ".join(f"{name} {before.choices[name]} → {after.choices[name]}" for name in changed)


def _cost(before: Trial, after: Trial) -> float:
    return (before.evaluation.confidence - after.evaluation.confidence) / (before.predicted_ms - after.predicted_ms)


def _measured(of: Trial) -> float:
    return of.predicted_ms * Random(str(of.spec.fields())).uniform(0.93, 1.08)


def _importance(of: SearchSpace) -> dict[str, dict[int | str, float]]:
    found: dict[str, dict[int | str, float]] = {}
    random = Random(1)
    for name, values in of.choices.items():
        if ".block" in name and len(values) > 1:
            drawn = [random.random() for _ in values]
            found[name] = {value: each / sum(drawn) for value, each in zip(values, drawn, strict=True)}
    return found


def _finished(trials: tuple[Trial, ...], uniform: tuple[tuple[float, Trial], ...]) -> tuple[Finished, ...]:
    found = []
    for budget in BUDGETS:
        best = max((each for each in trials if budget.fits(each)), key=lambda each: each.evaluation.confidence)
        scaled = min((each for _, each in uniform), key=lambda each: abs(each.predicted_ms - budget.ms))
        for role, each, luck in ((Role.BEST, best, 0.0), (Role.UNIFORM, scaled, -0.01)):
            name = f"{role}-{budget.name}"
            accuracy, ms = each.evaluation.accuracy + luck, _measured(each)
            found.append(
                Finished(
                    name, role, budget.ms, each.spec, each.predicted_ms, ms, Source.MEASURED, accuracy,
                    each.params, each.macs, f"RUN/{name}", "ok",
                )
            )  # fmt: skip
    return tuple(found)
