"""Finds exporters, devices, search spaces and strategies by file name and imports them only on use."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from typing import TypeVar

from edge.device import Device
from edge.errors import BadArtifactError, NotExecutableHereError, ToolchainMissingError, UsageError
from edge.exporter import Exporter
from edge.search.strategy import Strategy
from edge.space import SearchSpace
from edge.suggest import unknown
from edge.toolchain import installed_version

Plugin = TypeVar("Plugin")


def names(package: str) -> tuple[str, ...]:
    """The plugins of a package (`exporters`, `devices`, `edge.spaces`, …), sorted; a leading underscore marks a helper."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return tuple(sorted(module.name for module in found if not module.name.startswith("_")))


def load(package: str, name: str, promise: type[Plugin], *, noun: str) -> type[Plugin]:
    """The class in plugin file `name` that keeps `promise`. Raises `UnknownNameError`."""
    if name not in names(package):
        raise unknown(noun, name, names(package))
    module = importlib.import_module(f"{package}.{name}")
    for _, candidate in inspect.getmembers(module, inspect.isclass):
        if (
            issubclass(candidate, promise)
            and candidate.__module__.startswith(module.__name__)
            and not inspect.isabstract(candidate)
        ):
            return candidate
    raise UsageError(f"{package}/{name} defines no {promise.__name__}", hint="a plugin file defines exactly one")


@cache
def exporter(name: str) -> Exporter:
    """The exporter called `name`. Raises `UnknownNameError` with the nearest names."""
    return load("exporters", name, Exporter, noun="target")()  # type: ignore[type-abstract]


def device(address: str) -> Device:
    """The device at `kind` or `kind:which`. Raises `UnknownNameError`."""
    kind, _, which = address.partition(":")
    return load("devices", kind, Device, noun="device")(which)  # type: ignore[type-abstract]


def space(name: str, image_size: tuple[int, int], num_classes: int) -> SearchSpace:
    """The search space called `name` for pictures of (height, width). Raises `UnknownNameError` with the nearest names."""
    return load("edge.spaces", name, SearchSpace, noun="search space")(image_size, num_classes)  # type: ignore[type-abstract]


def strategy(name: str) -> Strategy:
    """The search strategy called `name`. Raises `UnknownNameError` with the nearest names."""
    return load("edge.search.strategies", name, Strategy, noun="strategy")()  # type: ignore[type-abstract]


def exporter_for(path: Path) -> Exporter:
    """The exporter whose files end like `path`. Raises `BadArtifactError`."""
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="give a file or folder that `edge export` wrote")
    known = _by_suffix()
    if path.suffix not in known:
        raise BadArtifactError(
            f"{path.name} is not a model file that edge knows", hint=f"known: {', '.join(sorted(known))}"
        )
    return known[path.suffix]


def suffixes() -> tuple[str, ...]:
    """How the names of model files end, with the dot."""
    return tuple(sorted(_by_suffix()))


def _by_suffix() -> dict[str, Exporter]:
    return {exporter(name).suffix: exporter(name) for name in names("exporters")}


def require_runnable(chosen: Device, path: Path) -> None:
    """Refuse a file that is not there (`UsageError`) or that a device cannot run (`NotExecutableHereError`, says who can)."""
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="give a file or folder that `edge export` wrote")
    if not chosen.can_run(path):
        able = [kind for kind in names("devices") if device(kind).can_run(path)]
        hint = f"devices that can: {', '.join(able)}" if able else f"known files: {', '.join(suffixes())}"
        raise NotExecutableHereError(f"{chosen.kind} cannot run {path.name}", hint=hint)


def missing(plugin: Exporter) -> tuple[str, ...]:
    """The packages that `plugin` needs and that are not installed."""
    return tuple(name for name in plugin.distributions if installed_version(name) is None)


def require(plugin: Exporter) -> None:
    """Raise `ToolchainMissingError` with the install command when a package is missing."""
    if absent := missing(plugin):
        raise ToolchainMissingError(
            f"{plugin.name} needs {', '.join(absent)}, which is not installed", hint=install_hint(plugin)
        )


def install_hint(plugin: Exporter) -> str:
    """The command that installs a plugin's toolchain."""
    return f"pip install 'edge-toolchain[{plugin.name}]'"


def versions(plugin: Exporter) -> dict[str, str]:
    """The versions of everything that decides the bytes of a file, by package."""
    found = {name: installed_version(name) for name in ("edge-toolchain", "torch", *plugin.distributions)}
    return {name: version for name, version in found.items() if version is not None}
