"""Timing on a phone through the real adb: every fault is one of our errors, and the phone is left as it was found."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devices._adb import Patience
from devices.android import Android
from edge import __main__ as edge
from edge.errors import DeviceError, EdgeError, NotExecutableHereError, UsageError
from edge.measurement import Measurement, Source
from edge.protocol import TimingPlan
from tests.fakes import scripted_runner
from tests.fakes.adb_server import AdbServer
from tests.fakes.phone.description import HOT, NEW, OLD, THIS_MACHINES_ABI

if TYPE_CHECKING:
    from tests.fakes.adbd import Adbd

Attach = Callable[..., "Adbd"]
PHONE = replace(NEW, abi=THIS_MACHINES_ABI)
HOSTILE = "a b'c\"d;$(touch x)`touch x`"
SAMPLES_MS = pytest.approx([ns * 1e-6 for ns in scripted_runner.SAMPLES_NS])
THE_RUN = "--runs"
INTERRUPTIBLE = ("env", "--default-signal=INT")
"""Before a command: a shell lets what it starts in the background ignore Ctrl-C, and all that this starts in turn."""
"""Stands in the one command that runs the model."""


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Android, "patience", Patience(answer_s=5, return_s=3))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(b"m" * 300_000)
    return path


def faulty(attach: Attach, **faults: object) -> Adbd:
    from tests.fakes.adbd import Faults

    return attach(PHONE, faults=Faults(**faults))


def timed(phone: Adbd, model: Path, runner: Path, timeout_s: float = 10) -> Measurement:
    plan = TimingPlan(warmup=1, runs=5, timeout_s=timeout_s, cool_down_s=0, runner=runner)
    return Android(phone.serial).time(model, plan, log=model.parent / "log")


def as_found(phone: Adbd) -> bool:
    """Whether nothing of ours is on the phone, and its settings are as they were."""
    root = phone.userland.root
    stays_on = (root / "phone/settings/global/stay_on_while_plugged_in").read_text()
    return not list((root / "data/local/tmp").iterdir()) and stays_on == "0\n"


def require_error(
    phone: Adbd, model: Path, runner: Path, says: str, kind: type[EdgeError] = DeviceError, timeout_s: float = 10
) -> None:
    with pytest.raises(kind, match=says) as error:
        timed(phone, model, runner, timeout_s)
    assert error.value.hint
    assert as_found(phone)


# --- what comes back


def test_a_measurement_has_every_sample_and_what_the_phone_was(attach: Attach, edges_adb: AdbServer, model, tmp_path):
    phone = attach(PHONE)
    measured = timed(phone, model, scripted_runner.good_folder(tmp_path / "runner"))
    assert measured.samples_ms == SAMPLES_MS
    assert (measured.init_ms, measured.peak_rss_kb) == (12.5, 4096)
    assert measured.source is Source.EMULATED
    assert measured.info is not None
    assert (measured.info.model, measured.info.battery_percent) == ("Fake 9 Pro", 80)
    assert measured.before is not None
    assert measured.before.thermal_status == 0
    assert as_found(phone)


def test_a_number_is_measured_where_the_phone_is_no_emulator(attach: Attach, edges_adb: AdbServer, model, tmp_path):
    phone = attach(PHONE)
    props = phone.userland.root / "phone/props"
    props.write_text(props.read_text().replace("qemu=1", "qemu=0"))
    assert timed(phone, model, scripted_runner.good_folder(tmp_path / "runner")).source is Source.MEASURED


def test_it_runs_on_as_many_of_the_biggest_cores_as_it_has_threads(attach, edges_adb, model, tmp_path):
    phone = attach(PHONE)
    plan = TimingPlan(warmup=1, runs=5, threads=2, runner=scripted_runner.good_folder(tmp_path / "runner"))
    Android(phone.serial).time(model, plan, log=tmp_path / "log")
    assert (phone.userland.root / "phone/taskset").read_text().splitlines()[-1] == "c0"  # cores 7 and 6 of 0 to 7
    assert "--threads 2" in (phone.userland.root / "arguments").read_text()


def test_more_threads_than_cores_are_refused(attach, edges_adb, model, tmp_path):
    phone = attach(PHONE)
    plan = TimingPlan(threads=9, runner=scripted_runner.good_folder(tmp_path / "runner"))
    with pytest.raises(UsageError, match="9 threads on 8 cores"):
        Android(phone.serial).time(model, plan, log=tmp_path / "log")
    assert as_found(phone)


def test_an_old_phone_without_exit_codes_is_timed_too(attach, edges_adb, model, tmp_path):
    phone = attach(replace(OLD, abi=THIS_MACHINES_ABI))
    measured = timed(phone, model, scripted_runner.good_folder(tmp_path / "runner"))
    assert measured.samples_ms == SAMPLES_MS
    assert as_found(phone)


def test_a_phone_that_gets_hot_meanwhile_is_throttled(attach, edges_adb, model, tmp_path):
    from tests.fakes.phone.folder import change_after

    phone = attach(PHONE)
    change_after(phone.userland.root, replace(HOT, abi=THIS_MACHINES_ABI), looks=2)  # of the list, and before the run
    slow = scripted_runner.folder_of(f"sleep 2.5; echo '{scripted_runner.report()}'", tmp_path / "runner")
    measured = timed(phone, model, slow)
    assert measured.during
    assert measured.verdict == "throttled"


def test_names_that_would_harm_reach_no_shell(attach, edges_adb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phone = attach(PHONE)
    model = tmp_path / HOSTILE / f"{HOSTILE}.tflite"
    model.parent.mkdir()
    model.write_bytes(b"model")
    measured = timed(phone, model, scripted_runner.good_folder(tmp_path / f"runner {HOSTILE}"))
    with pytest.raises(DeviceError, match="there is no device"):
        Android(HOSTILE).time(model, TimingPlan(), log=tmp_path / "log")
    assert measured.samples_ms == SAMPLES_MS
    assert not [path for folder in (tmp_path, phone.userland.root) for path in folder.glob("x")]


# --- faults of the connection


def test_an_unauthorized_phone_says_what_to_tap(attach, edges_adb, model, tmp_path):
    from tests.fakes.adbd import Faults

    phone = attach(PHONE, state="unauthorized", faults=Faults(unauthorized=True))
    require_error(phone, model, scripted_runner.good_folder(tmp_path / "runner"), "has not allowed this computer")


def test_a_phone_that_is_gone_is_offline(attach, edges_adb, model, tmp_path, monkeypatch):
    monkeypatch.setattr(Android, "patience", Patience(answer_s=5, return_s=0.5))
    phone = attach(PHONE)
    phone.unplug()
    require_error(phone, model, scripted_runner.good_folder(tmp_path / "runner"), "is offline|there is no device")


def test_two_phones_and_no_serial_are_named_in_the_error(attach, edges_adb, model, tmp_path):
    phones = [attach(PHONE), attach(PHONE)]
    with pytest.raises(DeviceError, match="2 phones are attached") as error:
        Android().time(model, TimingPlan(), log=tmp_path / "log")
    assert all(f"--device android:{phone.serial}" in error.value.hint for phone in phones)
    assert all(as_found(phone) for phone in phones)


def test_the_phone_may_be_named_as_for_adb_itself(attach, edges_adb, model, tmp_path, monkeypatch):
    attach(PHONE)
    monkeypatch.setenv("ANDROID_SERIAL", attach(PHONE).serial)
    plan = TimingPlan(warmup=1, runs=5, runner=scripted_runner.good_folder(tmp_path / "runner"))
    assert os.environ["ANDROID_SERIAL"] in Android().time(model, plan, log=tmp_path / "log").device


def test_the_one_phone_needs_no_serial(attach, edges_adb, model, tmp_path):
    attach(PHONE)
    plan = TimingPlan(warmup=1, runs=5, runner=scripted_runner.good_folder(tmp_path / "runner"))
    assert Android().time(model, plan, log=tmp_path / "log").samples_ms == SAMPLES_MS


@pytest.mark.parametrize(
    "fault", [{"touching": "model.tflite", "drop_after_sent": 70_000}, {"touching": THE_RUN, "drop_after_output": 3}]
)
def test_a_phone_that_vanishes_once_is_timed_after_all(attach, edges_adb, model, tmp_path, fault):
    phone = faulty(attach, times=1, **fault)
    assert timed(phone, model, scripted_runner.good_folder(tmp_path / "runner")).samples_ms == SAMPLES_MS
    assert as_found(phone)


@pytest.mark.parametrize(
    "fault", [{"touching": "model.tflite", "drop_after_sent": 70_000}, {"touching": THE_RUN, "drop_after_output": 3}]
)
def test_a_phone_that_vanishes_twice_is_an_error(attach, edges_adb, model, tmp_path, fault):
    phone = faulty(attach, times=2, **fault)
    require_error(phone, model, scripted_runner.good_folder(tmp_path / "runner"), "vanished")


def test_a_phone_that_stalls_is_an_error(attach, edges_adb, model, tmp_path):
    phone = faulty(attach, touching=THE_RUN, stall_after_output=1, times=1)
    require_error(
        phone, model, scripted_runner.good_folder(tmp_path / "runner"), "did not finish within 1 s", timeout_s=1
    )


def test_a_full_phone_is_an_error(attach, edges_adb, model, tmp_path):
    phone = faulty(attach, touching="model.tflite", full_after_sent=70_000, times=1)
    require_error(phone, model, scripted_runner.good_folder(tmp_path / "runner"), "is full")


# --- faults of the runner


def test_a_run_killed_by_the_phone_says_how_much_memory_there_is(attach, edges_adb, model, tmp_path):
    phone = faulty(attach, touching=THE_RUN, kill_after_output=1, times=1)
    with pytest.raises(DeviceError, match=r"killed on .*, probably for lack of memory") as error:
        timed(phone, model, scripted_runner.busy_folder(tmp_path / "runner"))
    assert "3906 MB is available" in error.value.hint  # half of the phone's 8 000 000 kB
    assert as_found(phone)


def test_a_runner_that_is_killed_alone_is_the_same(attach, edges_adb, model, tmp_path):
    runner = scripted_runner.folder_of("echo '# working'; kill -9 $$", tmp_path / "runner")
    require_error(attach(PHONE), model, runner, "probably for lack of memory")


def test_a_runner_for_another_processor_is_not_executable_there(attach, edges_adb, model, tmp_path):
    runner = scripted_runner.good_folder(tmp_path / "runner")
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 243, 1)  # RISC-V, and nothing behind
    (runner / "edge_runner").write_bytes(header + bytes(100))
    require_error(
        attach(PHONE), model, runner, f"is built for riscv64, and .* is {THIS_MACHINES_ABI}", NotExecutableHereError
    )


@pytest.mark.parametrize(
    "script",
    ["true", "exit 7", "head -c 1000 /dev/urandom", f"echo '{scripted_runner.report([(100, 5), (50, 5)])}'",
     f"echo '{scripted_runner.report([(100, -5), (200, 5)])}'"],
    ids=["nothing", "a failure", "noise", "a clock that goes back", "a negative run"],
)  # fmt: skip
def test_rubbish_is_an_error_and_never_a_number(attach, edges_adb, model, tmp_path, script):
    require_error(attach(PHONE), model, scripted_runner.folder_of(script, tmp_path / "runner"), "LiteRT")


# --- the command line


def profile(*words: object) -> int:
    return edge.run(["profile", *map(str, words)])


def test_devices_shows_battery_and_heat_and_no_broken_phone_hides_the_others(attach, edges_adb, capsys):
    from tests.fakes.adbd import Faults

    good = attach(PHONE)
    locked = attach(PHONE, state="unauthorized", faults=Faults(unauthorized=True))
    silent = attach(PHONE, faults=Faults(touching="getprop", stall_after_output=1))
    assert edge.run(["devices", "--json"]) == 0
    found = {each["id"]: each for each in json.loads(capsys.readouterr().out)["devices"]}
    assert found[f"android:{good.serial}"]["state"] == "ready"
    assert found[f"android:{good.serial}"]["battery_percent"] == 80
    assert found[f"android:{good.serial}"]["thermal_status"] == 0
    assert found[f"android:{locked.serial}"]["state"] == "unauthorized"
    assert found[f"android:{silent.serial}"]["state"] == "not responding"


def test_all_profiles_every_phone_and_says_which_failed(attach, edges_adb, model, tmp_path, capsys):
    from tests.fakes.adbd import Faults

    good, other = attach(PHONE), attach(PHONE)
    full = attach(PHONE, faults=Faults(touching="model.tflite", full_after_sent=1))
    runner = scripted_runner.good_folder(tmp_path / "runner")
    code = profile(model, "--device", "all", "--runner", runner, "--runs", 5, "--budget", 0, "--json")
    document = json.loads(capsys.readouterr().out)
    ours = {f"android:{phone.serial}" for phone in (good, other, full)}
    found = {each["device"].split(" ")[0]: each for each in document["profiles"]}
    assert set(found) == ours  # and not this machine, which would disturb itself
    assert all(found[f"android:{phone.serial}"]["samples_ms"] == SAMPLES_MS for phone in (good, other))
    assert "is full" in found[f"android:{full.serial}"]["error"]
    assert code == 6
    assert all(as_found(phone) for phone in (good, other, full))


@pytest.mark.parametrize("runs", ["0", "-1", "many"])
def test_no_runs_are_bad_usage(model, runs):
    assert profile(model, "--runs", runs) == 2


def test_a_device_without_a_plugin_suggests_one(model, capsys):
    assert profile(model, "--device", "androit") == 2
    assert "android" in capsys.readouterr().err


def test_a_file_that_no_phone_runs_says_who_can(tmp_path, capsys):
    (tmp_path / "a.onnx").write_bytes(b"")
    assert profile(tmp_path / "a.onnx", "--device", "android") == 6
    assert "devices that can: " in capsys.readouterr().err


@pytest.mark.parametrize(("number", "device"), [(signal.SIGINT, ""), (signal.SIGTERM, ""), (signal.SIGINT, "all")])
def test_after_an_interruption_the_phone_is_as_it_was_found(attach, edges_adb, model, tmp_path, number, device):
    phone = attach(PHONE)
    runner = scripted_runner.folder_of("echo $$ >/started; sleep 1000", tmp_path / "runner")
    words = ("profile", model, "--device", device or f"android:{phone.serial}", "--runner", runner)
    running = subprocess.Popen([*INTERRUPTIBLE, sys.executable, "-m", "edge", *map(str, words)])
    latest = time.monotonic() + 60
    while not (phone.userland.root / "started").exists() and time.monotonic() < latest:
        time.sleep(0.05)
    running.send_signal(number)
    assert running.wait(60) == 128 + number
    assert as_found(phone)
    pid = (phone.userland.root / "started").read_text().strip()
    assert edges_adb.adb("-s", phone.serial, "shell", f"kill -0 {pid}").returncode != 0
