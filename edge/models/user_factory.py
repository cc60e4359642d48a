"""Networks from a user's own function: `package.module:factory` or `path/file.py:factory`.

The factory returns an `nn.Module`, or a pair of it and a description, a dict with any of the keys `inputs` (a list of
dicts with `name`, `shape` with batch 1 first, `dtype`, `layout`), `outputs` (names), `labels`, `mean` and `std`. Instead of
the pair, the module or the factory may carry the inputs as an attribute `edge_inputs`. Without either, the network takes
one picture. Overrides `num_classes` and `image_size` are handed to a factory that has parameters of these names.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from edge.card import TensorSpec, WeightsOrigin
from edge.errors import UsageError
from edge.models.network import Network, picture, picture_size, seeded
from edge.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from edge.reference import ModelRequest
from edge.suggest import unknown
from edge.user_code import user_code

DEFAULT_SIZE = (224, 224)
DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
DESCRIPTION = ("inputs", "outputs", "labels", "mean", "std")
INPUT = ("name", "shape", "dtype", "layout")


def build(request: ModelRequest) -> Network:
    """Call the factory under the request's seed. Raises `UsageError`, naming the line for what the user's code raises."""
    if request.pretrained:
        raise UsageError(
            "--pretrained is for published networks; a factory makes its own weights", hint="give --weights FILE"
        )
    where, _, name = request.reference.rpartition(":")
    with _importable(Path(where).parent if where.endswith(".py") else Path.cwd()):
        factory = _attribute(_loaded(where), name, where)
        arguments = _arguments(factory, request)
        with seeded(request.seed), user_code(f"{request.reference}"):
            made = factory(**arguments)
    module, description = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"{request.reference} returned {type(module).__name__}, not an nn.Module",
            hint="return the module, or the pair (module, description)",
        )
    described = _fields(description, DESCRIPTION, "the description")
    attached = getattr(module, "edge_inputs", None) or getattr(factory, "edge_inputs", None)
    inputs = _inputs(described.get("inputs") or attached) or (picture(request.image_size or DEFAULT_SIZE),)
    if request.image_size is not None and picture_size(inputs) != request.image_size:
        raise UsageError(
            f"{request.reference} describes an input of another size than {request.image_size}",
            hint="let the factory take image_size=(height, width), or leave --image-size out",
        )
    return Network(
        module,
        inputs,
        WeightsOrigin(f"as {name} made them"),
        _preprocess(inputs, described),
        tuple(str(label) for label in described.get("labels") or ()),
        tuple(str(output) for output in described.get("outputs") or ()),
    )


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The folder's modules can be imported, as if Python had been started there."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


def _loaded(where: str) -> ModuleType:
    return _loaded_file(Path(where)) if where.endswith(".py") else _imported(where)


def _loaded_file(path: Path) -> ModuleType:
    """Execute a file as a module of a name that hides no other."""
    if not path.is_file():
        raise UsageError(f"there is no {path}", hint="write path/to/file.py:factory")
    name = f"edge_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file", hint="write path/to/file.py:factory")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    with user_code(f"importing {path}"):
        spec.loader.exec_module(module)
    return module


def _imported(name: str) -> ModuleType:
    with user_code(f"importing {name}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
        except (TypeError, ValueError):  # a name such as "" or ".models"
            pass
    raise UsageError(
        f"no module named {name!r}", hint="run from the folder that holds it, or write path/file.py:factory"
    )


def _attribute(module: ModuleType, name: str, where: str) -> Callable[..., Any]:
    factory = getattr(module, name, None)
    if factory is None:
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown(f"factory in {where}", name, public)
    if not callable(factory) or isinstance(factory, nn.Module):
        raise UsageError(f"{name} in {where} is not a function", hint=f"write: def {name}(): return Network()")
    return factory


def _arguments(factory: Callable[..., Any], request: ModelRequest) -> dict[str, Any]:
    """The overrides that the factory has parameters for."""
    try:
        names = inspect.signature(factory).parameters.keys()
    except (TypeError, ValueError):  # a builtin without a signature
        names = {}.keys()
    if request.num_classes is not None and "num_classes" not in names:
        raise UsageError(
            f"{request.reference} takes no num_classes",
            hint="give the factory that parameter, or leave --num-classes out",
        )
    wanted = {"num_classes": request.num_classes, "image_size": request.image_size}
    return {name: value for name, value in wanted.items() if value is not None and name in names}


def _fields(described: Any, known: Iterable[str], noun: str) -> Mapping[str, Any]:
    if not isinstance(described, Mapping):
        raise UsageError(f"{noun} is {type(described).__name__}, not a dict", hint=f"its keys: {', '.join(known)}")
    for key in described:
        if key not in known:
            raise unknown(f"key of {noun}", str(key), known)
    return described


def _inputs(described: Any) -> tuple[TensorSpec, ...]:
    specs = tuple(
        _input(_fields(fields, INPUT, "an input's description"), f"input_{i}")
        for i, fields in enumerate(described or ())
    )
    if len({spec.name for spec in specs}) != len(specs):
        raise UsageError("two inputs have the same name", hint="give each input a name of its own")
    return specs


def _input(fields: Mapping[str, Any], default_name: str) -> TensorSpec:
    shape, dtype = fields.get("shape"), str(fields.get("dtype", "float32")).removeprefix("torch.")
    if not isinstance(shape, (tuple, list, torch.Size)) or not all(
        isinstance(size, int) and size > 0 for size in shape
    ):
        raise UsageError(f"an input's shape is {shape!r}", hint="write sizes above zero, as in (1, 3, 224, 224)")
    if len(shape) == 0 or shape[0] != 1:
        raise UsageError(f"an input's shape {tuple(shape)} does not start with batch 1", hint="write (1, …)")
    if dtype not in DTYPES:
        raise unknown("dtype of an input", dtype, DTYPES)
    layout = "NCHW" if len(shape) == 4 and shape[1] == 3 else ""
    return TensorSpec(str(fields.get("name", default_name)), tuple(shape), dtype, str(fields.get("layout", layout)))


def _preprocess(inputs: tuple[TensorSpec, ...], described: Mapping[str, Any]) -> Preprocess | None:
    """The description's normalisation, ImageNet's where it says none; None unless the input is one picture."""
    size = picture_size(inputs)
    if size is None:
        return None
    mean, std = described.get("mean") or IMAGENET_MEAN, described.get("std") or IMAGENET_STD
    try:
        return Preprocess(*size, mean=tuple(mean), std=tuple(std))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the description's mean and std: {error}", hint="three numbers each, std above zero"
        ) from None
