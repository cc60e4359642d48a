"""coremltools' generated protobuf classes, without the six seconds that importing coremltools itself takes."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from edge.errors import ToolchainMissingError

PACKAGE = "exporters.coreml._generated"


@cache
def model_class() -> Any:
    """The class of Core ML's `Model` message, as coremltools itself has it. Raises `ToolchainMissingError`.

    The generated modules import only each other, relatively: a package of another name over the same folder is enough.
    """
    coremltools = find_spec("coremltools")
    if coremltools is None or coremltools.origin is None:
        raise ToolchainMissingError(
            "coremltools is not installed, it knows the file format", hint="pip install 'edge-toolchain[coreml]'"
        )
    package = ModuleType(PACKAGE)
    package.__path__ = [str(Path(coremltools.origin).parent / "proto")]
    sys.modules[PACKAGE] = package
    return import_module(f"{PACKAGE}.Model_pb2").Model
