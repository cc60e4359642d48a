"""Packages that are damaged or mean harm: a clear error each, before anything large is allocated."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from edge.errors import BadArtifactError, NotExecutableHereError
from exporters.coreml import package
from exporters.coreml.proto import model_class
from exporters.coreml.runtime import interpreter
from exporters.coreml.runtime.model import load
from exporters.coreml.weights import RECORD
from tests.fakes.ml_program import FLOAT16, FLOAT32, INT32, WEIGHT_FILE, Program, blob_file, tensor, write

pytestmark = pytest.mark.skipif(find_spec("coremltools") is None, reason="coremltools knows the file format")
ONES = np.ones((2, 3), np.float32)
BLOBS, OFFSETS = blob_file(ONES, ONES.astype(np.float16))
OFFSET, HALF_OFFSET = OFFSETS
LARGEST_PEAK_BYTES = 2**28
REFUSED = "(would make a tensor|is asked for|is invalid for input of size 1|size calculation overflowed)"
"""Told by the shapes alone; memory that could not be had would be another message."""


def sound(opset=17):
    """y = relu(x + weight), the weight being in the blob file."""
    program = Program(opset)
    program.array_input("x", (2, 3))
    program.body.weight("weight", FLOAT32, (2, 3), OFFSET)
    program.body.operation("add", {"sum": (FLOAT32, (2, 3))}, x="x", y="weight")
    program.body.operation("relu", {"y": (FLOAT32, (2, 3))}, x="sum")
    program.output("y")
    return program


@pytest.fixture
def run(tmp_path):
    """`run(program, weights)` writes, loads and runs a program."""

    def run(program, weights=BLOBS, given=ONES):
        return load(write(tmp_path, program, weights)).predict({"x": given})

    return run


def parts(program):
    """The messages of the sound program that a test changes."""
    weight, add, relu = program.body.block.operations
    return SimpleNamespace(weight=weight, add=add, relu=relu, held=weight.attributes["val"], model=program.model)


def test_the_sound_program_runs(run):
    assert (run(sound())["y"] == 2).all()


def test_a_blob_file_cut_short_is_refused(run):
    with pytest.raises(BadArtifactError, match="cut short"):
        run(sound(), BLOBS[: OFFSET + 70])


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 0xDEADBEEE), (8, 2**63), (16, 2**63), (16, len(BLOBS)), (16, 129), (8, len(BLOBS))],
    ids=["sentinel", "size", "offset", "at the end", "unaligned", "beyond the end"],
)
def test_a_record_that_points_elsewhere_is_refused(place, value, run):
    damaged = bytearray(BLOBS)
    struct.pack_into("<I" if place < 8 else "<Q", damaged, OFFSET + place, value)
    with pytest.raises(BadArtifactError, match="damaged or cut short"):
        run(sound(), bytes(damaged))


@pytest.mark.parametrize("offset", [0, 1, OFFSET + 1, len(BLOBS) - 63, len(BLOBS), 2**63, 2**64 - 1])
def test_an_offset_at_which_no_record_lies_is_refused(offset, run):
    program = sound()
    parts(program).held.blobFileValue.offset = offset
    with pytest.raises(BadArtifactError, match="damaged or cut short"):
        run(program)


@pytest.mark.parametrize("data_bytes", [0, 23, 25, 48])
def test_a_blob_of_another_size_than_its_shape_is_refused(data_bytes, run):
    damaged = bytearray(BLOBS)
    RECORD.pack_into(damaged, OFFSET, 0xDEADBEEF, 2, data_bytes, OFFSET + 64)
    with pytest.raises(BadArtifactError, match=rf"declares 6 values of fp32 and holds {data_bytes} bytes"):
        run(sound(), bytes(damaged))


@pytest.mark.parametrize(("offset", "data_type"), [(HALF_OFFSET, FLOAT32), (OFFSET, FLOAT16), (OFFSET, INT32)])
def test_a_blob_of_another_type_than_declared_is_refused(offset, data_type, run):
    program = sound()
    parts(program).held.blobFileValue.offset = offset
    parts(program).held.type.tensorType.dataType = data_type
    with pytest.raises(BadArtifactError, match="of another type"):
        run(program)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "@model_path/../../../outside", "weights/weight.bin", "", "@model_path/"]
)
def test_weights_elsewhere_are_refused(name, run, tmp_path):
    (tmp_path / "outside").write_bytes(BLOBS)
    program = sound()
    parts(program).held.blobFileValue.fileName = name
    with pytest.raises(BadArtifactError, match=r"out|holds no weights"):
        run(program)


def test_a_link_in_the_place_of_the_blob_file_is_refused(tmp_path):
    path = write(tmp_path, sound(), BLOBS)
    weights = path / "Data" / package.WEIGHTS / "weight.bin"
    weights.rename(tmp_path / "outside.bin")
    weights.symlink_to(tmp_path / "outside.bin")
    with pytest.raises(BadArtifactError, match="leads out"):
        load(path)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(BadArtifactError, match=package.MANIFEST):
        load(tmp_path / "empty.mlpackage")


def test_a_manifest_that_is_no_json_is_refused(tmp_path):
    path = write(tmp_path, sound(), BLOBS)
    (path / package.MANIFEST).write_text("<plist/>")
    with pytest.raises(BadArtifactError, match="cannot be read"):
        load(path)


KINDS = ("neuralNetwork", "neuralNetworkClassifier", "pipeline", "pipelineClassifier", "serializedModel", "linkedModel")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_no_program_is_named(kind, run):
    program = sound()
    getattr(program.model, kind).SetInParent()
    with pytest.raises(BadArtifactError, match=f"type {kind}"):
        run(program)


def test_an_encrypted_model_is_refused(tmp_path):
    path = write(tmp_path, sound(), BLOBS)
    (path / "Data" / package.MODEL).write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(BadArtifactError):
        load(path)


def test_an_unknown_opset_lists_the_known(run):
    program = sound()
    function = program.function
    function.block_specializations["CoreML99"].CopyFrom(program.body.block)
    function.opset = "CoreML99"
    with pytest.raises(NotExecutableHereError, match="CoreML99") as caught:
        run(program)
    assert "CoreML8" in caught.value.hint


def test_a_function_without_a_body_for_its_opset_is_refused(run):
    program = sound()
    program.function.opset = "CoreML5"
    with pytest.raises(BadArtifactError, match="no body"):
        run(program)


def test_an_unknown_operator_is_named_with_its_place(run):
    program = sound()
    parts(program).add.type = "fold_space"
    with pytest.raises(NotExecutableHereError, match=r"operation 1 \(fold_space 'sum'\), iOS 17"):
        run(program)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda each: each.add.inputs["z"].CopyFrom(each.add.inputs["x"]), r"operation 1 \(add 'sum'\) takes no z"),
        (lambda each: each.add.inputs.pop("y"), r"operation 1 \(add 'sum'\) lacks y"),
        (lambda each: each.add.inputs["y"].ClearField("arguments"), "has nothing for 'y'"),
        (lambda each: setattr(each.add.inputs["y"].arguments[0], "name", "gone"), "uses 'gone', which nothing"),
        (lambda each: setattr(each.add.inputs["y"].arguments[0], "name", "y"), "uses 'y', which nothing"),
        (lambda each: setattr(each.add.inputs["y"].arguments[0], "name", "sum"), "uses 'sum', which nothing"),
        (lambda each: each.add.inputs["y"].arguments[0].ClearField("name"), "constant of type None"),
        (lambda each: setattr(each.relu.outputs[0], "name", "sum"), "makes 'sum', which is there already"),
        (lambda each: setattr(each.relu.outputs[0], "name", "x"), "makes 'x', which is there already"),
        (lambda each: each.relu.ClearField("outputs"), "uses 'y', which nothing"),
        (lambda each: each.relu.outputs.add(name="more"), "declares 2 results and has 1"),
        (lambda each: setattr(each.weight.outputs[0].type.tensorType, "dataType", 99), "data type 99"),
        (lambda each: setattr(each.held.type.tensorType, "dataType", 0), "data type 0"),
        (lambda each: setattr(each.held.type.tensorType, "rank", 3), "declares rank 3 and 2 axes"),
        (lambda each: each.held.type.ClearField("type"), "constant of type None"),
        (lambda each: each.held.type.listType.SetInParent(), "constant of type listType"),
        (lambda each: each.weight.attributes.pop("val"), "lacks val"),
        (lambda each: setattr(each.add.outputs[0].type.tensorType, "dataType", INT32), "declares 'sum' as int32"),
        (lambda each: setattr(each.model.description.output[0], "name", "z"), "outputs 'y', 'z'"),
        (lambda each: setattr(each.model.description.input[0], "name", "z"), "inputs 'x', 'z'"),
        (lambda each: each.model.description.input.append(each.model.description.input[0]), "inputs twice"),
        (lambda each: each.model.description.input[0].type.ClearField("Type"), "of type None"),
        (lambda each: each.model.description.input[0].type.sequenceType.SetInParent(), "of type sequenceType"),
        (lambda each: each.model.description.output[0].type.imageType.SetInParent(), "unknown colours"),
        (lambda each: setattr(each.model.description.input[0].type.multiArrayType, "dataType", 0), "array type 0"),
        (lambda each: setattr(each.model.description.input[0].type.multiArrayType, "dataType", 131104), "different types"),
        (lambda each: each.model.description.input[0].type.multiArrayType.shape.append(1), "description only"),
        (lambda each: each.model.description.output[0].type.multiArrayType.shape.extend([3, 2]), "described as 3×2"),
        (lambda each: each.model.description.output[0].type.stringType.SetInParent(), "output 'y' is"),
        (lambda each: each.model.description.output[0].type.dictionaryType.SetInParent(), "described as dictionaryType"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_fit_together_is_refused(change, words, run):
    program = sound()
    change(parts(program))
    with pytest.raises(BadArtifactError, match=words):
        run(program)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 1), (6,), ()])
def test_a_shape_that_is_not_the_result_s_is_refused(shape, run):
    program = sound()
    tensor(parts(program).add.outputs[0].type, FLOAT32, ())
    parts(program).add.outputs[0].type.ClearField("tensorType")
    tensor(parts(program).add.outputs[0].type, FLOAT32, shape)
    with pytest.raises(BadArtifactError, match=r"operation 1 .* declares 'sum' as .* and gives 2×3"):
        run(program)


@pytest.mark.parametrize("shape", [(2**62, 2**62), (2**40,), (0, 2**40), (2**31, 2)])
@pytest.mark.parametrize("which", ["constant", "result"])
def test_an_absurd_declared_size_is_refused(which, shape, run):
    program = sound()
    declared = parts(program).held if which == "constant" else parts(program).add.outputs[0]
    declared.type.ClearField("tensorType")
    tensor(declared.type, FLOAT32, shape)
    with pytest.raises(BadArtifactError, match="absurd shape"):
        run(program)


def test_an_absurd_rank_is_refused(run):
    program = sound()
    declared = parts(program).add.outputs[0].type
    declared.ClearField("tensorType")
    tensor(declared, FLOAT32, (1,) * 1000)
    with pytest.raises(BadArtifactError, match="rank 1000"):
        run(program)


def test_an_absurd_input_size_is_refused(run):
    program = Program()
    program.array_input("x", (2**33,))
    program.body.operation("relu", {"y": (FLOAT32, (2**33,))}, x="x")
    program.output("y")
    with pytest.raises(BadArtifactError, match="absurd shape"):
        run(program)


def asks(kind, settings, x_shape=(1, 1, 1, 1)):
    """A program whose one operation is told by its settings to make something huge; no shape is declared."""
    program = Program()
    program.array_input("x", x_shape)
    for name, value in settings.items():
        program.body.constant(f"the_{name}", value)
    message = program.body.operation(
        kind, {"y": (FLOAT32, ())}, **({} if kind in {"fill", "range_1d"} else {"x": "x"}),
        **{name: f"the_{name}" for name in settings},
    )  # fmt: skip
    message.outputs[0].type.tensorType.rank = -1
    program.output("y")
    return program


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("fill", {"shape": [2**30, 64], "value": 1.0}),
        ("tile", {"reps": [2**30, 64, 1, 1]}),
        ("pad", {"pad": [0, 0, 0, 0, 0, 0, 2**30, 2**30], "mode": "constant", "constant_val": 0.0}),
        ("upsample_nearest_neighbor", {"scale_factor_height": 2**20, "scale_factor_width": 2**20}),
        ("upsample_bilinear", {"scale_factor_height": 2**20, "scale_factor_width": 2**20}),
        ("resize_bilinear", {"target_size_height": 2**20, "target_size_width": 2**20}),
        ("range_1d", {"start": 0.0, "end": 2.0**40, "step": 1.0}),
        ("reshape", {"shape": [2**30, 64]}),
        ("avg_pool", {
            "kernel_sizes": [1, 1], "strides": [1, 1], "pad_type": "custom", "pad": [2**30, 2**30, 2**30, 2**30],
            "exclude_padding_from_average": False,
        }),
    ],
)  # fmt: skip
def test_settings_that_ask_for_a_huge_result_are_refused_before_it_is_made(kind, settings, run):
    before = peak_bytes()
    with pytest.raises(BadArtifactError, match=rf"operation \d \({kind} .*{REFUSED}"):
        run(asks(kind, settings), b"", np.ones((1, 1, 1, 1)))
    assert peak_bytes() - before < LARGEST_PEAK_BYTES


def peak_bytes():
    """The most memory that this process has held at any time."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def loop(condition_makes):
    """A program whose loop goes on while `condition_makes` (a comparison with zero) holds for its counter."""
    program = Program()
    program.array_input("x", (1,))
    program.body.constant("zero", np.zeros(1, np.float32))
    message = program.body.operation("while_loop", {"y": (FLOAT32, (1,))}, loop_vars=["x"])
    condition, body = program.body.within(message), program.body.within(message)
    for block, name in ((condition, "c"), (body, "b")):
        tensor(block.block.inputs.add(name=name).type, FLOAT32, (1,))
    condition.operation(condition_makes, {"goes_on": (1, (1,))}, x="c", y="zero")
    condition.block.outputs.append("goes_on")
    body.operation("add", {"next": (FLOAT32, (1,))}, x="b", y="zero")
    body.block.outputs.append("next")
    program.output("y")
    return program


def test_a_loop_that_does_not_end_is_stopped(run, monkeypatch):
    monkeypatch.setattr(interpreter, "MOST_TURNS", 100)
    with pytest.raises(BadArtifactError, match="does not end within 100 turns"):
        run(loop("greater"), b"", [1.0])


def test_a_loop_whose_condition_is_false_at_once_gives_what_it_was_given(run):
    assert run(loop("less"), b"", [1.0])["y"] == 1


def test_blocks_within_blocks_a_hundred_deep_are_refused(run):
    program = sound()
    block = program.body.block
    for _depth in range(100):
        block = block.operations.add(type="cond").blocks.add()
        block.operations.add(type="const")
    with pytest.raises(BadArtifactError, match="cannot be read"):
        run(program)


def test_compressed_weights_that_depend_on_an_input_are_refused(run):
    program = Program(18)
    program.array_input("x", (2, 3))
    program.body.operation("constexpr_cast", {"y": (FLOAT32, (2, 3))}, source_val="x")
    program.output("y")
    with pytest.raises(BadArtifactError, match="constexpr_cast"):
        run(program)


def test_a_state_of_another_shape_than_described_is_refused(run):
    program = sound()
    state = program.function.inputs.add(name="kept").type.stateType.wrappedType
    tensor(state, FLOAT16, (2,))
    array = program.model.description.state.add(name="kept").type.stateType.arrayType
    array.dataType = 65552
    array.shape.append(2**40)
    with pytest.raises(BadArtifactError, match="state 'kept'"):
        run(program)


def test_nothing_at_all_is_no_model(run, tmp_path):
    path = write(tmp_path, sound(), BLOBS)
    (path / "Data" / package.MODEL).write_bytes(model_class()().SerializeToString())
    with pytest.raises(BadArtifactError, match="no model"):
        load(path)


def test_the_name_of_the_blob_file_is_the_one_that_the_toolchain_writes():
    assert WEIGHT_FILE == "@model_path/weights/weight.bin"
