"""The stock path: a timm network through the vendor's own converter, as the vendor's documentation shows it.

`python stock.py TARGET NAME PATH` converts in a process of its own and prints the CPU seconds from capture to file.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import nn

_TORCHVISION = torch.library.Library("torchvision", "FRAGMENT")
for _schema in ("nms(Tensor d, Tensor s, float t) -> Tensor", "qnms(Tensor d, Tensor s, float t) -> Tensor"):
    try:
        _TORCHVISION.define(_schema)
    except RuntimeError:
        break


def network(name: str) -> nn.Module:
    """timm's network of that name, with the random weights that ours get."""
    import timm

    from edge.card import TensorSpec
    from edge.models.randomise import randomise_statistics
    from edge.models.settle import settle_statistics

    module: nn.Module = timm.create_model(name).eval()
    randomise_statistics(module, 0)
    settle_statistics(module, TensorSpec("image", (1, 3, 224, 224)), 0)
    return module


def coreml(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    import coremltools

    traced = torch.jit.trace(module, inputs)  # coremltools 9.0 rejects the exported program of this network
    shape = coremltools.TensorType(name="x", shape=inputs[0].shape)
    coremltools.convert(traced, inputs=[shape], minimum_deployment_target=coremltools.target.iOS17).save(str(path))


def tflite(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    import litert_torch

    litert_torch.convert(module, inputs).export(str(path))


def executorch(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(torch.export.export(module, inputs), partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)


def onnx(module: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    torch.onnx.export(module, inputs, str(path), dynamo=True, external_data=False)


CONVERTERS = {"coreml": coreml, "tflite": tflite, "executorch": executorch, "onnx": onnx}
SUFFIXES = {"coreml": ".mlpackage", "tflite": ".tflite", "executorch": ".pte", "onnx": ".onnx"}


def main() -> None:
    target, name, path = sys.argv[1:]
    module = network(name)
    started = time.process_time()
    with torch.no_grad():
        CONVERTERS[target](module, (torch.randn(1, 3, 224, 224),), Path(path))
    print(f"cpu_seconds {time.process_time() - started:.2f}")


if __name__ == "__main__":
    main()
