"""Reads what an Android device prints of itself: pure functions from text, which give nothing for what they do not know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edge.device_state import THERMAL_STATUS, DeviceInfo, DeviceState

SECTION = "@edge "
IDENTITY = f"""echo '{SECTION}props'; getprop
echo '{SECTION}machine'; uname -m
echo '{SECTION}battery'; dumpsys battery
echo '{SECTION}thermal'; dumpsys thermalservice"""
"""For a shell: what `info` reads. One command, since each costs as much as all (devices sheet §1.1)."""
LOOK = f"""echo '{SECTION}battery'; dumpsys battery
echo '{SECTION}thermal'; dumpsys thermalservice
echo '{SECTION}power'; dumpsys power | grep -m 1 mWakefulness=
echo '{SECTION}low_power'; settings get global low_power
echo '{SECTION}clocks'; grep -H '' /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq
echo '{SECTION}zones'; grep -H '' /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp
echo '{SECTION}supply'; cd /sys/class/power_supply/battery && grep -H '' current_now voltage_now"""
"""For a shell: what `state` reads."""
NOT_DEGREES = {6, 7, 8}
"""Kinds of a `Temperature` that are a battery's voltage, current and percentage."""
SKIN = 3
EMULATOR_HARDWARE = {"ranchu", "goldfish"}
FED, CHARGING, DISCHARGING, NOT_CHARGING = ("AC", "USB", "Wireless", "Dock"), 2, 3, 4
AWAKE, ASLEEP = {"Awake", "Dreaming"}, {"Asleep", "Dozing"}

_PROPERTY = re.compile(r"^\[([^]]+)\]: \[(.*)\]$")
_BATTERY_LINE = re.compile(r"^  ([^:]+): (.*)$")
_TEMPERATURE = re.compile(r"Temperature\{mValue=([^,]+), mType=(-?[0-9]{1,3}), mName=(.*), mStatus=(-?[0-9]{1,3})\}")
_STATUS = re.compile(r"^Thermal Status: ([0-9]{1,3})$", re.MULTILINE)
_ZONE = re.compile(r"^.*/(thermal_zone[0-9]+)/(type|temp):(.*)$")
_CORE = re.compile(r"^.*/cpu([0-9]{1,4})/.*:([0-9]{1,9})$")
_AVAILABLE = re.compile(r"^MemAvailable: +([0-9]{1,12}) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Battery:
    """`charging` is whether a cable feeds the device."""

    percent: int | None = None
    celsius: float | None = None
    voltage_mv: float | None = None
    charging: bool | None = None


@dataclass(frozen=True, slots=True)
class Thermal:
    status: int | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)


def sections(text: str) -> dict[str, str]:
    """What follows each line `@edge NAME`, by name."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(SECTION):
            lines = found.setdefault(line.removeprefix(SECTION), [])
        else:
            lines.append(line)
    return {name: "\n".join(body) for name, body in found.items()}


def properties(text: str) -> dict[str, str]:
    """Of a bare `getprop`."""
    return {match[1]: match[2] for line in text.splitlines() if (match := _PROPERTY.match(line))}


def emulated(props: Mapping[str, str]) -> bool:
    """Whether a device says of itself that it is an emulator."""
    says = "1" in (props.get("ro.boot.qemu"), props.get("ro.kernel.qemu"))
    return says or props.get("ro.hardware") in EMULATOR_HARDWARE


def battery(text: str) -> Battery:
    """Of `dumpsys battery`: up to the first line that is not `  key: value`, since vendors put logs behind."""
    says = dict(_battery_lines(text))
    level, scale, status = _integer(says.get("level")), _integer(says.get("scale")) or 100, _integer(says.get("status"))
    percent = None if level is None or not 0 <= level <= scale else round(100 * level / scale)
    tenths, millivolts = _integer(says.get("temperature")), _integer(says.get("voltage"))
    celsius = None if tenths is None else _plausible(tenths / 10)
    return Battery(percent, celsius, None if not millivolts else float(millivolts), _fed(says, status))


def thermal(text: str) -> Thermal:
    """Of `dumpsys thermalservice`: the status, and the temperatures as the hardware tells them now, not the cached ones."""
    match = _STATUS.search(text)
    status = int(match[1]) if match and int(match[1]) < len(THERMAL_STATUS) else None
    now = text.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    return Thermal(status, dict(_temperatures(now)))


def info(text: str, serial: str) -> DeviceInfo:
    """Of the output of `IDENTITY`."""
    parts = sections(text)
    props = properties(parts.get("props", ""))
    return DeviceInfo(
        id=f"android:{serial}",
        kind="android",
        state="ready",
        model=_named(props.get("ro.product.manufacturer", ""), props.get("ro.product.model", "")),
        soc=_named(props.get("ro.soc.manufacturer", ""), props.get("ro.soc.model", "")) or props.get("ro.board.platform", ""),
        abi=props.get("ro.product.cpu.abi") or parts.get("machine", "").strip(),
        os=_system(props),
        battery_percent=battery(parts.get("battery", "")).percent,
        thermal_status=thermal(parts.get("thermal", "")).status,
    )  # fmt: skip


def state(text: str, at_s: float) -> DeviceState:
    """Of the output of `LOOK`, printed at `at_s`."""
    parts = sections(text)
    cell, heat = battery(parts.get("battery", "")), thermal(parts.get("thermal", ""))
    supply = dict(line.partition(":")[::2] for line in parts.get("supply", "").splitlines())
    microamperes, microvolts = _integer(supply.get("current_now")), _integer(supply.get("voltage_now"))
    return DeviceState(
        at_s=at_s,
        clocks_khz=tuple(khz for _, khz in sorted(clocks(parts.get("clocks", "")).items())),
        thermal_status=heat.status,
        temperatures_c=heat.temperatures_c or dict(_zones(parts.get("zones", ""))),
        battery_percent=cell.percent,
        battery_c=cell.celsius,
        charging=cell.charging,
        current_ma=None if microamperes is None else microamperes / 1000,
        voltage_mv=microvolts / 1000 if microvolts else cell.voltage_mv,
        screen_on=awake(parts.get("power", "")),
        low_power={"0": False, "1": True}.get(parts.get("low_power", "").strip()),
    )


def clocks(text: str) -> dict[int, int]:
    """kHz by the number of the core, of `grep -H '' …/cpuN/cpufreq/…`."""
    return {int(match[1]): int(match[2]) for line in text.splitlines() if (match := _CORE.match(line))}


def awake(text: str) -> bool | None:
    """Of `dumpsys power`: whether the screen is on."""
    word = text.partition("mWakefulness=")[2].partition("\n")[0].strip()
    return True if word in AWAKE else False if word in ASLEEP else None


def available_mb(text: str) -> int | None:
    """Of /proc/meminfo: what programs can still have, in MiB."""
    match = _AVAILABLE.search(text)
    return int(match[1]) // 1024 if match else None


def _battery_lines(text: str) -> Iterator[tuple[str, str]]:
    lines = text.partition("Current Battery Service state:")[2].splitlines()[1:]
    for line in lines:
        if line.startswith("  ("):  # "(UPDATES STOPPED …)", while somebody has faked the state
            continue
        match = _BATTERY_LINE.match(line)
        if match is None:
            return
        yield match[1].strip(), match[2].strip()


def _fed(says: Mapping[str, str], status: int | None) -> bool | None:
    cables = [says[f"{cable} powered"] for cable in FED if f"{cable} powered" in says]
    if "true" in cables or status == CHARGING:
        return True
    return False if cables or status in (DISCHARGING, NOT_CHARGING) else None


def _temperatures(text: str) -> Iterator[tuple[str, float]]:
    for value, kind, name, _ in _TEMPERATURE.findall(text):
        celsius = _plausible(_real(value))
        if celsius is None or int(kind) in NOT_DEGREES:
            continue
        yield (f"skin {name}" if int(kind) == SKIN and "skin" not in name.lower() else name), celsius


def _zones(text: str) -> Iterator[tuple[str, float]]:
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _ZONE.match(line):
            found.setdefault(match[1], {})[match[2]] = match[3].strip()
    for zone, says in found.items():
        millidegrees = _integer(says.get("temp"))
        celsius = None if millidegrees is None else _plausible(millidegrees / 1000)
        if celsius is not None:
            yield says.get("type") or zone, celsius


def _plausible(celsius: float | None) -> float | None:
    """None for what stands where there is no sensor: 0, or thousands below it."""
    return celsius if celsius is not None and celsius != 0 and -60 < celsius < 200 else None


def _real(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text) else None


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,12}", text.strip()) else None


def _named(maker: str, name: str) -> str:
    """Maker and name, the maker once."""
    return name if name.lower().startswith(maker.lower()) else f"{maker} {name}".strip()


def _system(props: Mapping[str, str]) -> str:
    release, level = props.get("ro.build.version.release", ""), props.get("ro.build.version.sdk", "")
    more = ", ".join(part for part in (f"API {level}" if level else "", props.get("ro.build.id", "")) if part)
    return f"Android {release} ({more})" if release and more else f"Android {release}".strip()
