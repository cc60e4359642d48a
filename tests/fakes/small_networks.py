"""Small networks that together hold the operators a vision network is made of, with statistics that are not trivial."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from edge import plugins
from edge.card import Card, TensorSpec, WeightsOrigin
from edge.models.picture_input import PictureInput, picture_spec
from edge.passes.capture import capture, rewrite
from edge.preprocess import Preprocess
from edge.spec import InputKind, PictureLayout, Precision

SIDE = 16
PREPROCESS = Preprocess(SIDE, SIDE)
LABELS = tuple(f"class {index}" for index in range(10))


class Classifier(nn.Module):
    """float32 (1, 3, 16, 16) to (1, 10): convolutions, batch norm, pooling without padding, attention, resize, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.stem_norm = nn.BatchNorm2d(8)
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.depthwise_norm = nn.BatchNorm2d(8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.hidden, self.head = nn.Linear(8, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(x)))
        x = x + self.pool(x)
        x = F.gelu(self.depthwise_norm(self.depthwise(x)))
        tokens = x.flatten(2).transpose(1, 2)
        weights = torch.softmax(self.query(tokens) @ self.key(tokens).transpose(1, 2), -1)
        mixed = (weights @ self.value(tokens)).transpose(1, 2).reshape(x.shape)
        large = F.interpolate(x + mixed, scale_factor=2, mode="bilinear")
        return self.head(F.gelu(self.hidden(large.mean((2, 3)))))


class TwoInputs(nn.Module):
    """A picture and a vector (1, 4) to twelve outputs: enough that sorting their names would mix them up."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier, self.side = Classifier(), nn.Linear(4, 10)

    def forward(self, picture: Tensor, vector: Tensor) -> tuple[Tensor, ...]:
        logits, side = self.classifier(picture), self.side(vector)
        return (logits, side, *(logits * index + side for index in range(1, 11)))


class TopValues(nn.Module):
    """LiteRT turns this into STABLEHLO_SORT, which its interpreter does not know."""

    def forward(self, x: Tensor) -> Tensor:
        return x.topk(3).values


def randomised(network: nn.Module) -> nn.Module:
    """Weights and batch norm statistics from a fixed seed, far from their initial ones."""
    generator = torch.Generator().manual_seed(0)
    for tensor in network.parameters():
        tensor.data.copy_(0.5 * torch.randn(tensor.shape, generator=generator))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def classifier_card(kind: InputKind, precision: Precision = Precision.FP32) -> Card:
    """The card of `Classifier`, behind `PictureInput` when `kind` is an image."""
    floats = TensorSpec("picture", (1, 3, SIDE, SIDE), "float32", "NCHW")
    bytes_ = picture_spec("picture", PREPROCESS, PictureLayout.BYTES_NHWC)
    return Card(
        model="classifier",
        inputs=(bytes_ if kind is InputKind.IMAGE else floats,),
        outputs=(TensorSpec("logits", (1, 10)),),
        precision=precision,
        input_kind=kind,
        weights=WeightsOrigin("random numbers", "Apache-2.0"),
        preprocess=PREPROCESS,
        labels=LABELS,
        tools={"edge-toolchain": "0"},
    )


def two_inputs_card() -> Card:
    """The card of `TwoInputs`."""
    return Card(
        model="two inputs",
        inputs=(TensorSpec("picture", (1, 3, SIDE, SIDE)), TensorSpec("vector", (1, 4))),
        outputs=tuple(TensorSpec(f"answer_{index}", (1, 10)) for index in range(12)),
        precision=Precision.FP32,
        input_kind=InputKind.FLOAT,
        weights=WeightsOrigin("random numbers"),
    )


def behind_picture(network: nn.Module) -> nn.Module:
    """The network on uint8 (1, 16, 16, 3) pictures."""
    return PictureInput(network, PREPROCESS, PictureLayout.BYTES_NHWC)


def program_for(target: str, network: nn.Module, *inputs: Tensor) -> ExportedProgram:
    """What an exporter's `lower` is given."""
    return rewrite(capture(network, inputs), plugins.exporter(target).passes())


def example(card: Card, seed: int = 0) -> tuple[Tensor, ...]:
    """Random inputs of the card's shapes and dtypes."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randint(0, 256, spec.shape, dtype=torch.uint8, generator=generator)
        if spec.dtype == "uint8"
        else torch.randn(spec.shape, generator=generator)
        for spec in card.inputs
    )
