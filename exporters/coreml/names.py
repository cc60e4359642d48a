"""Names that Core ML accepts, made from names that it may not."""

from __future__ import annotations

import re
from collections.abc import Sequence

RESERVED = frozenset({
    "any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "state",
    "bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "classLabel", "classLabel_probs",
})  # fmt: skip
"""Words of the program's language, which coremltools would rename, and the two outputs of a classifier."""


def feature_names(names: Sequence[str]) -> tuple[str, ...]:
    """Identifiers for `names`, in order and all different: other characters become `_`."""
    given: list[str] = []
    for name in names:
        identifier = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if re.match(r"[A-Za-z_]", identifier) is None or identifier in RESERVED:
            identifier = f"_{identifier}"
        given.append(_new(identifier, given, "{}_{}"))
    return tuple(given)


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, all different as a dictionary's keys must be: ImageNet has two classes called crane."""
    given: list[str] = []
    seen: set[str] = set()
    for label in labels:
        name = _new(label, seen, "{} ({})")
        seen.add(name)
        given.append(name)
    return tuple(given)


def _new(name: str, taken: Sequence[str] | set[str], form: str) -> str:
    candidate, count = name, 2
    while candidate in taken:
        candidate, count = form.format(name, count), count + 1
    return candidate
