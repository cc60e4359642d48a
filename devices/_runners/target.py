"""The kinds of machine that a native runner is built for."""

from __future__ import annotations

from enum import StrEnum

from edge.device_state import DeviceInfo
from edge.errors import NotExecutableHereError


class Target(StrEnum):
    """A system and a processor, as a folder of the cache is called."""

    LINUX_X86_64 = "linux-x86_64"
    LINUX_ARM64 = "linux-arm64"
    ANDROID_ARM64 = "android-arm64"


ARM64, X86_64 = ("arm64-v8a", "arm64", "aarch64"), ("x86_64", "amd64")
OF: dict[tuple[str, str], Target] = {
    **{("android", abi): Target.ANDROID_ARM64 for abi in ARM64},
    **{(kind, abi): Target.LINUX_ARM64 for kind in ("linux", "host") for abi in ARM64},
    **{(kind, abi): Target.LINUX_X86_64 for kind in ("linux", "host") for abi in X86_64},
}
"""By the device's kind and ABI."""


def target_of(info: DeviceInfo) -> Target:
    """What to build for this device. Raises `NotExecutableHereError`, which says for what there is a runner."""
    found = OF.get((info.kind, info.abi.lower()))
    if found is None:
        raise NotExecutableHereError(
            f"there is no runner for {info.kind} on {info.abi or 'an unknown processor'} ({info.id})",
            hint=f"edge builds one for {', '.join(Target)}; or bring your own with --runner",
        )
    return found
