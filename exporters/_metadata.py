"""The card in plain words, for the metadata fields that other people's tools show."""

from __future__ import annotations

from edge.card import KEY, Card


def plain(card: Card) -> dict[str, str]:
    """Name → text: the whole card under `edge.card.KEY`, and the parts that a reader wants without parsing JSON.

    `labels` has one label a line; `mean` and `std` are per channel, for values in 0..1.
    """
    fields = {
        KEY: card.to_json(),
        "model": card.model,
        "precision": card.precision.value,
        "input": card.input_kind.value,
        "weights": card.weights.source,
        "licence": card.weights.licence,
    }
    if card.labels:
        fields["labels"] = "\n".join(card.labels)
    if card.preprocess is not None:
        fields["mean"] = " ".join(str(value) for value in card.preprocess.mean)
        fields["std"] = " ".join(str(value) for value in card.preprocess.std)
        fields["colour"] = card.preprocess.colour
        fields["interpolation"] = card.preprocess.interpolation
        fields["crop"] = str(card.preprocess.crop)
    return fields


def describe(card: Card) -> str:
    """One sentence: the model, what it takes and what it gives."""
    inputs = ", ".join(f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in card.inputs)
    outputs = ", ".join(f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in card.outputs)
    return f"{card.model} ({card.precision.value}): {inputs} to {outputs}"
