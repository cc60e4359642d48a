"""Runs only those of XNNPACK's seventeen preparation passes that have something to do.

Each pass ends by interpreting the whole graph again, whether it changed anything or not; that is a quarter of an export's
CPU time. Every rule below names the operators without which its pass leaves the graph as it is, read from the passes of
the version below; passes without a rule always run, and with another version all of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.fx import Graph, Node

KNOWN_VERSION = "1.4.1"

Rule = Callable[["Node"], bool]
"""Whether a call could be what a pass looks for."""


def _named(*parts: str) -> Rule:
    return lambda node: any(part in _name(node) for part in parts)


def _name(node: Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _is_conv1d(node: Node) -> bool:
    return _name(node) == "aten.convolution.default" and len(node.args[3]) == 1  # type: ignore[arg-type]


def _is_wide_cat(node: Node) -> bool:
    return _name(node) == "aten.cat.default" and len(node.args[0]) > 5  # type: ignore[arg-type]


def _is_constant(node: Node) -> bool:
    return all(source.op == "get_attr" for source in node.all_input_nodes)


_QUANTISED = _named("quantize")
_BATCH_NORM = _named("batch_norm")

RULES: Mapping[str, Rule] = {
    "DimOrderOpsRevertPass": _named("dim_order"),
    "ConvertToUpsampleBilinear2d": _named("upsample_bilinear2d", "index"),
    "ConvertToLinearPass": _named("mm"),
    "PropagateCustomMetaPass": _QUANTISED,
    "ConvertToSDPAPass": _named("mul.Scalar"),
    "ConstPropPass": _is_constant,
    "FuseBatchNormPass": _BATCH_NORM,
    "DecomposeBatchNorm": _BATCH_NORM,
    "FuseActivationPass": _named("relu", "hardtanh"),
    "DecomposeConcatenate": _is_wide_cat,
    "RemoveGetItemPass": _named("max_pool2d_with_indices", "max.dim"),
    "Conv1dUnsqueezePass": _is_conv1d,
    "PReLUReshapePass": _named("prelu"),
}


@contextmanager
def only_passes_with_work() -> Iterator[None]:
    """While this lasts, lowering to XNNPACK skips what has nothing to do."""
    if version("executorch") != KNOWN_VERSION:
        yield
        return
    from executorch.backends.xnnpack._passes import XNNPACKPassManager

    run_all = XNNPACKPassManager.transform

    def run_needed(manager: Any) -> Any:
        program = manager.exported_program
        for one in manager.passes:
            if has_work(one.__name__, program.graph):
                program = run_all(XNNPACKPassManager(program, [one]))
        return program

    XNNPACKPassManager.transform = run_needed
    try:
        yield
    finally:
        XNNPACKPassManager.transform = run_all


def has_work(name: str, graph: Graph) -> bool:
    """Whether the pass called `name` could change this graph."""
    rule = RULES.get(name)
    return rule is None or any(rule(node) for node in graph.nodes if node.op == "call_function")
