"""TFLite: a flatbuffer for Android and most small devices, with Task Library's metadata, in one XNNPACK delegate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.card import KEY, Card, TensorSpec
from edge.errors import BadArtifactError, ConversionError
from edge.exporter import Contents, Exporter, Runner
from edge.parts import Parts
from edge.spec import Precision, Recipe
from exporters._flatbuffer import damaged
from exporters.tflite import flatbuffer, metadata, parts, rewrites

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edge.passes.capture import Pass


class TFLite(Exporter):
    """LiteRT's converter, then three edits of the flatbuffer: see `rewrites`."""

    suffix = ".tflite"
    distributions = ("litert-torch", "ai-edge-litert")
    runtime = "ai-edge-litert"

    def passes(self) -> tuple[Pass, ...]:
        """What LiteRT cannot convert, or converts to operators that its interpreter then refuses."""
        from edge.passes.flatten_softmax import flatten_softmax
        from edge.passes.hygiene import HYGIENE
        from edge.passes.volume_to_planes import volume_to_planes

        return (*HYGIENE, volume_to_planes, flatten_softmax)

    def lower(self, program: ExportedProgram, recipe: Recipe, card: Card, path: Path) -> None:
        """Write the file, then load it: operators without a kernel are found here and not on a phone."""
        card = replace(card, inputs=tuple(_as_converted(spec) for spec in card.inputs))
        model = flatbuffer.parse(_converted(program))
        rewrites.computed_weights_to_batch_matmul(model)
        rewrites.follow_card(model, card)
        if recipe.precision is Precision.FP16:
            rewrites.weights_to_float16(model)
        rewrites.attach(model, metadata.KEY, metadata.metadata(card))
        rewrites.attach(model, KEY, card.to_json().encode())
        data = flatbuffer.serialise(model)
        _demand_kernels(data)
        path.write_bytes(data)
        if card.labels:
            metadata.append_labels(path, card.labels)

    def load(self, path: Path, threads: int = 1) -> Runner:
        """LiteRT's interpreter; float32 outputs."""
        interpreter = _opened(path, threads)
        inputs = [detail["index"] for detail in interpreter.get_input_details()]
        outputs = [detail["index"] for detail in interpreter.get_output_details()]

        def run(tensors: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
            try:
                for index, tensor in zip(inputs, tensors, strict=True):
                    interpreter.set_tensor(index, tensor)
                interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise BadArtifactError(f"{path.name} does not run: {error}", hint="export the model again") from error
            return tuple(interpreter.get_tensor(index).astype(np.float32) for index in outputs)

        return run

    def take_apart(self, path: Path) -> Parts:
        """Executed by LiteRT's own kernels: XNNPACK, which `load` uses, takes operators together."""
        return parts.take_apart(path.read_bytes(), _without_delegate)

    def card(self, path: Path) -> Card:
        """Read from the model's own metadata; the runtime is not loaded."""
        return flatbuffer.card(path.read_bytes())

    def contents(self, path: Path) -> Contents:
        """Operators from the file, partitions from the interpreter, which delegates to XNNPACK when it loads."""
        operators = flatbuffer.operator_names(path.read_bytes())
        nodes = _opened(path)._get_ops_details()
        delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
        inside = len(_delegated(nodes, delegates))
        return Contents(Counter(operators), len(delegates), inside, len(operators) - inside)


def _as_converted(spec: TensorSpec) -> TensorSpec:
    """The converter computes in jax, which has no 64-bit integers unless told to: the file takes 32 bits."""
    return replace(spec, dtype="int32") if spec.dtype == "int64" else spec


def _converted(program: ExportedProgram) -> bytes:
    import litert_torch

    inputs, _ = program.example_inputs
    module = program.module(check_guards=False)
    module.training = False  # a captured graph cannot change its mode; the converter warns about the flag
    try:
        return bytes(litert_torch.convert(module, inputs).model_content())
    except Exception as error:  # the converter raises whatever its many layers raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConversionError(
            f"LiteRT cannot convert this model: {reason}", hint="the log has the converter's own words"
        ) from error


def _demand_kernels(data: bytes) -> None:
    """Load the file as a phone would. Raises `ConversionError` naming the operators that the interpreter lacks."""
    try:
        _interpreter(data)
    except (ValueError, RuntimeError) as error:
        foreign = sorted({name for name in flatbuffer.operator_names(data) if name.startswith(("STABLEHLO_", "Flex"))})
        what = ", ".join(foreign) or str(error).strip().partition("\n")[0]
        raise ConversionError(
            f"LiteRT's converter wrote operators that its interpreter cannot run: {what}",
            hint="write that part of the model with other operators, or use another target",
        ) from error


def _opened(path: Path, threads: int = 1) -> Any:
    """An interpreter for a file from outside. Raises `BadArtifactError`."""
    data = path.read_bytes()
    flatbuffer.checked(data)
    try:
        return _interpreter(data, threads)
    except (ValueError, RuntimeError) as error:
        raise damaged(str(error).strip().partition("\n")[0]) from error


def _interpreter(data: bytes, threads: int = 1) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _without_delegate(data: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    own_kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=own_kernels)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise damaged(str(error).strip().partition("\n")[0]) from error
    return interpreter


def _delegated(nodes: Sequence[Any], delegates: Sequence[Any]) -> set[int]:
    """The nodes that delegates took over: everything between a delegate's inputs and its outputs."""
    makers = {int(made): node for node in nodes if node["op_name"] != "DELEGATE" for made in node["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        border = set(map(int, delegate["inputs"]))
        wanted = [int(tensor) for tensor in delegate["outputs"]]
        while wanted:
            node = makers.get(wanted.pop())
            if node is not None and node["index"] not in taken:
                taken.add(node["index"])
                wanted += [int(tensor) for tensor in node["inputs"] if int(tensor) not in border]
    return taken
