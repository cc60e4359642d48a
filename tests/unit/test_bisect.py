"""The first bad operator is the one at fault: not one that comes later, not one whose inputs were already wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from edge.bisect import against_file, against_program
from edge.bisect.culprit import deviation
from edge.errors import BadArtifactError
from edge.parts import Operator, Parts
from edge.passes.capture import capture

BOUND = 1e-4


def op(name: str, compute: Callable, *inputs: str, kind: str = "op") -> Operator:
    return Operator(name, kind, inputs, (name,), lambda rows: [(compute(*row),) for row in rows])


def chain(*operators: Operator) -> Parts:
    return Parts(("x",), operators)


def rows(count: int = 3) -> list[tuple[np.ndarray]]:
    return [(row,) for row in np.random.default_rng(0).standard_normal((count, 1, 6)).astype(np.float32)]


SOUND = (
    op("a", lambda x: x * 2, "x"),
    op("b", lambda a: np.maximum(a, 0), "a"),
    op("c", lambda a, b: a + b, "a", "b"),
    op("d", np.exp, "c"),
    op("e", lambda d: d / d.sum(), "d"),
)


def replaced(name: str, *instead: Operator) -> Parts:
    return chain(*(new for each in SOUND for new in (instead if each.name == name else (each,))))


def blame(suspect: Parts, sound: Parts | None = None) -> tuple[str, int] | None:
    found = against_file.first_bad(suspect, sound or chain(*SOUND), rows(), BOUND)
    return None if found is None else (found.name, found.index)


def test_equal_files_have_no_bad_operator():
    assert blame(chain(*SOUND)) is None


@pytest.mark.parametrize(("name", "inputs"), [("a", "x"), ("b", "a"), ("d", "c"), ("e", "d")])
def test_the_operator_that_computes_something_else_is_named(name, inputs):
    index = [each.name for each in SOUND].index(name)
    assert blame(replaced(name, op(name, lambda value: np.tanh(value) + 1, inputs))) == (name, index)


def test_of_two_faults_the_first_is_named():
    broken = [op(each.name, lambda value: -value, *each.inputs) if each.name in "bd" else each for each in SOUND]
    assert blame(chain(*broken)) == ("b", 1)


def test_a_fault_within_the_bound_that_later_operators_magnify_is_named():
    loud = (*SOUND[:2], *SOUND[2:4], op("e", lambda d: np.sin(d * 1e6), "d"))
    quiet = op("b", lambda a: np.maximum(a, 0) + np.float32(3e-5), "a")
    found = against_file.first_bad(chain(SOUND[0], quiet, *loud[2:]), chain(*loud), rows(), BOUND)
    assert found is not None
    assert found.name == "b"
    assert 0 < found.error < BOUND


def test_rounding_in_every_operator_is_no_fault():
    noisy = [
        op(each.name, lambda *v, run=each.run: run([v])[0][0] * np.float32(1 + 2e-7), *each.inputs) for each in SOUND
    ]
    assert blame(chain(*noisy)) is None


def test_an_operator_that_reads_another_value_is_named():
    assert blame(replaced("c", op("c", lambda a, b: a + b, "b", "b"))) == ("c", 2)


def test_an_operator_that_only_the_suspect_has_is_named():
    extra = (op("extra", lambda b: 1 / (1 + np.exp(-b)), "b"), op("c", lambda a, b: a + b, "a", "extra"))
    assert blame(replaced("c", *extra)) == ("extra", 2)


def test_an_operator_that_takes_the_name_of_the_one_before_is_named():
    inserted = (op("b_raw", lambda a: np.maximum(a, 0), "a"), op("b", lambda b: b - 1, "b_raw"))
    assert blame(replaced("b", *inserted)) == ("b", 2)


def test_where_an_operator_was_lost_its_reader_is_named():
    assert blame(chain(SOUND[0], op("c", lambda a: a + a, "a"), *SOUND[3:])) == ("c", 1)


def test_another_way_to_compute_the_same_is_not_blamed():
    halves = (op("lower", lambda a: np.minimum(a, 0), "a"), op("b2", lambda a, low: a - low, "a", "lower"))
    rewired = (*halves, op("c", lambda a, b: a + b, "a", "b2"), op("d", np.cos, "c"), SOUND[4])
    assert blame(chain(SOUND[0], *rewired)) == ("d", 4)


def test_another_way_to_compute_the_same_right_before_the_fault_is_not_blamed():
    halves = (op("lower", lambda a: np.minimum(a, 0), "a"), op("b2", lambda a, low: a - low, "a", "lower"))
    rewired = (*halves, op("c", lambda a, b: a * b, "a", "b2"), *SOUND[3:])
    assert blame(chain(SOUND[0], *rewired)) == ("c", 3)


def test_a_result_of_another_shape_is_named():
    found = against_file.first_bad(replaced("d", op("d", lambda c: c[:, :3], "c")), chain(*SOUND), rows(), BOUND)
    assert found is not None
    assert (found.name, found.error) == ("d", math.inf)
    assert found.fields()["error"] is None


def test_a_value_that_the_twin_refuses_is_the_fault_of_its_maker():
    def refuse(given):
        raise BadArtifactError("another type")

    picky = chain(*SOUND[:4], Operator("e", "op", ("d",), ("e",), refuse))
    assert blame(chain(*SOUND), picky) == ("e", 4)


def test_files_whose_names_have_nothing_in_common_are_not_alike():
    renamed = chain(*(Operator(f"v{i}", each.type, each.inputs, (f"v{i}",), each.run) for i, each in enumerate(SOUND)))
    assert against_file.alike(chain(*SOUND), chain(*SOUND))
    assert not against_file.alike(renamed, chain(*SOUND))


def test_values_go_after_their_last_use():
    held = []
    bisection = against_file._Bisection(chain(*SOUND), chain(*SOUND), rows(), BOUND)
    for index in range(len(SOUND)):
        bisection.step(index)
        held.append(set(bisection.values))
    assert held == [{"a"}, {"a", "b"}, {"c"}, {"d"}, set()]


def test_a_constant_value_is_measured_by_its_magnitude():
    ones = [np.ones((1, 4), np.float32)]
    assert deviation(ones, [each + np.float32(2e-7) for each in ones]) < BOUND
    assert deviation(ones, [each * 1.01 for each in ones]) > BOUND


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_infinitely_wrong(bad):
    wanted = np.arange(4.0)
    found = wanted.copy()
    found[2] = bad
    assert deviation([wanted], [found]) == math.inf
    assert deviation([found], [found]) == 0


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        return torch.sigmoid(self.second(torch.relu(self.first(x)) * 2))


@pytest.fixture(scope="module")
def small() -> Small:
    return Small().eval()


def numpy_linear(layer: nn.Linear):
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return lambda x: x @ weight.T + bias


def file_of(small: Small, **faults: Callable) -> Parts:
    """Named like no node of the program, and relu and the factor in one, as a converter may fuse them."""
    compute = {
        "first": numpy_linear(small.first),
        "turned": lambda v: v.T,
        "fused": lambda v: 2 * np.maximum(v.T, 0),
        "second": numpy_linear(small.second),
        "out": lambda v: 1 / (1 + np.exp(-v)),
    } | faults
    names = ["x", *compute]
    return chain(*(op(name, function, names[place]) for place, (name, function) in enumerate(compute.items())))


def blame_by_program(small: Small, suspect: Parts) -> str | None:
    program = against_program.ProgramValues(capture(small, (torch.zeros(1, 6),)), rows())
    found = against_program.first_bad(suspect, program, rows(), BOUND)
    return None if found is None else found.name


def test_a_sound_file_is_borne_out_by_the_program(small):
    assert blame_by_program(small, file_of(small)) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("first", lambda x: x[:, [0, 1, 2, 3, 4, 5, 0, 1]] * 3),
        ("fused", lambda v: 3 * np.maximum(v.T, 0)),
        ("second", lambda v: v[:, :4]),
        ("out", np.tanh),
    ],
)
def test_the_first_value_that_the_program_does_not_have_is_named(small, name, fault):
    assert blame_by_program(small, file_of(small, **{name: fault})) == name


def test_a_value_without_counterpart_is_believed_when_what_comes_of_it_is_right(small):
    assert (
        blame_by_program(small, file_of(small, turned=lambda v: v.T + 7, fused=lambda v: 2 * np.maximum(v.T - 7, 0)))
        is None
    )
