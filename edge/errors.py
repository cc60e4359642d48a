"""Every error that edge raises on purpose: what is wrong, then what would work, with the exit code it ends in."""

from __future__ import annotations


class EdgeError(Exception):
    """A fault that a user can act on. `code` is the process's exit code, `hint` says what would work."""

    code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InternalError(EdgeError):
    """Our own fault."""


class UsageError(EdgeError):
    """Wrong options or bad input."""

    code = 2


class UnknownNameError(UsageError):
    """No model, target, device or plugin of that name."""


class WeightsError(UsageError):
    """A checkpoint that is unreadable, refused, or of another network."""


class BadArtifactError(UsageError):
    """A model file that is damaged, or that edge did not write."""


class PictureError(UsageError):
    """A picture that cannot be read."""


class VerificationError(EdgeError):
    """A file whose outputs are not its model's."""

    code = 3


class ConversionError(EdgeError):
    """A model that a toolchain cannot convert."""

    code = 4


class ToolchainMissingError(EdgeError):
    """A vendor's package that is not installed."""

    code = 5


class DeviceError(EdgeError):
    """A device that is absent, refuses, or fails."""

    code = 6


class NotExecutableHereError(EdgeError):
    """A file that no runtime of this machine can execute: it asks for what they do not know."""

    code = 6


BY_NAME: dict[str, type[EdgeError]] = {
    kind.__name__: kind
    for kind in (
        EdgeError, InternalError, UsageError, UnknownNameError, WeightsError, BadArtifactError, PictureError,
        VerificationError, ConversionError, ToolchainMissingError, DeviceError, NotExecutableHereError,
    )
}  # fmt: skip
"""Lets an error cross from a worker process to its parent by name."""
