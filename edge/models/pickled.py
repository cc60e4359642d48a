"""Reads a checkpoint that torch pickled, as plain data: a pickle is a program, and here it may only build tensors."""

from __future__ import annotations

import argparse
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edge.errors import WeightsError

SAFE: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [argparse.Namespace]
"""Authors' training scripts store their options in one; it is a bag of attributes."""
HINT = "have its author save the tensors as .safetensors, which cannot hold code"
_REFUSED = re.compile(r"GLOBAL\s+([\w.]+)")


def read(path: Path) -> object:
    """What `torch.load` makes of the file under `weights_only`. Raises `WeightsError`, for code with the global it wants."""
    _refuse_inflating(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(SAFE):
            warnings.simplefilter("ignore")  # it warns of formats that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file raises nearly anything
        raise _why(path, error) from None


def _why(path: Path, error: Exception) -> WeightsError:
    message = str(error)
    if wanted := _REFUSED.search(message):
        return WeightsError(f"{path} wants to run code: it asks for {wanted[1]}", hint=HINT)
    if "TorchScript" in message:
        return WeightsError(f"{path} is a TorchScript program, not weights", hint=HINT)
    if names := _globals(path):
        return WeightsError(f"{path} is a pickle that may run code: it asks for {', '.join(names[:3])}", hint=HINT)
    reason = "it is damaged, or no checkpoint at all"
    return WeightsError(f"{path} is not a checkpoint that torch can read: {reason}", hint="fetch it again")


def _globals(path: Path) -> list[str]:
    """The globals that a bare pickle names, read without running it; empty when it is no pickle."""
    found: list[str] = []
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name in ("GLOBAL", "INST"):
                    found.append(str(argument).replace(" ", "."))
                elif operation.name == "STACK_GLOBAL":
                    found.append(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
    except (ValueError, OSError, UnicodeDecodeError, MemoryError, OverflowError):
        return found
    return found


def _refuse_inflating(path: Path) -> None:
    """torch stores its records uncompressed; a compressed one could fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            inflated = sum(record.file_size for record in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return
    if inflated > path.stat().st_size:
        raise WeightsError(f"{path} would unpack to {inflated / 1e9:,.1f} GB and is refused", hint="fetch it again")
