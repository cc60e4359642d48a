"""A classifier's answer."""

from __future__ import annotations

from torch import Tensor

from exporters.coreml.runtime.ops.table import Table, Value, family

TABLE: Table = {}
operator = family(TABLE)


@operator("classify")
def classify(probabilities: Tensor, classes: tuple[str | Tensor, ...] | Tensor) -> tuple[Value, dict[Value, float]]:
    """The label of the largest probability, and every label with its own; of equals, the first."""
    names = [each.item() if isinstance(each, Tensor) else each for each in classes]
    scores = probabilities.reshape(-1).tolist()
    pairs = dict(zip(names, scores, strict=True))
    return max(pairs, key=pairs.__getitem__), pairs
