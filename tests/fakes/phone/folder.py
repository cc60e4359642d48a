"""A phone as the files of its root folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.phone.description import Core, Phone

TOOLS = Path(__file__).parent / "bin"
FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


def build(phone: Phone, root: Path) -> None:
    """Make the phone's root; the commands of Android are small scripts in its /system/bin."""
    for folder in ("system", "usr", "dev", "data/local/tmp", "phone/settings/global", "phone/after"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    shutil.copytree(TOOLS, root / "system/bin")
    (root / "system/bin/sh").symlink_to("/bin/sh")
    change(root, phone)


def change(root: Path, phone: Phone) -> None:
    """From now on the phone in this folder is in the state of `phone`."""
    for path, text in files(phone).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def change_after(root: Path, phone: Phone, *, looks: int, service: str = "thermalservice") -> None:
    """The same, but only once `dumpsys SERVICE` has answered `looks` times more than it had when the phone was built."""
    for path, text in files(phone).items():
        later = root / "phone/after" / f"{service}.{looks}" / path
        later.parent.mkdir(parents=True, exist_ok=True)
        later.write_text(text)


def files(phone: Phone) -> Mapping[str, str]:
    """Every file that tells of the phone, by its path in the root."""
    return {
        "phone/props": "".join(f"{name}={value}\n" for name, value in _properties(phone).items()),
        "phone/packages": "android\n",
        "phone/log": "",
        "phone/free_kb": f"{phone.free_kb}\n",
        "phone/cores_mask": f"{(1 << len(phone.cores)) - 1}\n",
        "phone/settings/global/low_power": f"{int(phone.low_power)}\n",
        "phone/settings/global/stay_on_while_plugged_in": "0\n",
        "phone/dumpsys/battery": _battery(phone),
        "phone/dumpsys/power": _power(phone),
        **({} if phone.thermal_status is None else {"phone/dumpsys/thermalservice": _thermal(phone)}),
        **_sysfs_cores(phone),
        **_sysfs_battery(phone),
        "proc/cpuinfo": _cpuinfo(phone),
        "proc/meminfo": f"MemTotal: {phone.memory_kb:14} kB\nMemFree: {phone.memory_kb // 4:15} kB\n"
        f"MemAvailable: {phone.memory_kb // 2:10} kB\n",
    }


def _properties(phone: Phone) -> Mapping[str, str]:
    since_31 = {"ro.soc.manufacturer": phone.manufacturer, "ro.soc.model": phone.soc} if phone.sdk >= 31 else {}
    return {
        "ro.board.platform": (phone.soc or phone.device).lower(),
        "ro.boot.qemu": "1",  # what an emulator says of itself, and rightly: no number from here is a phone's
        "ro.build.fingerprint": f"fake/{phone.device}/{phone.device}:{phone.release}/F1/1:user/release-keys",
        "ro.build.version.release": phone.release,
        "ro.build.version.sdk": str(phone.sdk),
        "ro.kernel.qemu": "1",
        "ro.product.cpu.abi": phone.abi,
        "ro.product.device": phone.device,
        "ro.product.manufacturer": phone.manufacturer,
        "ro.product.model": phone.model,
        "ro.product.name": phone.device,
        **since_31,
    }


def _battery(phone: Phone) -> str:
    says = {
        "AC powered": "false",
        "USB powered": str(phone.charging).lower(),
        "Wireless powered": "false",
        "Max charging current": "500000",
        "Max charging voltage": "5000000",
        "Charge counter": str(phone.battery_percent * 40_000),
        "status": "2" if phone.charging else "3",
        "health": "2",
        "present": "true",
        "level": str(phone.battery_percent),
        "scale": "100",
        "voltage": "4100",
        "temperature": str(round(phone.battery_c * 10)),
        "technology": "Li-ion",
    }
    return "Current Battery Service state:\n" + "".join(f"  {key}: {value}\n" for key, value in says.items())


def _power(phone: Phone) -> str:
    wakefulness, display = ("Awake", "ON") if phone.screen_on else ("Asleep", "OFF")
    return (
        f"POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness={wakefulness}\n  mIsPowered="
        f"{str(phone.charging).lower()}\n  mStayOn=false\n\nDisplay Power: state={display}\n"
    )


def _thermal(phone: Phone) -> str:
    """The cached block tells old temperatures, as on a real phone: a reader must take the other one."""

    def rows(offset_c: float) -> str:
        return "".join(
            f"\tTemperature{{mValue={celsius + offset_c:.1f}, mType={kind}, mName={name}, mStatus={phone.thermal_status}}}\n"
            for name, (kind, celsius) in phone.temperatures_c.items()
        )

    return (
        f"IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 1\nThermal Status: {phone.thermal_status}\n"
        f"Cached temperatures:\n{rows(-9.5)}HAL Ready: true\nHAL connection:\n\tThermalHAL 2.0 connected: yes\n"
        f"Current temperatures from HAL:\n{rows(0.0)}Current cooling devices from HAL:\n"
        "\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}\n"
    )


def _sysfs_cores(phone: Phone) -> Mapping[str, str]:
    folder, found = "sys/devices/system/cpu", {}
    for name in ("possible", "present", "online"):
        found[f"{folder}/{name}"] = f"0-{len(phone.cores) - 1}\n"
    for number, core in enumerate(phone.cores):
        alike = [str(other) for other, its in enumerate(phone.cores) if its.max_khz == core.max_khz]
        found |= {
            f"{folder}/cpu{number}/cpu_capacity": f"{core.capacity}\n",
            f"{folder}/cpu{number}/topology/core_id": f"{number}\n",
            f"{folder}/cpu{number}/topology/physical_package_id": "0\n",
            f"{folder}/cpu{number}/topology/core_siblings_list": f"0-{len(phone.cores) - 1}\n",
            f"{folder}/cpu{number}/topology/thread_siblings_list": f"{number}\n",
            f"{folder}/cpu{number}/cpufreq/scaling_cur_freq": f"{core.now_khz}\n",
            f"{folder}/cpu{number}/cpufreq/cpuinfo_min_freq": f"{core.min_khz}\n",
            f"{folder}/cpu{number}/cpufreq/cpuinfo_max_freq": f"{core.max_khz}\n",
            f"{folder}/cpu{number}/cpufreq/scaling_available_frequencies": f"{core.min_khz} {core.max_khz}\n",
            f"{folder}/cpu{number}/cpufreq/scaling_governor": "schedutil\n",
            f"{folder}/cpufreq/policy{alike[0]}/related_cpus": " ".join(alike) + "\n",
        }
    return found


def _sysfs_battery(phone: Phone) -> Mapping[str, str]:
    says: dict[str, object] = {
        "capacity": phone.battery_percent,
        "status": "Charging" if phone.charging else "Discharging",
        "temp": round(phone.battery_c * 10),
        "voltage_now": 4_100_000,
        "charge_counter": phone.battery_percent * 40_000,
    }
    if phone.current_ua is not None:
        says["current_now"] = phone.current_ua
    zones = {
        f"sys/class/thermal/thermal_zone{number}/{name}": f"{value}\n"
        for number, (sensor, (_, celsius)) in enumerate(phone.temperatures_c.items())
        for name, value in (("type", sensor), ("temp", round(celsius * 1000)))
    }
    return {f"sys/class/power_supply/battery/{name}": f"{value}\n" for name, value in says.items()} | zones


def _cpuinfo(phone: Phone) -> str:
    describe = _x86_core if phone.abi == "x86_64" else _arm_core
    return "".join(f"processor\t: {number}\n{describe(number, core)}\n" for number, core in enumerate(phone.cores))


def _arm_core(_: int, core: Core) -> str:
    return (
        f"BogoMIPS\t: 38.40\nFeatures\t: {FEATURES}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x1\nCPU part\t: 0x{core.part:x}\nCPU revision\t: 0\n"
    )


def _x86_core(number: int, core: Core) -> str:
    return (
        f"vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Fake\nstepping\t: 7\n"
        f"cpu MHz\t\t: {core.now_khz / 1000:.3f}\nphysical id\t: 0\ncore id\t\t: {number}\napicid\t\t: {number}\n"
    )
