"""Two networks of a space are trained, exported and timed whole on this host, and are models afterwards."""

from __future__ import annotations

import json

import pytest

from edge import plugins
from edge.latency.bench import Effort
from edge.latency.tag import Setup
from edge.models.sources import resolve, usual_preprocess
from edge.protocol import TimingPlan
from edge.reference import ModelRequest
from edge.search.budget import Budget
from edge.search.final import EXPORTS, Finishing, Pick, finish
from edge.search.latencies import latencies
from edge.search.sizes import sizes
from edge.search.story import Role
from edge.search.trial import Evaluation, Trial
from edge.spec import Precision, Recipe
from edge.training.recipe import TrainingRecipe
from edge.training.watch import Watcher

EFFORT = Effort(rounds=2, passes=2, turns=1, more_rounds=0, plan=TimingPlan(warmup=1, runs=6, budget_s=0.1))
SIZE = (32, 32)


def trial(space, spec):
    return Trial(spec, Evaluation(0.5, 0.5), 1.0, *sizes(space, spec))


@pytest.mark.parametrize("target", ["tflite", "executorch"])
def test_picked_networks_are_trained_exported_and_timed_and_a_second_call_finds_them(target, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    space = plugins.space("vanillanet", SIZE, 10)
    small, large = (trial(space, spec) for spec in (space.smallest(), space.uniform(0.5)))
    picks = [
        Pick(Role.BEST, Budget("4.0ms", 4.0), large),
        Pick(Role.UNIFORM, Budget("4.0ms", 4.0), small),
        Pick(Role.BEST, Budget("50%", 2.0), small),
    ]
    recipe = TrainingRecipe(epochs=4, warmup_epochs=0.4, ema=0.0)
    preprocess = usual_preprocess(space.name, SIZE)
    how = Finishing(run, "digits", recipe, Recipe(target), preprocess, run / "logs")
    setup = Setup.of(space, "host", target, Precision.FP32, 1)
    with latencies(space, setup, run, EFFORT, run / "log", print) as timed:
        found = finish(picks, how, timed, Watcher(), print)
        again = finish(picks, how, timed, Watcher(), print)
    assert again == found
    assert [each.name for each in found] == ["best-4.0ms", "uniform-4.0ms", "best-50%"]
    assert [each.verdict for each in found] == ["ok"] * 3
    assert all(each.measured_ms > 0 and each.accuracy > 0.2 for each in found)
    assert (found[1].measured_ms, found[1].accuracy) == (found[2].measured_ms, found[2].accuracy)
    samples = json.loads((run / "finished.json").read_text())["samples"]
    assert {name: len(each["samples_ms"]) for name, each in samples.items()} == {"best-4.0ms": 4, "uniform-4.0ms": 4}
    moved = run.rename(tmp_path / "moved")
    for each in found:
        model = resolve(ModelRequest(str(moved / each.path)))
        assert sum(parameter.numel() for parameter in model.deploy().parameters()) == each.params
    assert {path.suffix for path in (moved / EXPORTS).glob("*/*-4.0ms*")} == {plugins.exporter(target).suffix}
