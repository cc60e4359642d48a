"""What may keep an ML Program off the Neural Engine: published rules, each with its source, applied to the file alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge.lint import Hint
from exporters.coreml.package import operations

APPLE = "Apple, “Deploying Transformers on the Apple Neural Engine” (machinelearning.apple.com, 2022)"
NOTES = "public “Neural Engine Rules” notes, a secondary source"
HALF = "hollance/neural-engine, docs/16-bit.md"
LAYERS = "hollance/neural-engine, docs/unsupported-layers.md (observations, some of them guesses)"
GUIDE = "sbryngelson/ane-guide, appendix A (arXiv:2606.22283; measured on M1, M2 and M5, predicted for M3 and M4)"

FLOAT32 = 11
"""The number of fp32 in MIL.proto."""
ALIGNMENT_BYTES = 64
BYTES = {10: 2, 11: 4, 21: 1, 31: 1}
"""Bytes of a value, by data type in MIL.proto: fp16, fp32, int8, uint8."""
NO_PATH = frozenset({
    "acos", "asin", "atanh", "band_part", "constexpr_cast", "cosh", "gru", "list_gather", "list_length", "list_read",
    "list_scatter", "list_write", "logical_and", "logical_or", "logical_xor", "lstm", "make_list", "mod", "non_zero",
    "one_hot", "random_bernoulli", "random_categorical", "random_normal", "random_uniform", "reduce_prod",
    "reverse_sequence", "rnn", "scatter", "scatter_along_axis", "scatter_nd", "shape", "sinh", "sliding_windows", "tan",
})  # fmt: skip
NEWER_CHIPS = frozenset({
    "affine", "argsort", "cos", "crop_resize", "resample", "resize", "resize_bilinear", "resize_nearest_neighbor", "sin",
    "topk", "upsample_bilinear", "upsample_nearest_neighbor",
})  # fmt: skip
SIZED = frozenset({"conv", "conv_transpose", "avg_pool", "max_pool", "l2_pool"})
FACTORS = frozenset({1, 2, 3, 4, 8})
LARGEST_KERNEL, LARGEST_SIDE, MOST_CHANNELS = 29, 16384, 65536


@dataclass(frozen=True, slots=True)
class Facts:
    """One operation as the rules see it: its result's data type and shape, and its settings where they stand in the file."""

    name: str
    type: str
    data_type: int
    shape: tuple[int | None, ...]
    settings: Mapping[str, tuple[int, ...]]
    kernel: tuple[int, ...]
    """The window of a convolution or pool."""

    @property
    def padding_factor(self) -> float:
        """How many times larger the result is once its last axis fills whole blocks of 64 bytes."""
        if not self.shape or not self.shape[-1] or self.data_type not in BYTES:
            return 1.0
        row_bytes = self.shape[-1] * BYTES[self.data_type]
        return math.ceil(row_bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES / row_bytes


@dataclass(frozen=True, slots=True)
class Rule:
    """A published observation, and the operations that it is about."""

    name: str
    text: str
    source: str
    concerns: Callable[[Facts], bool]


RULES = (
    Rule(
        "float32", "float32 operators are not run by the Neural Engine; export with --precision fp16", HALF,
        lambda facts: facts.data_type == FLOAT32 and facts.type not in {"cast", "classify"},
    ),
    Rule("rank", "tensors of more than five axes are refused, four are preferred", NOTES, lambda facts: len(facts.shape) > 5),
    Rule("rank-5", "four axes are preferred to five", APPLE, lambda facts: len(facts.shape) == 5),
    Rule("dynamic-shape", "sizes that only a run decides keep a program off it", NOTES, lambda facts: None in facts.shape),
    Rule(
        "batch", "a batch of one is preferred", NOTES,
        lambda facts: facts.type in SIZED and bool(facts.shape) and (facts.shape[0] or 1) > 1,
    ),
    Rule(
        "last-axis", "the last axis is padded to blocks of 64 bytes, and this result grows by four times or more", APPLE,
        lambda facts: len(facts.shape) >= 3 and facts.padding_factor >= 4,
    ),
    Rule("linear", "a 1x1 conv on (B, C, 1, S) is preferred to linear", APPLE,
         lambda facts: facts.type == "linear" and len(facts.shape) >= 3),
    Rule("no-path", "operators for which no way onto it was found", GUIDE, lambda facts: facts.type in NO_PATH),
    Rule("newer-chips", "native only on newer chips (from M2 or A14, sines from M3), elsewhere slow or not at all", GUIDE,
         lambda facts: facts.type in NEWER_CHIPS),
    Rule("gather", "reported to run elsewhere; newer measurements disagree", LAYERS,
         lambda facts: facts.type.startswith("gather")),
    Rule("dilation", "dilated convolutions are reported to run elsewhere", LAYERS,
         lambda facts: facts.type == "conv" and any(size > 1 for size in facts.settings.get("dilations", ()))),
    Rule("kernel", f"windows wider than {LARGEST_KERNEL} are too wide for A13 and M1", GUIDE,
         lambda facts: any(size > LARGEST_KERNEL for size in facts.kernel)),
    Rule("stride", "strides other than 1, 2, 3, 4 and 8 have no fast path", GUIDE,
         lambda facts: facts.type in SIZED and not FACTORS.issuperset(facts.settings.get("strides", ()))),
    Rule("shuffle-factor", "factors other than 2, 3, 4 and 8 have no fast path", GUIDE,
         lambda facts: facts.type in {"pixel_shuffle", "pixel_unshuffle"}
         and not FACTORS.issuperset((*facts.settings.get("upscale_factor", ()), *facts.settings.get("downscale_factor", ())))),
    Rule("size", f"axes longer than {LARGEST_SIDE}, or more than {MOST_CHANNELS} channels, are beyond M1", GUIDE,
         lambda facts: len(facts.shape) == 4 and (max(facts.shape[2] or 0, facts.shape[3] or 0) > LARGEST_SIDE
         or (facts.shape[1] or 0) > MOST_CHANNELS)),
    Rule("suppression", "runs on the CPU or the GPU", GUIDE, lambda facts: facts.type == "non_maximum_suppression"),
)  # fmt: skip


def lint(model: Any) -> tuple[Hint, ...]:
    """What the rules find in a `Model` message, in the rules' order. Weights are not operators here."""
    all_facts = tuple(_facts(model))
    found = ((rule, tuple(facts.name for facts in all_facts if rule.concerns(facts))) for rule in RULES)
    return tuple(Hint(rule.name, rule.text, rule.source, names) for rule, names in found if names)


def _facts(model: Any) -> Iterator[Facts]:
    every = list(operations(model))
    constants = {
        each.outputs[0].name: each.attributes["val"] for each in every if each.type == "const" and each.outputs
    }
    weights = {name: _shape(value.type.tensorType) for name, value in constants.items()}
    weights |= {each.outputs[0].name: _shape(each.outputs[0].type.tensorType) for each in every if _is_unpacked(each)}
    for each in every:
        if each.type == "const" or not each.outputs or _is_unpacked(each):
            continue
        settings = {name: found for name in each.inputs if (found := _integers(each, name, constants))}
        result = each.outputs[0].type.tensorType
        yield Facts(
            each.outputs[0].name, each.type, result.dataType, _shape(result), settings, _kernel(each, settings, weights)
        )


def _is_unpacked(operation: Any) -> bool:
    return operation.type.startswith("constexpr_") and operation.type not in NO_PATH


def _kernel(operation: Any, settings: Mapping[str, tuple[int, ...]], weights: Mapping[str, Any]) -> tuple[int, ...]:
    if operation.type in {"conv", "conv_transpose"} and operation.inputs["weight"].arguments:
        shape = weights.get(operation.inputs["weight"].arguments[0].name, ())
        return tuple(size or 0 for size in shape[2:])
    return settings.get("kernel_sizes", ())


def _integers(operation: Any, parameter: str, constants: Mapping[str, Any]) -> tuple[int, ...]:
    """The whole numbers that a setting holds, where the file says them; empty for anything else."""
    arguments = operation.inputs[parameter].arguments
    if len(arguments) != 1:
        return ()
    value = constants.get(arguments[0].name) if arguments[0].WhichOneof("binding") == "name" else arguments[0].value
    return tuple(value.immediateValue.tensor.ints.values) if value is not None else ()


def _shape(tensor: Any) -> tuple[int | None, ...]:
    return tuple(axis.constant.size if axis.HasField("constant") else None for axis in tensor.dimensions)
