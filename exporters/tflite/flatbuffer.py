"""Reads and writes a .tflite file: the parts edge looks at, the vendor's editable form, and back to bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edge.card import KEY, Card
from edge.errors import BadArtifactError
from exporters._flatbuffer import Table, damaged

IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
"""Bytes; `force_align` of `Buffer.data` in the public schema, which the Python builder does not know."""

# Field numbers of the public schema.fbs of TensorFlow Lite.
_MODEL_OPERATOR_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS, _MODEL_METADATA = 1, 2, 4, 6
_SUBGRAPH_TENSORS, _SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS, _SUBGRAPH_OPERATORS = 0, 1, 2, 3
_OPERATOR_CODE = 0
_CODE_OLD_BUILTIN, _CODE_CUSTOM, _CODE_BUILTIN = 0, 1, 3
_TENSOR_BUFFER = 2
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA = 0
_CUSTOM = 32  # BuiltinOperator.CUSTOM


def checked(data: bytes) -> Table:
    """The model inside a file, after a walk over everything a runtime follows. Raises `BadArtifactError`."""
    model = Table.root(data, IDENTIFIER)
    buffers = [len(buffer.blob(_BUFFER_DATA)) for buffer in model.tables(_MODEL_BUFFERS)]
    subgraphs = model.tables(_MODEL_SUBGRAPHS)
    if not subgraphs:
        raise damaged("it holds no graph")
    for subgraph in subgraphs:
        tensors = subgraph.tables(_SUBGRAPH_TENSORS)
        if any(tensor.integer(_TENSOR_BUFFER, "<I") >= len(buffers) for tensor in tensors):
            raise damaged("a tensor has no buffer")
        used = [*subgraph.integers(_SUBGRAPH_INPUTS, "<i"), *subgraph.integers(_SUBGRAPH_OUTPUTS, "<i")]
        if any(not 0 <= index < len(tensors) for index in used):
            raise damaged("an input or output has no tensor")
    for _ in _codes(model):
        pass
    return model


def card(data: bytes) -> Card:
    """The card inside a file. Raises `BadArtifactError`."""
    model = checked(data)
    buffers = model.tables(_MODEL_BUFFERS)
    for entry in model.tables(_MODEL_METADATA):
        index = entry.integer(_METADATA_BUFFER, "<I")
        if entry.text(_METADATA_NAME) == KEY and index < len(buffers):
            return Card.from_json(bytes(buffers[index].blob(_BUFFER_DATA)))
    raise BadArtifactError(
        "the file carries no card, so edge did not write it", hint="give a file that `edge export` wrote"
    )


def operator_names(data: bytes) -> list[str]:
    """The operators of all graphs in a file, in order, as the schema names them. Raises `BadArtifactError`."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    builtin = {number: name for name, number in vars(BuiltinOperator).items() if isinstance(number, int)}
    return [custom or builtin.get(number, f"BUILTIN_{number}") for number, custom in _codes(checked(data))]


def _codes(model: Table) -> Iterator[tuple[int, str]]:
    """Each operator's builtin number and, for a custom one, its name."""
    codes = model.tables(_MODEL_OPERATOR_CODES)
    for subgraph in model.tables(_MODEL_SUBGRAPHS):
        for operator in subgraph.tables(_SUBGRAPH_OPERATORS):
            index = operator.integer(_OPERATOR_CODE, "<I")
            if index >= len(codes):
                raise damaged("an operator has no code")
            code = codes[index]
            number = max(code.integer(_CODE_BUILTIN, "<i"), code.integer(_CODE_OLD_BUILTIN, "<b"))
            yield number, code.text(_CODE_CUSTOM) if number == _CUSTOM else ""


def parse(data: bytes) -> Any:
    """The vendor's editable form (`ModelT`) of a file that the converter wrote just now."""
    from ai_edge_litert.schema_py_generated import ModelT

    return ModelT.InitFromPackedBuf(bytearray(data))


def serialise(model: Any) -> bytes:
    """The bytes of a `ModelT`; every buffer starts at a multiple of `BUFFER_ALIGNMENT`, as the runtimes require."""
    import flatbuffers

    model.buffers = [_AlignedBuffer(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(sum(len(buffer.data) for buffer in model.buffers) + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuffer:
    """Stands in for the vendor's `BufferT` where a model is packed."""

    def __init__(self, data: Any) -> None:
        self.data = b"" if data is None else bytes(data)

    def Pack(self, builder: Any) -> int:  # noqa: N802, the vendor's name
        if not self.data:
            builder.StartObject(1)
            return int(builder.EndObject())
        builder.StartVector(1, len(self.data), BUFFER_ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(_BUFFER_DATA, data, 0)
        return int(builder.EndObject())
