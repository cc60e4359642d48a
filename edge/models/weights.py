"""State dicts from and to files, in our naming or in the authors', and their hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from edge import whole
from edge.errors import WeightsError
from edge.models import mismatch, pickled

State = dict[str, Tensor]

CONTAINERS = ("model_ema", "state_dict_ema", "model", "state_dict")
"""The keys under which training scripts keep the state dict beside other things; averaged weights first."""
LOST_BUFFERS = ("attention_bias_idxs", "num_batches_tracked")
"""Buffers that some versions of a checkpoint carry and others do not; a network knows its own."""


class Naming(StrEnum):
    """Whose names the tensors have: ours (which are timm's), or those of the authors' checkpoints."""

    NATIVE = "native"
    OFFICIAL = "official"


def load_state(path: Path) -> State:
    """Read a `.safetensors` file, or a checkpoint that torch wrote (`.pth`, `.pt`, `.bin`), on the CPU.

    Unwraps `CONTAINERS` and a `module.` before every name. Raises `WeightsError`; code inside a checkpoint never runs.
    """
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"the weights file {path} {problem}", hint="give a .safetensors or .pth file")
    if path.stat().st_size == 0:
        raise WeightsError(f"the weights file {path} is empty", hint="fetch it again")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else pickled.read(path)
    return _without_prefix(_tensors(_unwrapped(content), path))


def load_weights(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load `state`, in either naming and saved at any input size that the network can adapt, into `module`; strict.

    Raises `WeightsError` that sums up what does not fit; then `module` is unchanged.
    """
    own = module.state_dict()
    fitted = _fitted(_adapted(module, _in_native_names(module, own, state)), own)
    if problem := mismatch.between(fitted, own):
        raise problem
    module.load_state_dict(fitted)


def save_weights(module: nn.Module, path: Path, naming: Naming = Naming.NATIVE) -> None:
    """Write the state dict as safetensors; the file appears whole, and equal weights give equal bytes.

    Raises `WeightsError` for the official naming of a network that has none.
    """
    state = module.state_dict() if naming == Naming.NATIVE else _official_state(module)
    content = save({name: tensor.detach().cpu().clone().contiguous() for name, tensor in sorted(state.items())})
    with whole.appearing(path) as staged, staged.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def state_sha256(module: nn.Module) -> str:
    """The sha256 over the sorted names, dtypes, shapes and values of the state dict."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise WeightsError(f"{path} is not a sound safetensors file: {error}", hint="fetch it again") from None


def _unwrapped(content: object) -> object:
    """The first container that holds anything, or the content itself."""
    if isinstance(content, Mapping):
        for key in CONTAINERS:
            if isinstance(inner := content.get(key), Mapping) and inner:
                return inner
    return content


def _tensors(content: object, path: Path) -> State:
    """The entries that are tensors, dense and in memory. Raises `WeightsError` when there are none."""
    entries = content.items() if isinstance(content, Mapping) else ()
    state = {str(name): value.detach() for name, value in entries if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(str(name)[:40] for name, _ in list(entries)[:5]) or type(content).__name__
        raise WeightsError(
            f"{path} holds no state dict; it holds {keys}",
            hint=f"put the tensors at the top, or under {CONTAINERS[2]!r}",
        )
    strange = [
        name
        for name, tensor in state.items()
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta
    ]
    if strange:
        raise WeightsError(f"{path}: {strange[0]} is no dense tensor", hint="save the float weights of the network")
    return state


def _without_prefix(state: State) -> State:
    """Undo the `module.` that data-parallel training puts before every name."""
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def _in_native_names(module: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> State:
    names = getattr(module, "official_names", None)
    if names is None:
        return dict(state)
    native = {official: name for name, official in names().items()}
    if len(state.keys() & native.keys()) <= len(state.keys() & own.keys()):
        return dict(state)
    return {native.get(name, name): tensor for name, tensor in state.items()}


def _adapted(module: nn.Module, state: State) -> State:
    adapt = getattr(module, "adapt_state", None)
    if adapt is None:
        return state
    try:
        return dict(adapt(state))
    except RuntimeError as error:  # a tensor that cannot be interpolated: empty, or of integers
        raise WeightsError(
            f"the weights cannot be adapted to this input size: {str(error).splitlines()[0]}",
            hint="give the input size that they were trained at with --image-size",
        ) from None


def _fitted(state: State, own: Mapping[str, Tensor]) -> State:
    """Without buffers the network does not keep, with those it knows itself, and (C, 1, 1) scales as (C,)."""
    fitted = {name: tensor for name, tensor in state.items() if name in own or not name.endswith(LOST_BUFFERS)}
    for name, tensor in own.items():
        if name not in fitted and name.endswith(LOST_BUFFERS):
            fitted[name] = tensor
        elif name in fitted and fitted[name].squeeze().shape == tensor.squeeze().shape:
            fitted[name] = fitted[name].reshape(tensor.shape)
    return fitted


def _official_state(module: nn.Module) -> Mapping[str, Tensor]:
    state = getattr(module, "official_state", None)
    if state is None:
        raise WeightsError(
            f"{type(module).__name__} has no official naming", hint="only the networks of `edge models` have one"
        )
    return state()
