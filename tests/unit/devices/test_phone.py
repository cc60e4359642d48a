"""A phone that is only a folder answers as a phone does (devices sheet §4.3)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.adb_server import AdbServer
from tests.fakes.phone.description import HOT, NEW, OLD, Phone
from tests.fakes.phone.folder import build, change, change_after
from tests.fakes.phone.userlands import Namespace, why_no_namespaces

if TYPE_CHECKING:
    from tests.fakes.adbd import Adbd

Shell = Callable[[str], subprocess.CompletedProcess[str]]
CLOCK = "cat /sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[Phone], Shell]]:
    """Starts a phone in `tmp_path / "phone"`; what it gives runs a command there."""
    if why_no_namespaces():
        pytest.skip(why_no_namespaces())
    running: list[Namespace] = []

    def start(phone: Phone) -> Shell:
        build(phone, tmp_path / "phone")
        running.append(Namespace(tmp_path / "phone").__enter__())
        return lambda command: subprocess.run(
            running[0].argv(command),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=running[0].environment,
        )

    yield start
    for namespace in running:
        namespace.__exit__(None, None, None)


def test_a_property_is_known_by_its_name_and_in_the_list(started: Callable[[Phone], Shell]) -> None:
    shell = started(NEW)
    assert shell("getprop ro.product.model").stdout == "Fake 9 Pro\n"
    assert shell("getprop no.such.property").stdout == "\n"
    assert "[ro.build.version.sdk]: [34]\n" in shell("getprop").stdout


def test_it_says_of_itself_that_it_is_emulated(started: Callable[[Phone], Shell]) -> None:
    assert started(OLD)("getprop ro.boot.qemu").stdout == "1\n"


def test_cores_are_the_phones_and_not_this_machines(started: Callable[[Phone], Shell]) -> None:
    shell = started(NEW)
    assert shell("cat /sys/devices/system/cpu/possible").stdout == "0-7\n"
    assert shell("grep -c ^processor /proc/cpuinfo").stdout == "8\n"
    assert shell("cat /sys/devices/system/cpu/cpufreq/policy4/related_cpus").stdout == "4 5 6\n"
    assert "MemTotal:        8000000 kB" in shell("cat /proc/meminfo").stdout


def test_files_of_this_machine_are_out_of_reach(started: Callable[[Phone], Shell], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ours")
    shell = started(NEW)
    assert shell(f"cat {tmp_path}/secret").returncode == 1
    assert shell("ls /etc").returncode != 0
    assert shell("touch /usr/bin/ours").returncode != 0


def test_processes_of_this_machine_are_out_of_sight_and_its_own_live_on(started: Callable[[Phone], Shell]) -> None:
    shell = started(NEW)
    left = shell("sleep 1000 >/dev/null 2>&1 & echo $!").stdout.strip()
    assert shell(f"kill -0 {left}").returncode == 0
    assert int(left) < 100  # numbers start afresh
    assert shell(f"kill -9 {left}; sleep 0.1; kill -0 {left}").returncode == 1


def test_the_battery_is_unplugged_only_until_it_is_reset(started: Callable[[Phone], Shell]) -> None:
    shell = started(NEW)
    before = shell("dumpsys battery").stdout
    shell("dumpsys battery unplug")
    assert "  USB powered: false\n" in shell("dumpsys battery").stdout
    shell("dumpsys battery reset")
    assert shell("dumpsys battery").stdout == before


def test_a_hot_phone_says_how_hot_in_the_block_of_the_hal(started: Callable[[Phone], Shell]) -> None:
    said = started(HOT)("dumpsys thermalservice").stdout
    assert "Thermal Status: 3\n" in said
    assert "\tTemperature{mValue=92.0, mType=0, mName=CPU0, mStatus=3}\n" in said.partition("from HAL:")[2]


def test_an_old_phone_has_no_thermal_service(started: Callable[[Phone], Shell]) -> None:
    assert "Can't find service" in started(OLD)("dumpsys thermalservice").stderr


def test_a_setting_is_kept_in_a_file_that_a_test_can_read(started: Callable[[Phone], Shell], tmp_path: Path) -> None:
    shell = started(NEW)
    assert shell("settings get global never_set").stdout == "null\n"
    shell("svc power stayon true")
    assert (tmp_path / "phone/phone/settings/global/stay_on_while_plugged_in").read_text() == "7\n"
    shell("settings put global stay_on_while_plugged_in 0")
    assert shell("settings get global stay_on_while_plugged_in").stdout == "0\n"


def test_a_key_wakes_it(started: Callable[[Phone], Shell]) -> None:
    shell = started(replace(NEW, screen_on=False))
    assert "mWakefulness=Asleep" in shell("dumpsys power").stdout
    shell("input keyevent KEYCODE_WAKEUP")
    assert "mWakefulness=Awake" in shell("dumpsys power").stdout


def test_a_mask_of_cores_is_hexadecimal_and_must_hold_one(started: Callable[[Phone], Shell], tmp_path: Path) -> None:
    shell = started(NEW)
    assert shell("taskset f0 echo pinned").stdout == "pinned\n"
    assert (tmp_path / "phone/phone/taskset").read_text() == "f0\n"
    assert shell("taskset f00 true").returncode == 1
    assert shell("taskset 0xf0 true").returncode == 1


def test_it_can_change_while_it_runs(started: Callable[[Phone], Shell], tmp_path: Path) -> None:
    shell = started(NEW)
    assert shell(CLOCK).stdout == "2900000\n"
    change(tmp_path / "phone", NEW.slowed(0.5, thermal_status=2))
    assert shell(CLOCK).stdout == "1450000\n"
    assert "Thermal Status: 2" in shell("dumpsys thermalservice").stdout


def test_it_changes_by_itself_after_some_looks(started: Callable[[Phone], Shell], tmp_path: Path) -> None:
    shell = started(NEW)
    change_after(tmp_path / "phone", NEW.slowed(0.5, thermal_status=3), looks=2)
    seen = [(shell("dumpsys thermalservice").stdout.count("Thermal Status: 0"), shell(CLOCK).stdout) for _ in range(3)]
    assert seen == [(1, "2900000\n"), (1, "1450000\n"), (0, "1450000\n")]


def test_only_a_package_is_installed(started: Callable[[Phone], Shell]) -> None:
    shell = started(NEW)
    assert shell("printf 'PK..' | cmd package install -S 4").stdout == "Success\n"
    refused = shell("printf 'text' | cmd package install -S 4")
    assert (refused.stdout, refused.returncode) == ("Failure [INSTALL_PARSE_FAILED_NOT_APK]\n", 1)
    assert shell("pm list packages").stdout == "package:android\n"


def test_all_its_processes_end_with_it(tmp_path: Path) -> None:
    if why_no_namespaces():
        pytest.skip(why_no_namespaces())
    build(NEW, tmp_path / "phone")
    with Namespace(tmp_path / "phone") as namespace:
        subprocess.run(
            namespace.argv("(while :; do date +%s%N >/ticks; sleep 0.01; done) >/dev/null 2>&1 &"),
            timeout=30,
            check=True,
            env=namespace.environment,
        )
        while not (tmp_path / "phone/ticks").exists():
            time.sleep(0.01)
    last = (tmp_path / "phone/ticks").read_text()
    time.sleep(0.2)
    assert (tmp_path / "phone/ticks").read_text() == last


def test_it_is_found_over_the_wire_with_its_files(
    adb_server: AdbServer, attach: Callable[..., Adbd], tmp_path: Path
) -> None:
    phone = attach(NEW)
    listed = adb_server.adb("devices", "-l").stdout.decode()
    assert "product:fake9 model:Fake_9_Pro device:fake9" in listed
    assert adb_server.adb("-s", phone.serial, "shell", "getprop ro.product.model; exit 5").returncode == 5
    adb_server.adb("-s", phone.serial, "pull", "/proc/cpuinfo", tmp_path / "cpuinfo")
    assert (tmp_path / "cpuinfo").read_text().count("processor") == 8


def test_a_command_over_the_wire_is_killed_with_its_client(adb_server: AdbServer, attach: Callable[..., Adbd]) -> None:
    phone = attach(NEW)
    with pytest.raises(subprocess.TimeoutExpired):
        adb_server.adb("-s", phone.serial, "shell", "trap '' HUP; sleep 1234; sleep 1234", timeout_s=1)
    latest = time.monotonic() + 10
    while b"1234" in adb_server.adb("-s", phone.serial, "shell", "ps ax").stdout:
        assert time.monotonic() < latest


def test_an_old_phone_answers_by_lines_that_end_in_cr_lf(adb_server: AdbServer, attach: Callable[..., Adbd]) -> None:
    phone = attach(OLD)
    assert adb_server.adb("-s", phone.serial, "shell", "getprop ro.product.model; exit 5").stdout == b"Fake 2\r\n"


def test_an_app_is_installed_by_the_real_client(
    adb_server: AdbServer, attach: Callable[..., Adbd], tmp_path: Path
) -> None:
    phone = attach(NEW)
    (tmp_path / "app.apk").write_bytes(b"PK" + bytes(100_000))
    done = adb_server.adb("-s", phone.serial, "install", "-r", tmp_path / "app.apk")
    assert (done.returncode, b"Success" in done.stdout) == (0, True)
    assert (phone.userland.root / "data/app/base.apk").read_bytes() == (tmp_path / "app.apk").read_bytes()
