"""Which networks are trained to the end: those that keep their budget on the device, whatever the table said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import ConversionError, UsageError
from edge.measurement import Source
from edge.models import point
from edge.preprocess import Preprocess
from edge.reference import ModelRequest
from edge.search import final
from edge.search.budget import Budget
from edge.search.final import AT_ONCE, MOST, Finishing, Pick, chosen, finish, largest_uniform
from edge.search.story import Finished, Role
from edge.search.trial import Evaluation, Trial
from edge.spec import ModelSpec, Recipe
from edge.training.recipe import TrainingRecipe
from edge.training.record import EpochMetrics
from edge.training.run import TrainingReport
from edge.training.watch import Watcher

BUDGET = Budget("2.0ms", 2.0)
GREY = Preprocess(32, 32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def trial(number, *, predicted_ms=1.0, params=10):
    """The higher the number, the better the network."""
    return Trial(ModelSpec("toy", {"number": number}), Evaluation(0.5, number / 100), predicted_ms, params, 20)


class Stopwatch:
    """Whole networks take as long as it was told, else 1 ms; remembers what was timed together."""

    def __init__(self, ms=None):
        self.ms, self.asked = ms or {}, []

    def measure_ms(self, specs):
        self.asked.append([spec.choices["number"] for spec in specs])
        return tuple(self.ms.get(spec.choices["number"], 1.0) for spec in specs)


def test_the_best_that_keeps_its_budget_on_the_device_is_chosen():
    trials = [trial(number) for number in range(6)]
    assert chosen(trials, BUDGET, Stopwatch()) == trials[5]
    assert chosen(trials, BUDGET, Stopwatch({5: 2.01, 4: 2.5, 3: 2.0})) == trials[3]


def test_a_few_are_timed_together_until_one_keeps_the_budget():
    stopwatch = Stopwatch(dict.fromkeys((9, 8, 7), 3.0))
    assert chosen([trial(number) for number in range(10)], BUDGET, stopwatch) == trial(6)
    assert stopwatch.asked == [[9, 8, 7], [6, 5, 4]]


def test_when_none_of_the_first_keeps_the_budget_none_is_chosen():
    stopwatch = Stopwatch(dict.fromkeys(range(100), 3.0))
    assert chosen([trial(number) for number in range(50)], BUDGET, stopwatch) is None
    assert [len(asked) for asked in stopwatch.asked] == [AT_ONCE] * (MOST // AT_ONCE)
    assert chosen([], BUDGET, stopwatch) is None


def test_what_the_table_or_its_size_rules_out_is_not_timed():
    stopwatch = Stopwatch()
    trials = [trial(1), trial(2, predicted_ms=2.1), trial(3, params=11)]
    assert chosen(trials, replace(BUDGET, params=10), stopwatch) == trials[0]
    assert stopwatch.asked == [[1]]


def test_the_baseline_is_the_largest_that_keeps_the_budget_however_good_it_is():
    trials = [trial(9, predicted_ms=0.5), trial(1, predicted_ms=1.9), trial(5, predicted_ms=1.5)]
    assert largest_uniform(trials, BUDGET, Stopwatch()) == trials[1]
    assert largest_uniform(trials, BUDGET, Stopwatch({1: 2.1})) == trials[2]


def test_a_baseline_that_the_table_puts_just_above_the_budget_is_timed_too():
    trials = [trial(1, predicted_ms=1.9), trial(2, predicted_ms=2.1), trial(3, predicted_ms=2.5)]
    stopwatch = Stopwatch({2: 1.95})
    assert largest_uniform(trials, BUDGET, stopwatch) == trials[1]
    assert stopwatch.asked == [[2, 1]]


@pytest.fixture
def how(tmp_path):
    return Finishing(
        tmp_path, "digits", TrainingRecipe(epochs=2, warmup_epochs=0), Recipe("tflite"), GREY, tmp_path / "logs", seed=3
    )


def test_all_are_trained_by_one_recipe_from_their_own_points(how):
    picks = [Pick(role, BUDGET, trial(number)) for number, role in enumerate(Role)]
    orders = [how.order(pick.trial.spec, pick.name, None) for pick in picks]
    assert [order.out.name for order in orders] == ["best-2.0ms", "uniform-2.0ms"]
    assert [point.spec_of(order.request.reference) for order in orders] == [pick.trial.spec for pick in picks]
    for order in orders:
        assert (order.recipe, order.data, order.request.seed, order.teacher) == (how.recipe, "digits", 3, None)
        assert (order.request.image_size, order.request.mean, order.request.weights) == ((32, 32), GREY.mean, None)


def test_fine_tuning_starts_from_the_weights_of_that_very_network(how):
    how = replace(how, weights=lambda spec: Path(f"{spec.choices['number']}.safetensors"))
    assert how.order(trial(4).spec, "best", None).request.weights == Path("4.safetensors")


def test_the_teacher_learns_on_before_the_others_learn_from_it(how, monkeypatch):
    orders = []

    def train(order, *_):
        orders.append(order)
        return TrainingReport(order.out, (EpochMetrics(1, 0.5, 0.25, 0.1, 1.0),), 1, leads=True)

    def export(*_):
        raise ConversionError("as far as this test goes")

    monkeypatch.setattr(final, "train", train)
    monkeypatch.setattr(final, "export", export)
    picks = [Pick(role, BUDGET, trial(number)) for number, role in enumerate(Role)]
    with pytest.raises(ConversionError):
        finish(picks, replace(how, teacher=trial(9).spec), None, Watcher(), print)
    teacher, *others = orders
    assert (point.spec_of(teacher.request.reference), teacher.teacher) == (trial(9).spec, None)
    assert [order.out.name for order in others] == [pick.name for pick in picks]
    assert {order.teacher for order in others} == {ModelRequest(str(teacher.out))}


def finished(pick):
    known = pick.trial
    return Finished(pick.name, pick.role, 2.0, known.spec, 1.0, 1.1, Source.MEASURED, 0.9, 10, 20, pick.name, "ok")


def test_what_was_finished_before_is_not_done_again(how):
    picks = [Pick(Role.BEST, BUDGET, trial(1))]
    document = {"finished": [finished(pick).fields() for pick in picks]}
    (how.run / final.FINISHED).write_text(json.dumps(document))
    assert finish(picks, how, None, Watcher(), print) == (finished(picks[0]),)


def test_a_record_that_was_changed_by_hand_is_refused(how):
    (how.run / final.FINISHED).write_text("[]")
    with pytest.raises(UsageError, match=r"finished\.json cannot be read"):
        finish([], how, None, Watcher(), print)


def test_activations_that_are_linear_already_stay_so(how):
    assert how.order(trial(4).spec, "best", None).leak_epochs is None
    assert replace(how, leak_epochs=0).order(trial(4).spec, "best", None).leak_epochs == 0
