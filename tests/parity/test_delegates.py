"""ExecuTorch hands a network's fast form to XNNPACK whole."""

from __future__ import annotations

import pytest
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from edge.models.efficientvit import build


@pytest.mark.parametrize(
    ("name", "size"),
    [("efficientvit_m0", 224), ("efficientvit_mini", 36)],  # the second has padded windows
)
def test_xnnpack_takes_the_whole_fast_form(name, size):
    network = build(name, image_size=(size, size)).eval().deploy()
    captured = torch.export.export(network, (torch.randn(1, 3, size, size),), strict=True)
    lowered = to_edge_transform_and_lower(captured, partitioner=[XnnpackPartitioner()])
    calls = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    operators = [target for target in calls if "getitem" not in target]
    assert operators == ["executorch_call_delegate"]
