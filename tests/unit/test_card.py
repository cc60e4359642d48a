"""The card crosses as JSON and is never trusted on the way back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.card import Card, TensorSpec, WeightsOrigin
from edge.errors import BadArtifactError
from edge.preprocess import Preprocess
from edge.spec import InputKind, Precision


@pytest.fixture
def card() -> Card:
    return Card(
        model="efficientvit_m0",
        inputs=(TensorSpec("image", (1, 3, 4, 4), "float32", "NCHW"),),
        outputs=(TensorSpec("logits", (1, 2)),),
        precision=Precision.FP32,
        input_kind=InputKind.FLOAT,
        weights=WeightsOrigin("random", "none", "00"),
        preprocess=Preprocess(4, 4),
        labels=("cat", 'dog "quoted" é'),
        tools={"torch": "2.13.0"},
    )


def test_a_card_comes_back_equal(card):
    assert Card.from_json(card.to_json()) == card


def test_equal_cards_are_equal_bytes(card):
    assert Card.from_json(card.to_json()).to_json() == card.to_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.pop("inputs"),
        lambda fields: fields.update(schema="edge.card/9"),
        lambda fields: fields.update(precision="int3"),
        lambda fields: fields.update(inputs=[{"name": "x"}]),
        lambda fields: fields["preprocess"].update(std=[0, 0, 0]),
        lambda fields: fields["preprocess"].update(surprise=1),
        lambda fields: fields.update(weights="none"),
        lambda fields: fields.update(tools=[]),
    ],
)
def test_a_damaged_card_is_refused(card, damage):
    fields = json.loads(card.to_json())
    damage(fields)
    with pytest.raises(BadArtifactError):
        Card.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe"])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(BadArtifactError):
        Card.from_json(text)


def test_a_picture_is_normalised_by_the_card_s_own_numbers(card):
    values = card.file_input(np.full((1, 4, 4, 3), 255, np.uint8))
    assert values[0, :, 0, 0] == pytest.approx(
        [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rel=1e-5
    )
