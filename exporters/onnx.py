"""ONNX: one self-contained file that onnxruntime, and most other tools, execute."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge.card import KEY, Card
from edge.errors import BadArtifactError, ConversionError
from edge.exporter import Contents, Exporter, Runner
from edge.onnx_profile import operator_times
from edge.operator_times import OperatorTime
from edge.parts import Parts
from edge.spec import Precision, Recipe
from exporters._metadata import describe, plain
from exporters._onnx_half import halved, rounding
from exporters._onnx_parts import operators
from exporters._onnx_walk import graphs, nodes, tensors

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnx_ir import Graph
    from onnxruntime import InferenceSession, SessionOptions
    from torch.export import ExportedProgram

    from edge.passes.capture import Pass

OPSET = 20
"""The first opset in which GELU is one operator; onnxruntime 1.31 runs it and all that torch's exporter emits for it."""
LARGEST_BYTES = 2**31 - 1
"""A protobuf message cannot be larger (protobuf.dev, "Proto Limits")."""
AGAIN = "export the model again"


class ONNX(Exporter):
    """torch's own exporter, its graph optimised; half precision keeps float32 inputs and outputs."""

    suffix: ClassVar[str] = ".onnx"
    distributions: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    runtime: ClassVar[str] = "onnxruntime"

    def passes(self) -> tuple[Pass, ...]:
        from edge.passes.hygiene import HYGIENE

        return HYGIENE

    def lower(self, program: ExportedProgram, recipe: Recipe, card: Card, path: Path) -> None:
        model = _translate(program, card)
        if recipe.precision is Precision.FP16:
            model = halved(model)
        _forget_origins(model)
        model.graph.name = card.model
        model.doc_string = describe(card)
        for name, text in sorted(plain(card).items()):
            model.metadata_props.add(key=name, value=text)
        if model.ByteSize() > LARGEST_BYTES:
            raise ConversionError("the model is larger than the 2 GiB of one ONNX file", hint="use --precision fp16")
        path.write_bytes(model.SerializeToString(deterministic=True))

    def load(self, path: Path, threads: int = 1) -> Runner:
        """Load into onnxruntime's CPU provider; a float16 file is rounded where it says so, see `_onnx_half`."""
        model = _read(path)
        card = _card(model, path)
        _check(model, path)
        session = _session(_computed(model, card), path, _options(threads))
        inputs, outputs = [spec.name for spec in card.inputs], [spec.name for spec in card.outputs]
        declared = {value.name for value in (*session.get_inputs(), *session.get_outputs())}
        if absent := sorted({*inputs, *outputs} - declared):
            raise BadArtifactError(f"{path.name} lacks {', '.join(absent)}, which its card names", hint=AGAIN)

        def run(values: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
            try:
                results = session.run(outputs, dict(zip(inputs, values, strict=True)))
            except Exception as error:
                raise BadArtifactError(f"onnxruntime cannot run {path.name}: {_line(error)}", hint=AGAIN) from None
            return tuple(np.asarray(result, np.float32) for result in results)

        return run

    def time_operators(
        self, path: Path, inputs: Sequence[NDArray[Any]], *, warmup: int, runs: int, threads: int = 1
    ) -> tuple[OperatorTime, ...]:
        """As onnxruntime's own profile has them: the nodes that its optimiser left."""
        model = _read(path)
        card = _card(model, path)
        feeds = {spec.name: value for spec, value in zip(card.inputs, inputs, strict=True)}
        with tempfile.TemporaryDirectory(prefix="edge-") as folder:
            options = _options(threads)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = _session(_computed(model, card), path, options)
            for _ in range(warmup + runs):
                session.run(None, feeds)
            return operator_times(Path(session.end_profiling()).read_text(encoding="utf-8"), warmup)

    def take_apart(self, path: Path) -> Parts:
        model = _read(path)
        card = _card(model, path)
        _check(model, path)
        computed = _computed(model, card)
        parts = operators(model, computed, lambda part: _session(part, path, _options(1)))
        return Parts(tuple(spec.name for spec in card.inputs), tuple(parts))

    def card(self, path: Path) -> Card:
        return _card(_read(path), path)

    def contents(self, path: Path) -> Contents:
        counts = Counter(
            f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in nodes(_read(path))
        )
        return Contents(operators=dict(sorted(counts.items())))


def _translate(program: ExportedProgram, card: Card) -> ModelProto:
    """The program as an optimised ONNX model with the card's names. Raises `ConversionError` naming the operator at fault."""
    import torch

    try:
        exported = torch.onnx.export(program, opset_version=OPSET, external_data=False, verbose=False)
    except Exception as error:  # the exporter lets through whatever an operator's translation raises
        operator = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error))
        reason = f"there is no translation of {operator[1]}" if operator else _line(_root(error))
        raise ConversionError(
            f"ONNX cannot express this model: {reason}", hint="replace the operator in the model's forward"
        ) from error
    if exported is None:
        raise ConversionError("torch.onnx.export returned nothing", hint="is onnxscript installed?")
    _name_ends(exported.model.graph, card)
    model: ModelProto = exported.model_proto
    return model


def _name_ends(graph: Graph, card: Card) -> None:
    """Give inputs and outputs the card's names; a value inside that happens to bear one of them moves aside."""
    ends = (*graph.inputs, *graph.outputs)
    names = [spec.name for spec in (*card.inputs, *card.outputs)]
    inside = [*graph.initializers.values(), *(value for node in graph.all_nodes() for value in node.outputs)]
    for value in (*inside, *ends):
        value.name = f"{value.name}.inside" if value.name in names else value.name
    for value, name in zip(ends, names, strict=True):
        value.name = name


def _forget_origins(model: ModelProto) -> None:
    """Drop what the exporter noted of where nodes came from: stack traces hold this machine's paths."""
    del model.metadata_props[:]
    for graph in graphs(model):
        for part in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
            del part.metadata_props[:]
            part.doc_string = ""


def _computed(model: ModelProto, card: Card) -> ModelProto:
    """What onnxruntime is given to execute."""
    return rounding(model) if card.precision is Precision.FP16 else model


def _onnxruntime() -> Any:
    """The runtime, which reports nothing home: its wheels for Linux do since 1.29 unless this is set before the import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _options(threads: int) -> SessionOptions:
    options: SessionOptions = _onnxruntime().SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only: they reach the user as ours
    return options


def _session(model: ModelProto, path: Path, options: SessionOptions) -> InferenceSession:
    providers = ["CPUExecutionProvider"]
    try:
        session: InferenceSession = _onnxruntime().InferenceSession(
            model.SerializeToString(), options, providers=providers
        )
    except Exception as error:  # the exceptions of onnxruntime and of onnx share no base class
        raise BadArtifactError(f"onnxruntime refuses {path.name}: {_line(error)}", hint=AGAIN) from None
    return session


def _read(path: Path) -> ModelProto:
    """Parse a file from anywhere. Raises `BadArtifactError`; follows no reference out of the file."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise BadArtifactError(f"{path.name} is larger than an ONNX file can be", hint=AGAIN)
        model: ModelProto = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise BadArtifactError(f"{path.name} is not a readable ONNX file: {_line(error)}", hint=AGAIN) from None
    if not model.graph.output:
        raise BadArtifactError(f"{path.name} holds no ONNX graph", hint=AGAIN)
    return model


def _card(model: ModelProto, path: Path) -> Card:
    for entry in model.metadata_props:
        if entry.key == KEY:
            return Card.from_json(entry.value)
    raise BadArtifactError(
        f"{path.name} carries no card: edge did not write it", hint="export the model with `edge export`"
    )


def _check(model: ModelProto, path: Path) -> None:
    """Refuse weights that lie in other files, and what the ONNX specification does not allow."""
    import onnx

    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors(model)):
        raise BadArtifactError(
            f"{path.name} keeps weights in other files, which edge does not open", hint="save it as one file"
        )
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise BadArtifactError(f"{path.name} is not valid ONNX: {_line(error)}", hint=AGAIN) from None


def _root(error: BaseException) -> BaseException:
    """The error that started a chain of errors."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _line(error: BaseException) -> str:
    """The kind and the first line of an error."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:300]}"
