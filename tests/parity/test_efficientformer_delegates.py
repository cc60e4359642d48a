"""The fast forms of EfficientFormer and EfficientFormerV2 stay inside XNNPACK's delegates and compute what they should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.models import efficientformer, efficientformer_v2
from edge.models.randomise import randomise_statistics

pytest.importorskip("executorch")

NOT_OPERATORS = ("getitem",)


class Lowered:
    """A network as the plain vendor lowering leaves it: what it calls, and what its file answers to `image`."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.runtime import Runtime

        self.image = image
        exported = torch.export.export(network.deploy(), (image,))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        graph = lowered.exported_program().graph
        names = [node.target.__name__ for node in graph.nodes if node.op == "call_function"]
        self.delegates = names.count("executorch_call_delegate")
        self.outside = [name for name in names if name not in ("executorch_call_delegate", *NOT_OPERATORS)]
        program = Runtime.get().load_program(lowered.to_executorch().buffer)  # must outlive its method
        [self.answer] = program.load_method("forward").execute([image])
        with torch.inference_mode():
            self.wanted = network(image)

    def relative_error(self) -> float:
        """The worst difference in standard deviations of PyTorch's answer, which must not be flat."""
        assert self.wanted.std() > 1e-2
        return float((self.answer - self.wanted).abs().max() / self.wanted.std())


@pytest.fixture(scope="module")
def version_2() -> Lowered:
    """The small network has every operator of the large ones; this picture gives its maps unlike numbers of places."""
    torch.manual_seed(0)
    network = efficientformer_v2.build("efficientformerv2_mini", image_size=(64, 96)).eval()
    randomise_statistics(network, 0)
    return Lowered(network, torch.randn(1, 3, 64, 96))


@pytest.fixture(scope="module")
def version_1() -> Lowered:
    torch.manual_seed(0)
    network = efficientformer.build("efficientformer_mini").eval()
    randomise_statistics(network, 0)
    return Lowered(network, torch.randn(1, 3, 32, 32))


def test_version_2_is_one_delegate_and_nothing_outside_it(version_2: Lowered) -> None:
    assert (version_2.delegates, version_2.outside) == (1, [])


def test_version_2_answers_as_pytorch_does(version_2: Lowered) -> None:
    assert version_2.relative_error() < 1e-5


def test_version_1_leaves_only_its_layer_norms_outside(version_1: Lowered) -> None:
    assert version_1.delegates == 4
    assert version_1.outside == ["aten.native_layer_norm.default"] * 3


def test_version_1_answers_as_pytorch_does(version_1: Lowered) -> None:
    assert version_1.relative_error() < 1e-5
