"""The float16 report flags what overflows or underflows, at the operator where it happens, and leaves sound networks alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch

from edge import probe, programs
from edge.models.sources import resolve
from edge.passes.capture import rewrite
from edge.plugins import exporter
from edge.reference import ModelRequest
from edge.spec import Recipe
from exporters.coreml.runtime import model
from exporters.coreml.runtime.constants import Stored
from exporters.coreml.runtime.interpreter import Arithmetic, Interpreter
from exporters.coreml.runtime.model import ReferenceModel
from exporters.coreml.runtime.numerics import numerics
from exporters.coreml.runtime.program import Reference

pytest.importorskip("coremltools")
NETWORKS = ("efficientvit_mini", "efficientformer_mini")
FAULTS = 50


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, tuple[ReferenceModel, list[dict[str, np.ndarray]]]]:
    """Models read back from packages, with two inputs each."""
    folder = tmp_path_factory.mktemp("numerics")
    return {name: _network(name, folder / f"{name}.mlpackage") for name in NETWORKS}


def _network(name, path):
    network, coreml, recipe = resolve(ModelRequest(name)), exporter("coreml"), Recipe("coreml")
    program = rewrite(programs.captured(network, network.deploy(), None), coreml.passes())
    coreml.lower(program, recipe, programs.card(network, recipe), path)
    loaded = model.load(path)
    (feature,) = loaded.description.input
    pictures = network.preprocess.normalise(probe.pictures(network.preprocess)[[0, -1]])
    return loaded, [{feature.name: picture[None]} for picture in pictures]


def largest(loaded: ReferenceModel, inputs) -> dict[int, tuple[float, float]]:
    """Per operation, the largest magnitude and the root mean square of its first result, computed exactly."""
    found = {}
    for step in loaded.steps(inputs[0]):
        value = step.values[0]
        found[step.operation.index] = (float(value.abs().max()), float(value.double().square().mean().sqrt()))
    return found


def scaled(loaded: ReferenceModel, layer: int, factor: float) -> ReferenceModel:
    """The model with the weight and bias of one layer multiplied."""
    function = loaded.interpreter.function
    names = {
        operand.name
        for operation in function.body.operations
        if operation.index == layer
        for parameter, operand in operation.operands.items()
        if parameter in {"weight", "bias"} and isinstance(operand, Reference)
    }
    operations = tuple(
        replace(operation, operands={"val": _times(operation.operands["val"], factor)})
        if operation.type == "const" and operation.name in names
        else operation
        for operation in function.body.operations
    )
    changed = replace(function, body=replace(function.body, operations=operations))
    return replace(loaded, interpreter=Interpreter(changed, Arithmetic.EXACT))


def _times(value, factor: float) -> torch.Tensor:
    return (value.tensor() if isinstance(value, Stored) else value) * factor


def faults(networks) -> Iterator[tuple[ReferenceModel, list, int]]:
    """Seeded: a layer of one of the networks whose results are made too large, or too small, for float16."""
    random = Random(0)
    sizes = {name: largest(*network) for name, network in networks.items()}
    for number in range(FAULTS):
        name = random.choice(NETWORKS)
        loaded, inputs = networks[name]
        layers = [each.index for each in loaded.interpreter.function.body.operations if each.type in {"conv", "linear"}]
        layer = random.choice(layers)
        peak, rms = sizes[name][layer]
        factor = 65504 * random.uniform(1.5, 50) / peak if number % 2 else 2.0 ** random.uniform(-26, -18) / rms
        yield scaled(loaded, layer, factor), inputs, layer


def test_seeded_overflows_and_underflows_are_flagged_at_their_operator(networks):
    flagged = 0
    for loaded, inputs, layer in faults(networks):
        first = next((row for row in numerics(loaded, inputs) if row.why()), None)
        flagged += first is not None and first.index == layer
    assert flagged >= 0.9 * FAULTS


def test_sound_networks_raise_no_alarm(networks):
    rows = [row for network in networks.values() for row in numerics(*network)]
    assert len(rows) > 150
    assert [row.name for row in rows if row.why()] == []


def test_an_overflow_says_how_many_values_it_struck(networks):
    loaded, inputs = networks["efficientvit_mini"]
    layer = next(each.index for each in loaded.interpreter.function.body.operations if each.type == "conv")
    struck = next(row for row in numerics(scaled(loaded, layer, 1e9), inputs) if row.index == layer)
    assert 0 < struck.overflowed <= struck.values
    assert "overflow" in struck.why()[0]
