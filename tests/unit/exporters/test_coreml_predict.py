"""What goes into Core ML and comes out of it, whether Apple's framework or the reference runtime executes the package."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.card import Card, TensorSpec, WeightsOrigin
from edge.errors import BadArtifactError
from edge.measurement import Source
from edge.spec import InputKind, Precision
from exporters.coreml import predict
from exporters.coreml.predict import from_features, to_features


class Feature(SimpleNamespace):
    """Stands for a protobuf `FeatureDescription`."""

    @property
    def type(self):
        return SimpleNamespace(WhichOneof=lambda group: self.kind)


def card(labels: tuple[str, ...] = ()) -> Card:
    outputs = (TensorSpec("logits", (1, 3)),)
    inputs = (TensorSpec("x", (1, 3, 2, 2)),)
    return Card("m", inputs, outputs, Precision.FP16, InputKind.IMAGE, WeightsOrigin("s"), labels=labels)


def test_planes_become_a_picture_with_its_channels_last():
    planes = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)
    picture = to_features(SimpleNamespace(input=[Feature(name="x", kind="imageType")]), [planes])["x"]
    assert (np.asarray(picture) == planes[0].transpose(1, 2, 0)).all()
    assert picture.mode == "RGB"


@pytest.mark.parametrize(("given", "wanted"), [("float64", "float32"), ("int64", "int32"), ("bool", "int32")])
def test_tensors_become_the_two_types_of_core_ml(given, wanted):
    description = SimpleNamespace(input=[Feature(name="x", kind="multiArrayType")])
    assert to_features(description, [np.ones((1, 2), given)])["x"].dtype == wanted


def test_a_classifiers_dictionary_becomes_a_row_in_the_order_of_the_labels():
    description = SimpleNamespace(predictedFeatureName="classLabel", predictedProbabilitiesName="classLabel_probs")
    results = {"classLabel": "b", "classLabel_probs": {"b": 3.0, "a (2)": 2.0, "a": 1.0}}
    (row,) = from_features(description, results, card(("a", "a", "b")))
    assert row.tolist() == [[1.0, 2.0, 3.0]]


def test_arrays_come_back_in_the_order_of_the_description():
    description = SimpleNamespace(predictedFeatureName="", output=[Feature(name="second"), Feature(name="first")])
    results = {"first": np.ones((1, 2)), "second": np.zeros((1, 3))}
    assert [output.shape for output in from_features(description, results, card())] == [(1, 3), (1, 2)]


class Framework(SimpleNamespace):
    """Stands for coremltools where Apple's framework is: it doubles what it is given."""

    def __init__(self):
        description = SimpleNamespace(
            predictedFeatureName="",
            input=[Feature(name="x", kind="multiArrayType")],
            output=[Feature(name="y", kind="multiArrayType")],
        )
        spec = SimpleNamespace(description=description)
        loaded = SimpleNamespace(predict=lambda given: {"y": given["x"] * 2}, get_spec=lambda: spec)
        super().__init__(models=SimpleNamespace(MLModel=lambda path: loaded))


def test_where_apples_framework_is_a_package_runs_in_it_and_the_verdict_says_so(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "coremltools", Framework())
    (doubled,) = predict.runner(Path("m.mlpackage"), card())([np.ones((1, 2), np.float32)])
    assert doubled.tolist() == [[2.0, 2.0]]
    assert predict.executed_by().startswith("Core ML (coremltools")
    assert predict.timed_as() is Source.MEASURED


def test_what_the_framework_refuses_is_said_in_its_words(monkeypatch):
    def refuse(path: str) -> None:
        raise RuntimeError("compiler error")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(sys.modules, "coremltools", SimpleNamespace(models=SimpleNamespace(MLModel=refuse)))
    with pytest.raises(BadArtifactError, match=r"Core ML refuses m\.mlpackage: compiler error"):
        predict.runner(Path("m.mlpackage"), card())
