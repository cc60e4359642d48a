"""The card in plain words."""

from __future__ import annotations

from edge.card import KEY, Card, TensorSpec, WeightsOrigin
from edge.preprocess import Preprocess
from edge.spec import InputKind, Precision
from exporters._metadata import describe, plain

SMALL = Card(
    model="small",
    inputs=(TensorSpec("image", (1, 3, 8, 8)),),
    outputs=(TensorSpec("logits", (1, 2)),),
    precision=Precision.FP16,
    input_kind=InputKind.FLOAT,
    weights=WeightsOrigin("somewhere", "MIT"),
    preprocess=Preprocess(8, 8),
    labels=("cat", "dog"),
)


def test_the_whole_card_is_under_its_key():
    assert Card.from_json(plain(SMALL)[KEY]) == SMALL


def test_labels_stand_one_on_a_line():
    assert plain(SMALL)["labels"].splitlines() == ["cat", "dog"]


def test_a_model_without_picture_has_no_normalisation():
    bare = Card("m", SMALL.inputs, SMALL.outputs, Precision.FP32, InputKind.FLOAT, WeightsOrigin("s"))
    assert not {"mean", "std", "labels"} & set(plain(bare))


def test_one_sentence_says_what_goes_in_and_comes_out():
    assert describe(SMALL) == "small (fp16): image 1x3x8x8 to logits 1x2"
