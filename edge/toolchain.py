"""Which vendor packages are installed, asked without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version(distribution: str) -> str | None:
    """The installed version of a package by its PyPI name, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
