"""What a Linux board says of itself: two shell scripts, and the reading of what they print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from edge.device_state import DeviceInfo, DeviceState

SHOW = """
show() { for file; do [ -r "$file" ] && printf '\\n@%s\\n' "$file" && cat "$file"; done 2>/dev/null; }
"""
"""Prints each file under its name; one that cannot be read is left out."""
IDENTITY = f"""{SHOW}
printf '\\n@machine\\n'; uname -m
printf '\\n@release\\n'; uname -sr
printf '\\n@bits\\n'; getconf LONG_BIT 2>/dev/null
printf '\\n@cpuinfo\\n'; grep -E '^(model name|Model|Hardware|vendor_id|CPU implementer)' /proc/cpuinfo | sort -u
show /proc/device-tree/model /proc/device-tree/compatible /sys/class/dmi/id/product_name /etc/os-release
true
"""
STATE = f"""{SHOW}
show /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq
show /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp
true
"""
NARROW = {"aarch64": "armv7l", "x86_64": "i686"}
"""What a machine is to its programs where a 64-bit kernel carries a 32-bit system, as on many a Raspberry Pi."""
COLDEST_C, HOTTEST_C = -60.0, 200.0
"""No board works outside: a sensor that says so is not there."""


def info(address: str, text: str) -> DeviceInfo:
    """The board at `address` by what `IDENTITY` printed; what it does not tell is empty."""
    shown = _sections(text)
    machine, bits = shown.get("machine", ""), shown.get("bits", "")
    table = _table(shown.get("cpuinfo", ""), ":")
    compatible = [name for name in shown.get("/proc/device-tree/compatible", "").split("\0") if name]
    model = (
        shown.get("/proc/device-tree/model") or shown.get("/sys/class/dmi/id/product_name") or table.get("Model", "")
    )
    distribution = _table(shown.get("/etc/os-release", ""), "=").get("PRETTY_NAME", "").strip("\"'")
    return DeviceInfo(
        id=address,
        kind="linux",
        state="ready",
        model=model.strip("\0 "),
        soc=compatible[-1] if compatible else table.get("model name") or table.get("Hardware", ""),
        abi=NARROW.get(machine, machine) if bits == "32" else machine,
        os=", ".join(part for part in (distribution, shown.get("release", "")) if part),
    )


def emulated(text: str) -> bool:
    """Whether a program plays the board's processor, by what `IDENTITY` printed. QEMU is known by its name; by an ARM core
    of implementer 0, which nobody builds; and by an ARM system whose table of processors is the host's, an x86.

    QEMU that plays a core of a real name under a whole system is not told apart from one.
    """
    shown = _sections(text)
    table = _table(shown.get("cpuinfo", ""), ":")
    foreign = shown.get("machine", "").startswith(("aarch64", "arm")) and "vendor_id" in table
    nobodys = table.get("CPU implementer", "") in ("0x0", "0x00")
    return foreign or nobodys or table.get("model name", "").startswith("QEMU")


def state(at_s: float, text: str) -> DeviceState:
    """The board `at_s` by what `STATE` printed; a clock or a sensor that makes no sense is left out."""
    shown = _sections(text)
    clocks = {_digits(path): int(value) for path, value in shown.items() if "/cpufreq/" in path and _counts(value)}
    temperatures: dict[str, float] = {}
    for path, value in sorted(shown.items(), key=lambda each: _digits(each[0])):
        celsius = int(value) / 1e3 if re.fullmatch(r"-?[0-9]{1,9}", value) else 0.0
        if PurePosixPath(path).name == "temp" and celsius != 0 and COLDEST_C < celsius < HOTTEST_C:
            zone = PurePosixPath(path).parent
            name = shown.get(str(zone / "type")) or zone.name
            temperatures[f"{name} {_digits(path)}" if name in temperatures else name] = celsius
    return DeviceState(at_s, tuple(clocks[core] for core in sorted(clocks)), temperatures_c=temperatures)


def _sections(text: str) -> Mapping[str, str]:
    """What was printed under each name."""
    found = re.split(r"^@(machine|release|bits|cpuinfo|/.+)\n", text, flags=re.MULTILINE)
    return {name: shown.strip() for name, shown in zip(found[1::2], found[2::2], strict=True)}


def _table(text: str, separator: str) -> Mapping[str, str]:
    rows = (line.partition(separator) for line in text.splitlines())
    return {key.strip(): value.strip() for key, found, value in rows if found}


def _counts(value: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,8}", value) is not None


def _digits(path: str) -> int:
    """The number of the core or zone that a path is of."""
    number = re.search(r"(?:cpu|thermal_zone)([0-9]+)/", path)
    return int(number[1]) if number else -1
