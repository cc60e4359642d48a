"""What is known of the machine that edge runs on: its processor, its cores, and the state that it is in."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from edge.device_state import DeviceState
from edge.errors import UsageError

CPUS = Path("/sys/devices/system/cpu")
ZONES = Path("/sys/class/thermal")


def machine_state() -> DeviceState:
    """Clocks and temperatures, as far as the kernel shows them."""
    zones = sorted(ZONES.glob("thermal_zone*"))
    celsius = {_text(zone / "type"): _number(zone / "temp") / 1e3 for zone in zones}
    return DeviceState(
        at_s=time.monotonic(),
        clocks_khz=tuple(_number(file) for file in sorted(CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))),
        temperatures_c={name: value for name, value in celsius.items() if name and value > 0},
    )


def check_threads(threads: int) -> None:
    """Refuse more threads than there are cores for this process (`UsageError`)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise UsageError(f"{threads} threads on {cores} cores", hint=f"give --threads 1 to {cores}")


def processor() -> str:
    """The processor's name, from Linux's own table where there is one."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _text(file: Path) -> str:
    """A line that the kernel shows, or nothing where it does not."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int:
    text = _text(file)
    return int(text) if text.lstrip("-").isdigit() else 0
