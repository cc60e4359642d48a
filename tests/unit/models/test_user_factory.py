"""Factories of the user: what they may return, what may be wrong with them, and that the fault is placed."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from edge.card import TensorSpec
from edge.errors import UnknownNameError, UsageError
from edge.models.sources import Model, resolve
from edge.reference import ModelRequest

HEADER = """\
from collections import namedtuple
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.linear = nn.Linear(3, classes)

    def forward(self, x):
        return self.linear(x.mean((2, 3)))
"""


@pytest.fixture
def made(tmp_path: Path) -> str:
    return f"{tmp_path}/net.py:make"


def written(reference: str, code: str) -> None:
    Path(reference.rpartition(":")[0]).write_text(HEADER + dedent(code))


def built(reference: str, code: str, **request: object) -> Model:
    written(reference, code)
    return resolve(ModelRequest(reference, **request))


def refused(reference: str, code: str, **request: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        built(reference, code, **request)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_module_without_a_description_takes_a_picture(made: str) -> None:
    model = built(made, "def make(): return Net()")
    assert model.inputs == (TensorSpec("image", (1, 3, 224, 224), "float32", "NCHW"),)
    assert model.outputs == (TensorSpec("logits", (1, 5)),)
    assert model.preprocess is not None


def test_the_weights_are_as_the_factory_made_them(made: str) -> None:
    code = """
    def make():
        net = Net()
        nn.init.constant_(net.linear.bias, 3.0)
        return net
    """
    model = built(made, code)
    assert model.weights.source == "as make made them"
    assert torch.equal(model.module.state_dict()["linear.bias"], torch.full((5,), 3.0))


def test_the_seed_decides_the_weights(made: str) -> None:
    first = built(made, "def make(): return Net()", seed=1).weights.sha256
    assert built(made, "def make(): return Net()", seed=1).weights.sha256 == first
    assert built(made, "def make(): return Net()", seed=2).weights.sha256 != first


def test_a_class_is_a_factory(made: str) -> None:
    written(made, "")
    assert resolve(ModelRequest(made.replace(":make", ":Net"))).outputs[0].shape == (1, 5)


def test_overrides_reach_a_factory_that_has_parameters_for_them(made: str) -> None:
    model = built(
        made, "def make(num_classes=5, image_size=None): return Net(num_classes)", num_classes=7, image_size=(32, 48)
    )
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((1, 3, 32, 48), (1, 7))


def test_an_image_size_needs_no_parameter_of_the_factory(made: str) -> None:
    assert built(made, "def make(): return Net()", image_size=(32, 48)).inputs[0].shape == (1, 3, 32, 48)


def test_classes_that_a_factory_does_not_take_are_refused(made: str) -> None:
    assert "takes no num_classes" in str(refused(made, "def make(): return Net()", num_classes=7))


def test_a_description_gives_names_shapes_and_dtypes(made: str) -> None:
    code = """
    class Two(nn.Module):
        def forward(self, a, tokens):
            return a.sum(1), tokens.float() + 1

    def make():
        inputs = [{"name": "a", "shape": (1, 4, 6)}, {"name": "tokens", "shape": [1, 8], "dtype": "int64", "layout": "NT"}]
        return Two(), {"inputs": inputs, "outputs": ["sum", "next"]}
    """
    model = built(made, code)
    assert model.inputs == (TensorSpec("a", (1, 4, 6)), TensorSpec("tokens", (1, 8), "int64", "NT"))
    assert model.outputs == (TensorSpec("sum", (1, 6)), TensorSpec("next", (1, 8)))
    assert model.preprocess is None


def test_integer_examples_are_small_and_not_negative(made: str) -> None:
    code = """
    def make():
        return nn.Embedding(2, 4), {"inputs": [{"name": "tokens", "shape": (1, 64), "dtype": "int64"}]}
    """
    (tokens,) = built(made, code).example_inputs()
    assert (tokens.dtype, tokens.unique().tolist()) == (torch.int64, [0, 1])


@pytest.mark.parametrize("where", ["make.edge_inputs = INPUTS", "Net.edge_inputs = INPUTS"])
def test_inputs_may_be_an_attribute_of_the_factory_or_the_module(where: str, made: str) -> None:
    code = f"def make(): return Net()\nINPUTS = [{{'name': 'photo', 'shape': (1, 3, 8, 8)}}]\n{where}\n"
    assert built(made, code).inputs == (TensorSpec("photo", (1, 3, 8, 8), "float32", "NCHW"),)


def test_a_description_gives_labels_and_normalisation(made: str) -> None:
    code = """
    def make():
        return Net(2), {"labels": ["no", "yes"], "mean": [0.5] * 3, "std": [0.25] * 3}
    """
    model = built(made, code)
    assert model.labels == ("no", "yes")
    assert model.preprocess is not None
    assert (model.preprocess.mean, model.preprocess.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        ("{'boxes': x, 'scores': x}", ("boxes", "scores")),
        ("namedtuple('Out', 'boxes scores')(x, x)", ("boxes", "scores")),
        ("(x, x)", ("output_0", "output_1")),
        ("[x, {'a': x, 'b': (x, x)}]", ("output_0", "output_1_a", "output_1_b_0", "output_1_b_1")),
        ("x", ("output_0",)),
        ("x.mean((2, 3))", ("logits",)),
    ],
)
def test_outputs_are_named_by_what_holds_them(returned: str, names: tuple[str, ...], made: str) -> None:
    code = f"""
    class Many(nn.Module):
        def forward(self, x):
            return {returned}

    make = Many
    """
    assert tuple(spec.name for spec in built(made, code, image_size=(8, 8)).outputs) == names


def test_a_neighbouring_file_can_be_imported(made: str, tmp_path: Path) -> None:
    (tmp_path / "edge_test_neighbour.py").write_text("CLASSES = 6\n")
    path = list(sys.path)
    model = built(made, "from edge_test_neighbour import CLASSES\ndef make(): return Net(CLASSES)")
    assert model.outputs[0].shape == (1, 6)
    assert sys.path == path


def test_a_package_of_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edge_test_package").mkdir()
    (tmp_path / "edge_test_package" / "__init__.py").touch()
    (tmp_path / "edge_test_package" / "nets.py").write_text(HEADER)
    monkeypatch.chdir(tmp_path)
    assert resolve(ModelRequest("edge_test_package.nets:Net")).outputs[0].shape == (1, 5)


def test_what_a_factory_prints_stays_off_standard_output(made: str, capsys: pytest.CaptureFixture[str]) -> None:
    built(made, "print('hello')\ndef make():\n    print('hello')\n    return Net()\n")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\nhello\n")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def make():\n    raise ValueError('no luck')\n", "net.py:13: ValueError: no luck"),
        ("def make():\n    raise SystemExit(3)\n", "net.py:13: SystemExit: 3"),
        ("def make(): return torch.zeros(2).reshape(3)\n", "net.py:12: RuntimeError: shape"),
        ("1 / 0\n", "net.py:12: ZeroDivisionError"),
        ("import edge_no_such_package\n", "net.py:12: ModuleNotFoundError"),
        ("def make(:\n", "net.py:12: SyntaxError"),
        (
            "class Bad(Net):\n    def forward(self, x): return x @ x[0, 0, 0, :3]\nmake = Bad\n",
            "net.py:13: RuntimeError",
        ),
    ],
)
def test_what_the_users_code_raises_names_the_line(code: str, reason: str, made: str) -> None:
    assert reason in str(refused(made, code))


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("3", "returned int, not an nn.Module"),
        ("None", "returned NoneType, not an nn.Module"),
        ("Net(), 3", "the description is int, not a dict"),
        ("Net(), {'inptus': []}", "no key of the description named 'inptus'"),
        ("Net(), {'inputs': [{'name': 'x', 'shape': (3, 8, 8)}]}", "does not start with batch 1"),
        ("Net(), {'inputs': [{'name': 'x', 'shape': (1, -8)}]}", "shape is (1, -8)"),
        ("Net(), {'inputs': [{'name': 'x'}]}", "shape is None"),
        ("Net(), {'inputs': [(1, 3, 8, 8)]}", "an input's description is tuple, not a dict"),
        ("Net(), {'inputs': [{'shape': (1, 2), 'dtype': 'float8'}]}", "no dtype of an input named 'float8'"),
        ("Net(), {'inputs': [{'name': 'x', 'shape': (1, 2)}] * 2}", "two inputs have the same name"),
        ("Net(), {'outputs': ['a', 'b']}", "2 output names for 1 outputs"),
        ("Net(), {'mean': [1, 2]}", "the description's mean and std"),
        ("Net(), {'labels': ['one']}", "there are 1 labels, but the model has 5 classes"),
    ],
)
def test_a_wrong_result_of_a_factory_says_what_is_wrong(returned: str, reason: str, made: str) -> None:
    assert reason in str(refused(made, f"def make(): return {returned}"))


def test_an_answer_that_is_no_tensor_is_refused(made: str) -> None:
    code = "class Bad(Net):\n    def forward(self, x): return x, None\nmake = Bad\n"
    assert "returns output_1 of type NoneType" in str(refused(made, code))


def test_a_described_input_of_another_size_than_the_users_is_refused(made: str) -> None:
    code = "def make(): return Net(), {'inputs': [{'name': 'x', 'shape': (1, 3, 8, 8)}]}"
    assert "another size" in str(refused(made, code, image_size=(16, 16)))


def test_normalisation_for_a_network_that_takes_no_picture_is_refused(made: str) -> None:
    code = "def make(): return nn.Linear(4, 2), {'inputs': [{'name': 'x', 'shape': (1, 4)}]}"
    assert "does not take one picture" in str(refused(made, code, mean=(0.0, 0.0, 0.0)))


def test_a_misspelt_factory_suggests_the_nearest(made: str) -> None:
    written(made, "def make_net(): return Net()")
    with pytest.raises(UnknownNameError) as caught:
        resolve(ModelRequest(made.replace(":make", ":mak_net")))
    assert "make_net" in caught.value.hint


@pytest.mark.parametrize(
    "reference", ["none.py:make", "edge_no_such_package:make", ":make", ".:make", "torch:pi", "torch:"]
)
def test_a_factory_that_is_not_there_is_one_line(reference: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(ModelRequest(reference))
    assert "\n" not in str(caught.value)


def test_published_weights_of_a_factory_are_refused(made: str) -> None:
    assert "--pretrained is for published networks" in str(refused(made, "def make(): return Net()", pretrained=True))
