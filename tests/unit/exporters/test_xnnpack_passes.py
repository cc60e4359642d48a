"""A preparation pass is left out only when its operators are absent, and only in the version that was read."""

from __future__ import annotations

import operator
from types import SimpleNamespace

import pytest
from torch.fx import Graph

from exporters import _xnnpack_passes
from exporters._xnnpack_passes import RULES, has_work


def graph_of(name: str, *arguments: object) -> Graph:
    """A graph of one call of an operator with this name, on an input and what `arguments` adds."""

    def target() -> None: ...

    target.__name__ = name
    graph = Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(target, (x, *arguments)))
    return graph


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("DimOrderOpsRevertPass", graph_of("dim_order_ops._clone_dim_order.default")),
        ("ConvertToLinearPass", graph_of("aten.addmm.default")),
        ("FuseBatchNormPass", graph_of("aten._native_batch_norm_legit_no_training.default")),
        ("FuseActivationPass", graph_of("aten.relu.default")),
        ("RemoveGetItemPass", graph_of("aten.max_pool2d_with_indices.default")),
        ("Conv1dUnsqueezePass", graph_of("aten.convolution.default", None, None, [1])),
        ("PReLUReshapePass", graph_of("aten._prelu_kernel.default")),
        ("ConvertToSDPAPass", graph_of("aten.mul.Scalar", 0.5)),
        ("PropagateCustomMetaPass", graph_of("quantized_decomposed.quantize_per_tensor.default")),
    ],
)
def test_a_pass_runs_when_its_operator_is_there(name, graph):
    assert has_work(name, graph)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_pass_is_left_out_when_nothing_is_there_for_it(name):
    assert not has_work(name, graph_of("aten.add.Tensor"))


def test_convolutions_of_planes_are_not_unsqueezed():
    assert not has_work("Conv1dUnsqueezePass", graph_of("aten.convolution.default", None, None, [1, 1]))


def test_only_concatenations_of_more_than_five_are_decomposed():
    def target() -> None: ...

    target.__name__ = "aten.cat.default"
    for count in (5, 6):
        graph = Graph()
        parts = [graph.placeholder(f"x{index}") for index in range(count)]
        graph.output(graph.call_function(target, (parts, 1)))
        assert has_work("DecomposeConcatenate", graph) == (count == 6)


def test_constants_are_folded_only_where_a_call_reads_no_input():
    graph = Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(operator.add, (x, graph.call_function(operator.neg, (1,)))))
    assert has_work("ConstPropPass", graph)


def test_a_pass_without_a_rule_always_runs():
    assert has_work("ChannelsLastTaggedReshapePass", Graph())


def test_another_version_runs_every_pass(monkeypatch):
    monkeypatch.setattr(_xnnpack_passes, "version", lambda name: "9.9.9")
    untouched = SimpleNamespace(transform="the vendor's own")
    monkeypatch.setitem(__import__("sys").modules, "executorch.backends.xnnpack._passes", untouched)
    untouched.XNNPACKPassManager = untouched
    with _xnnpack_passes.only_passes_with_work():
        assert untouched.transform == "the vendor's own"
