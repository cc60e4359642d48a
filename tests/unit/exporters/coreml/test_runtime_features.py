"""Features in and out: what a caller may give to a program, what is refused, and what comes back."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from edge.errors import BadArtifactError, UsageError
from exporters.coreml.runtime.model import load
from exporters.coreml.runtime.pictures import BGR, GRAYSCALE, GRAYSCALE_FLOAT16, RGB
from tests.fakes.ml_program import FLOAT16, FLOAT32, INT8, INT32, STRING, Program, write

pytestmark = pytest.mark.skipif(find_spec("coremltools") is None, reason="coremltools knows the file format")
UNSET = object()


@pytest.fixture
def through(tmp_path):
    """`through(program)` loads a program."""
    return lambda program: load(write(tmp_path, program))


def identity(data_type=FLOAT32, shape=(2, 3), opset=17):
    """A program that gives what it is given; its input feature comes too."""
    program = Program(opset)
    feature = program.array_input("x", shape, data_type)
    program.body.operation("identity", {"y": (data_type, shape)}, x="x")
    program.output("y", data_type)
    return program, feature.type


def picture_program(colours, *, width=4, height=2, out=True):
    """A program that gives the picture that it is given, as a picture or as an array."""
    planes = 3 if colours in (RGB, BGR) else 1
    program = Program()
    shape = (1, planes, height, width)
    program.declare("x", FLOAT32, shape)
    kind = program.model.description.input.add(name="x").type.imageType
    kind.width, kind.height, kind.colorSpace = width, height, colours
    program.body.operation("identity", {"y": (FLOAT32, shape)}, x="x")
    result = program.output("y")
    if out:
        result.type.imageType.CopyFrom(kind)
    return program, kind


def picture(mode, width=4, height=2):
    rng = np.random.default_rng(0)
    if mode == "F":
        return Image.fromarray(rng.random((height, width), np.float32))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3) if mode == "RGB" else (height, width), np.uint8))


@pytest.mark.parametrize("opset", [15, 16, 17, 18])
def test_a_program_of_each_ios_release_runs(opset, through):
    program, _ = identity(opset=opset)
    assert (through(program).predict({"x": np.ones((2, 3))})["y"] == 1).all()


@pytest.mark.parametrize(
    ("data_type", "dtype"), [(FLOAT32, np.float32), (FLOAT16, np.float16), (INT32, np.int32), (INT8, np.int8)]
)
def test_an_array_comes_back_in_the_type_of_its_feature(data_type, dtype, through):
    program, _ = identity(data_type)
    given = np.arange(6).reshape(2, 3)
    found = through(program).predict({"x": given})["y"]
    assert found.dtype == dtype
    assert (found == given).all()


@pytest.mark.parametrize(
    ("data_type", "constant", "expected"), [(FLOAT32, [[1], [2]], [[3.5]]), (INT32, [[1.0], [2.0]], [[3]])]
)
def test_of_integers_times_reals_the_file_declares_what_the_product_is(data_type, constant, expected, through):
    program = Program()
    program.array_input("x", (1, 2), data_type)
    program.body.constant("w", constant)
    program.body.operation("matmul", {"y": (data_type, (1, 1))}, x="x", y="w")
    program.output("y", data_type)
    assert through(program).predict({"x": np.array([[1.5, 1]]).astype(type(expected[0][0]))})["y"].tolist() == expected


def test_a_double_feature_takes_and_gives_float64(through):
    program, kind = identity()
    kind.multiArrayType.dataType = program.model.description.output[0].type.multiArrayType.dataType = 65600
    assert through(program).predict({"x": np.ones((2, 3))})["y"].dtype == np.float64


def test_whole_numbers_may_come_as_floating_point(through):
    program, _ = identity(INT32)
    assert through(program).predict({"x": np.full((2, 3), 7.0)})["y"].tolist() == [[7] * 3] * 2


@pytest.mark.parametrize("value", [0.5, 2**31, np.nan, np.inf])
def test_numbers_that_an_integer_feature_cannot_hold_are_refused(value, through):
    program, _ = identity(INT32)
    with pytest.raises(UsageError, match="whole numbers of 32 bits"):
        through(program).predict({"x": np.full((2, 3), value)})


@pytest.mark.parametrize("value", [np.ones((2, 4)), np.ones(6), np.ones((1, 2, 3)), 1.0])
def test_an_array_of_another_shape_is_the_callers_fault(value, through):
    program, _ = identity()
    with pytest.raises(UsageError, match="x takes 2×3") as caught:
        through(program).predict({"x": value})
    assert not isinstance(caught.value, BadArtifactError)


@pytest.mark.parametrize("value", ["text", None, [[1], [2, 3]], np.ones((2, 3), complex), object()])
def test_what_is_no_array_of_numbers_is_refused(value, through):
    program, _ = identity()
    with pytest.raises(UsageError, match="x takes"):
        through(program).predict({"x": value})


@pytest.mark.parametrize("given", [{}, {"x": np.ones((2, 3)), "z": 1}, {"z": 1}])
def test_missing_and_unknown_inputs_are_named(given, through):
    program, _ = identity()
    with pytest.raises(UsageError, match="missing or unknown"):
        through(program).predict(given)


def test_a_number_beyond_float32_is_infinite(through):
    program, _ = identity()
    assert np.isinf(through(program).predict({"x": np.full((2, 3), 1e300)})["y"]).all()


def test_what_a_caller_gives_is_not_changed_and_not_shared(through):
    program, _ = identity()
    given = np.ones((2, 3), np.float32)
    found = through(program).predict({"x": given})["y"]
    found += 1
    assert (given == 1).all()


def test_a_scalar_of_the_program_is_one_value_along_one_axis(through):
    program, _ = identity(shape=())
    loaded = through(program)
    assert loaded.predict({"x": np.array([3.0])})["y"].item() == 3
    assert loaded.predict({"x": 4})["y"].item() == 4


def test_enumerated_shapes_are_accepted_and_no_others(through):
    program, kind = identity(shape=(1, None))
    for size in (2, 5):
        kind.multiArrayType.enumeratedShapes.shapes.add(shape=[1, size])
    loaded = through(program)
    assert loaded.predict({"x": np.ones((1, 5))})["y"].shape == (1, 5)
    with pytest.raises(UsageError, match="1×2 or 1×5, not 1×3"):
        loaded.predict({"x": np.ones((1, 3))})


@pytest.mark.parametrize("size", [2, 7])
def test_a_range_of_shapes_has_both_its_ends(size, through):
    program, _ = ranged(2, 7)
    assert through(program).predict({"x": np.ones((1, size))})["y"].shape == (1, size)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (2, 2), (1,)])
def test_a_shape_outside_the_range_is_refused(shape, through):
    program, _ = ranged(2, 7)
    with pytest.raises(UsageError, match=r"1\.\.1×2\.\.7"):
        through(program).predict({"x": np.ones(shape)})


def test_a_range_may_have_no_end(through):
    program, _ = ranged(1, -1)
    assert through(program).predict({"x": np.ones((1, 999))})["y"].shape == (1, 999)


def ranged(lowest, highest):
    program, kind = identity(shape=(1, None))
    kind.multiArrayType.shapeRange.sizeRanges.add(lowerBound=1, upperBound=1)
    kind.multiArrayType.shapeRange.sizeRanges.add(lowerBound=lowest, upperBound=highest)
    return program, kind


def test_without_a_shape_in_the_description_the_program_decides(through):
    program, kind = identity()
    kind.multiArrayType.ClearField("shape")
    with pytest.raises(UsageError, match="2×3"):
        through(program).predict({"x": np.ones((3, 3))})


@pytest.mark.parametrize(("default", "value"), [("floatDefaultValue", 2.5), ("intDefaultValue", 3), (None, 0)])
def test_an_optional_input_that_is_missing_is_its_default(default, value, through):
    program, kind = identity()
    kind.isOptional = True
    if default:
        setattr(kind.multiArrayType, default, value)
    loaded = through(program)
    assert loaded.predict({})["y"].tolist() == [[value] * 3] * 2
    assert loaded.predict({"x": np.ones((2, 3))})["y"].tolist() == [[1] * 3] * 2


def test_the_default_of_an_absurdly_large_optional_input_is_not_made(through):
    program, kind = identity(shape=(None,))
    kind.isOptional = True
    kind.multiArrayType.shape[0] = 2**40
    with pytest.raises(BadArtifactError, match="absurd"):
        through(program).predict({})


@pytest.mark.parametrize(("colours", "mode"), [(RGB, "RGB"), (BGR, "RGB"), (GRAYSCALE, "L"), (GRAYSCALE_FLOAT16, "F")])
def test_a_picture_comes_back_as_it_was(colours, mode, through):
    program, _ = picture_program(colours)
    given = picture(mode)
    found = through(program).predict({"x": given})["y"]
    assert found.mode == mode
    assert (np.asarray(found) == np.asarray(given)).all()


@pytest.mark.parametrize(("colours", "order"), [(RGB, [0, 1, 2]), (BGR, [2, 1, 0])])
def test_the_planes_stand_in_the_declared_order_of_colours(colours, order, through):
    program, _ = picture_program(colours, out=False)
    given = picture("RGB")
    planes = through(program).predict({"x": given})["y"]
    assert (planes == np.asarray(given)[..., order].transpose(2, 0, 1)[None]).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (picture("RGB", 5, 2), "4x2 pictures, not 5x2"),
        (picture("L"), "mode RGB, not L"),
        (np.ones((2, 4, 3)), "ndarray"),
    ],
    ids=["size", "mode", "array"],
)
def test_a_picture_that_core_ml_would_not_take_is_refused(given, words, through):
    program, _ = picture_program(RGB)
    with pytest.raises(UsageError, match=words):
        through(program).predict({"x": given})


def test_enumerated_sizes_of_pictures_are_accepted_and_no_others(through):
    program, kind = picture_program(RGB, out=False)
    open_sizes(program)
    for width, height in ((4, 2), (6, 3)):
        kind.enumeratedSizes.sizes.add(width=width, height=height)
    loaded = through(program)
    assert loaded.predict({"x": picture("RGB", 6, 3)})["y"].shape == (1, 3, 3, 6)
    with pytest.raises(UsageError, match="4x2 or 6x3 pictures, not 5x2"):
        loaded.predict({"x": picture("RGB", 5, 2)})


def test_a_range_of_picture_sizes_is_accepted_and_nothing_outside(through):
    program, kind = picture_program(RGB, out=False)
    open_sizes(program)
    limits = kind.imageSizeRange
    limits.widthRange.lowerBound, limits.widthRange.upperBound = 4, 8
    limits.heightRange.lowerBound, limits.heightRange.upperBound = 2, -1
    loaded = through(program)
    assert loaded.predict({"x": picture("RGB", 8, 50)})["y"].shape == (1, 3, 50, 8)
    with pytest.raises(UsageError, match=r"4\.\.8x2\.\. pictures, not 9x2"):
        loaded.predict({"x": picture("RGB", 9, 2)})


def open_sizes(program):
    """Make width and height of all tensors a matter of the run."""
    types = [program.function.inputs[0].type, program.body.block.operations[0].outputs[0].type]
    for axis in (axis for kind in types for axis in kind.tensorType.dimensions[2:]):
        axis.unknown.variadic = False


def test_values_beyond_a_byte_are_clipped_and_the_rest_rounded(through):
    program, _ = picture_program(GRAYSCALE, width=4, height=1)
    program.array_input("x", (1, 1, 1, 4))
    del program.model.description.input[0], program.function.inputs[1]
    found = through(program).predict({"x": np.array([[[[-3.0, 1.6, 300.0, np.nan]]]])})["y"]
    assert np.asarray(found).tolist() == [[0, 2, 255, 0]]


def test_a_tensor_that_is_not_the_declared_picture_is_refused(through):
    program, _ = picture_program(RGB)
    program.model.description.output[0].type.imageType.width = 5
    with pytest.raises(BadArtifactError, match="declared 5x2 and is 4x2"):
        through(program).predict({"x": picture("RGB")})


@pytest.mark.parametrize(
    ("which", "data_type", "given", "found"),
    [("int64Type", INT32, 7, 7), ("doubleType", FLOAT32, 0.5, 0.5), ("stringType", STRING, "word", "word")],
)
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_scalar_feature_goes_in_and_comes_out_as_pythons_own(which, data_type, given, found, shape, through):
    loaded = through(scalar_program(which, data_type, shape))
    result = loaded.predict({"x": given})["y"]
    assert (result, type(result)) == (found, type(found))


@pytest.mark.parametrize(
    ("which", "data_type", "given"),
    [
        ("int64Type", INT32, 0.5),
        ("int64Type", INT32, [1, 2]),
        ("int64Type", INT32, 2**63),
        ("doubleType", FLOAT32, "a"),
        ("stringType", STRING, 3),
    ],
)
def test_a_scalar_of_another_type_is_refused(which, data_type, given, through):
    with pytest.raises(UsageError, match="x takes"):
        through(scalar_program(which, data_type, ())).predict({"x": given})


def scalar_program(which, data_type, shape):
    program = Program()
    program.declare("x", data_type, shape)
    for feature in (program.model.description.input.add(name="x"), program.output("y", FLOAT32)):
        getattr(feature.type, which).SetInParent()
    program.body.operation("identity", {"y": (data_type, shape)}, x="x")
    return program


@pytest.mark.parametrize("labels", [["cat", "dog", "owl"], [5, 7, 9]])
def test_a_classifier_gives_its_label_and_a_value_for_each(labels, through):
    program = Program()
    program.array_input("x", (1, 3))
    is_text = isinstance(labels[0], str)
    operation = program.body.operation("classify", {}, probabilities="x")
    value = operation.inputs["classes"].arguments.add().value
    value.type.listType.type.tensorType.dataType = STRING if is_text else 24
    for label in labels:
        each = value.immediateValue.list.values.add()
        each.type.tensorType.dataType = STRING if is_text else 24
        field = "strings" if is_text else "longInts"
        getattr(each.immediateValue.tensor, field).values.append(label)
    label = operation.outputs.add(name="label").type.tensorType
    label.dataType = STRING if is_text else 24
    operation.outputs.add(name="probabilities").type.dictionaryType.SetInParent()
    program.output("label").type.ClearField("multiArrayType")
    getattr(program.model.description.output[0].type, "stringType" if is_text else "int64Type").SetInParent()
    program.output("probabilities").type.dictionaryType.SetInParent()
    program.model.description.predictedFeatureName = "label"
    found = through(program).predict({"x": [[0.25, 0.5, 0.125]]})
    assert found == {"label": labels[1], "probabilities": dict(zip(labels, [0.25, 0.5, 0.125], strict=True))}


def test_states_begin_at_zero_and_live_as_long_as_the_caller_keeps_them(through):
    loaded = through(counter())
    state = loaded.make_state()
    assert [loaded.predict({"x": [1.5, 2]}, state)["y"].tolist() for _ in range(2)] == [[1.5, 2], [3, 4]]
    assert state["total"].value.tolist() == [3, 4]
    assert loaded.predict({"x": [1, 1]})["y"].tolist() == [1, 1]


@pytest.mark.parametrize("names", [["other"], [], ["total", "other"]])
def test_states_of_another_function_are_refused(names, through):
    loaded = through(counter())
    kept = loaded.make_state()
    with pytest.raises(UsageError, match="not of this function"):
        loaded.predict({"x": [1, 1]}, dict.fromkeys(names, kept["total"]))


def counter():
    """Adds its input to a state and gives the sum."""
    program = Program(18)
    program.array_input("x", (2,))
    state = program.function.inputs.add(name="total").type.stateType.wrappedType.tensorType
    state.dataType, state.rank = FLOAT16, 1
    state.dimensions.add().constant.size = 2
    array = program.model.description.state.add(name="total").type.stateType.arrayType
    array.dataType = 65552
    array.shape.append(2)
    program.body.operation("read_state", {"old": (FLOAT16, (2,))}, input="total")
    program.body.operation("add", {"sum": (FLOAT16, (2,))}, x="old", y="x")
    program.body.operation("write_state", {}, input="total", data="sum")
    program.body.operation("read_state", {"y": (FLOAT16, (2,))}, input="total")
    program.output("y", FLOAT16)
    return program


def several():
    """Two functions, `main` doubles and `square` squares, the second being the default."""
    program, _ = identity()
    model = program.model
    program.body.block.operations[0].type = "square"
    model.mlProgram.functions["square"].CopyFrom(program.function)
    program.body.block.operations[0].type = "add"
    program.body.block.operations[0].inputs["y"].arguments.add(name="x")
    for name in ("main", "square"):
        each = model.description.functions.add(name=name)
        each.input.extend(model.description.input)
        each.output.extend(model.description.output)
    model.description.defaultFunctionName = "square"
    model.description.ClearField("input")
    model.description.ClearField("output")
    return program


def test_the_default_function_runs_unless_another_is_named(tmp_path):
    path = write(tmp_path, several())
    given = {"x": np.full((2, 3), 3.0)}
    assert load(path).predict(given)["y"][0, 0] == 9
    assert load(path, function_name="main").predict(given)["y"][0, 0] == 6


def test_a_function_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path):
    with pytest.raises(BadArtifactError, match="'cube'") as caught:
        load(write(tmp_path, several()), function_name="cube")
    assert "main, square" in caught.value.hint


def test_a_function_that_nothing_describes_is_refused(tmp_path):
    program = several()
    del program.model.description.functions[0]
    with pytest.raises(BadArtifactError, match="nothing describes"):
        load(write(tmp_path, program), function_name="main")


def test_results_do_not_need_a_gradient(through):
    program, _ = identity()
    assert not torch.is_tensor(through(program).predict({"x": np.ones((2, 3))})["y"])
