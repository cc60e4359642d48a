"""A machine behind the real adb client and our fake phone: files, programs and settings, also when things go wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devices import _adb_client as adb
from devices._adb import AdbMachine, Patience
from edge.errors import DeviceError, InternalError, ToolchainMissingError
from tests.fakes.adb_server import AdbServer
from tests.fakes.phone.description import NEW, OLD, THIS_MACHINES_ABI

if TYPE_CHECKING:
    from tests.fakes.adbd import Adbd

PHONE, OLD_PHONE = replace(NEW, abi=THIS_MACHINES_ABI), replace(OLD, abi=THIS_MACHINES_ABI)
SHORT = Patience(answer_s=5, return_s=3)
HOSTILE = "a b'c\"d;$(touch x)`touch x`\\ *"
"""Part of a name that would do harm in a shell."""

Attach = Callable[..., "Adbd"]


def left(phone: Adbd) -> list[str]:
    """What is in the folder of the phone in which edge works."""
    return sorted(path.name for path in (phone.userland.root / "data/local/tmp").rglob("*"))


@pytest.fixture
def phone(attach: Attach, edges_adb: AdbServer) -> Adbd:
    return attach(PHONE)


@pytest.fixture
def machine(phone: Adbd) -> Iterator[AdbMachine]:
    machine = AdbMachine(phone.serial, patience=SHORT)
    yield machine
    machine.leave()
    assert left(phone) == []


def faulty(attach: Attach, **faults: object) -> Adbd:
    from tests.fakes.adbd import Faults

    return attach(PHONE, faults=Faults(**faults))


# --- programs


def test_a_program_has_its_arguments_environment_and_exit_code_as_they_were_given(machine: AdbMachine, phone: Adbd):
    command = ("sh", "-c", 'printf "%s\\n" "$1" "$VALUE"; echo wrong >&2; exit 3', "sh", HOSTILE)
    lines: list[str] = []
    done = machine.run(command, timeout_s=5, environment={"VALUE": HOSTILE}, on_line=lines.append)
    assert (done.exit_code, done.stdout, done.stderr) == (3, f"{HOSTILE}\n{HOSTILE}\n", "wrong\n")
    assert lines == [HOSTILE, HOSTILE]
    assert not (phone.userland.root / "x").exists()


def test_lines_come_while_the_program_runs(machine: AdbMachine, phone: Adbd):
    seen: list[str] = []

    def on_line(line: str) -> None:
        seen.append(line)
        (phone.userland.root / "go").touch()

    machine.run(
        ("sh", "-c", "echo first; until [ -f /go ]; do sleep 0.05; done; echo; echo last"), timeout_s=5, on_line=on_line
    )
    assert seen == ["first", "", "last"]


@pytest.mark.parametrize("text", ["", "no end of line", "\n\n", "one\n", "edge-0:0\n"])
def test_output_is_whole_to_the_byte(machine: AdbMachine, text: str):
    assert machine.run(("printf", "%s", text), timeout_s=5).stdout == text


def test_a_program_killed_by_a_signal_says_so(machine: AdbMachine):
    assert machine.run(("sh", "-c", "kill -9 $$"), timeout_s=5).exit_code == 137


def test_a_program_that_is_not_there_is_127(machine: AdbMachine):
    assert machine.run(("no such program",), timeout_s=5).exit_code == 127


def test_nothing_of_a_program_runs_after_its_time_limit(machine: AdbMachine):
    with pytest.raises(DeviceError, match="did not finish within 1 s"):
        machine.run(("sh", "-c", "echo $$ >/first; sleep 1000 & echo $! >/second; wait"), timeout_s=1)
    done = machine.run(("sh", "-c", "kill -0 $(cat /first); kill -0 $(cat /second)"), timeout_s=5)
    assert done.exit_code != 0
    assert done.stderr.lower().count("no such process") == 2


def test_a_variable_whose_name_would_be_a_command_is_our_own_fault(machine: AdbMachine):
    with pytest.raises(InternalError, match="no name of a variable"):
        machine.run(("true",), timeout_s=5, environment={"A;touch x": "1"})


def test_a_program_that_prints_without_end_is_stopped(machine: AdbMachine, monkeypatch):
    monkeypatch.setattr(adb, "MOST_BYTES", 1 << 20)
    with pytest.raises(DeviceError, match="printed more than 1 MiB"):
        machine.run(("yes",), timeout_s=20)


def test_an_old_phone_tells_the_exit_code_too(attach: Attach, edges_adb: AdbServer):
    phone = attach(OLD_PHONE)
    machine = AdbMachine(phone.serial, patience=SHORT)
    done = machine.run(("sh", "-c", "echo out; exit 4"), timeout_s=5)
    machine.leave()
    assert (done.exit_code, done.stdout) == (4, "out\n")
    assert left(phone) == []


# --- files


def test_a_file_goes_there_and_back_whatever_it_is_called(machine: AdbMachine, phone: Adbd, tmp_path: Path):
    local = tmp_path / HOSTILE
    local.write_bytes(bytes(range(256)) * 100)
    local.chmod(0o751)
    machine.push(local, machine.folder / HOSTILE)
    there = phone.userland.root / str(machine.folder)[1:] / HOSTILE
    machine.pull(machine.folder / HOSTILE, tmp_path / "back")
    assert there.stat().st_mode & 0o777 == 0o751
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    assert not list(phone.userland.root.glob("x"))
    machine.remove(machine.folder / HOSTILE)
    machine.remove(machine.folder / HOSTILE)
    assert not there.exists()


def sent(machine: AdbMachine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that adb is asked to push from now on."""
    names: list[str] = []
    call = adb.call

    def noted(*arguments: str, **options: object) -> object:
        if "push" in arguments[:3]:
            names.append(Path(arguments[3]).name)
        return call(*arguments, **options)

    monkeypatch.setattr(adb, "call", noted)
    return names


def test_a_file_is_sent_again_only_when_it_has_changed(machine: AdbMachine, tmp_path: Path, monkeypatch):
    names = sent(machine, monkeypatch)
    local = tmp_path / "model.tflite"
    for contents in (b"one", b"one", b"two", b"two"):
        local.write_bytes(contents)
        machine.push(local, machine.folder / "model.tflite")
    assert names == ["model.tflite"] * 2
    assert machine.run(("cat", "model.tflite"), timeout_s=5).stdout == "two"


def test_what_is_kept_is_not_sent_the_next_time_and_goes_when_nobody_keeps_it(
    phone: Adbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    local = tmp_path / "model.tflite"
    local.write_bytes(b"weights")
    counts = []
    for _ in range(2):
        machine = AdbMachine(phone.serial, keep=True, patience=SHORT)
        names = sent(machine, monkeypatch)
        machine.push(local, machine.folder / "model.tflite")
        counts.append(len(names))
        assert machine.run(("cat", "model.tflite"), timeout_s=5).stdout == "weights"
        machine.leave()
        assert [name for name in left(phone) if not name.startswith("edge-kept")] == [left(phone)[0]]
    assert counts == [1, 0]
    last = AdbMachine(phone.serial, patience=SHORT)
    last.run(("true",), timeout_s=5)
    last.leave()
    assert left(phone) == []


def test_a_damaged_kept_file_is_not_used(phone: Adbd, tmp_path: Path):
    local = tmp_path / "model.tflite"
    local.write_bytes(b"weights")
    first = AdbMachine(phone.serial, keep=True, patience=SHORT)
    first.push(local, first.folder / "model.tflite")
    first.leave()
    next((phone.userland.root / "data/local/tmp/edge-kept").iterdir()).write_bytes(b"other")
    second = AdbMachine(phone.serial, patience=SHORT)
    second.push(local, second.folder / "model.tflite")
    assert second.run(("cat", "model.tflite"), timeout_s=5).stdout == "weights"
    second.leave()


def test_a_file_that_is_not_there_leaves_nothing_here(machine: AdbMachine, tmp_path: Path):
    with pytest.raises(DeviceError, match="has no file to pull"):
        machine.pull(machine.folder / "nothing", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


# --- the connection


def test_a_phone_that_vanishes_in_mid_push_and_comes_back_gets_the_file_whole(attach, edges_adb, tmp_path: Path):
    phone = faulty(attach, touching="model", drop_after_sent=100_000, times=1)
    (tmp_path / "model").write_bytes(b"x" * 1_000_000)
    machine = AdbMachine(phone.serial, patience=SHORT)
    machine.push(tmp_path / "model", machine.folder / "model")
    assert machine.run(("sh", "-c", "wc -c <model"), timeout_s=5).stdout.strip() == "1000000"
    machine.leave()
    assert left(phone) == []


def test_a_phone_that_vanishes_in_mid_run_and_comes_back_runs_again(attach, edges_adb):
    phone = faulty(attach, touching="one two", drop_after_output=1, times=1)
    machine = AdbMachine(phone.serial, patience=SHORT)
    assert machine.run(("echo", "one two"), timeout_s=5).stdout == "one two\n"
    machine.leave()
    assert left(phone) == []


@pytest.mark.parametrize("fault", ["drop_after_output", "drop_after_sent"])
def test_a_phone_that_vanishes_twice_is_an_error_and_still_left_as_it_was(attach, edges_adb, tmp_path: Path, fault):
    phone = faulty(attach, touching="pushed", times=2, **{fault: 1})
    (tmp_path / "pushed").write_bytes(b"x" * 1_000_000)
    machine = AdbMachine(phone.serial, patience=SHORT)
    with pytest.raises(DeviceError, match="vanished"):
        machine.push(tmp_path / "pushed", machine.folder / "pushed")
        machine.run(("echo", "pushed"), timeout_s=5)
    machine.leave()
    assert left(phone) == []


def test_a_phone_that_stays_away_is_an_error_and_leaving_it_says_what_is_left_to_do(attach, edges_adb, caplog):
    phone = faulty(attach, touching="one two", drop_after_output=1, stays_away=True)
    machine = AdbMachine(phone.serial, patience=replace(SHORT, return_s=0.5))
    with pytest.raises(DeviceError, match="vanished, and was not back within"):
        machine.run(("echo", "one two"), timeout_s=5)
    with caplog.at_level(logging.WARNING):
        machine.leave()
    assert f"rm -rf {machine.folder}" in caplog.text


def test_two_threads_that_lose_a_phone_together_reconnect_it_once(attach, edges_adb, monkeypatch):
    phone = faulty(attach, touching="both", drop_after_output=1, times=1)
    machine = AdbMachine(phone.serial, patience=SHORT)
    connects: list[str] = []
    call = adb.call

    def noted(*arguments: str, **options: object) -> object:
        connects.extend(argument for argument in arguments[:1] if argument == "connect")
        return call(*arguments, **options)

    monkeypatch.setattr(adb, "call", noted)
    machine.run(("true",), timeout_s=5)
    said: list[str] = []
    waiting = threading.Thread(
        target=lambda: said.append(machine.run(("sh", "-c", "sleep 0.5; echo waited"), timeout_s=10).stdout)
    )
    waiting.start()
    time.sleep(0.2)
    said.append(machine.run(("echo", "both"), timeout_s=5).stdout)
    waiting.join()
    machine.leave()
    assert sorted(said) == ["both\n", "waited\n"]
    assert len(connects) == 1


def test_a_full_phone_says_so(attach, edges_adb, tmp_path: Path):
    phone = faulty(attach, touching="model", full_after_sent=1, times=1)
    (tmp_path / "model").write_bytes(b"x" * 1_000_000)
    machine = AdbMachine(phone.serial, patience=SHORT)
    with pytest.raises(DeviceError, match="is full") as error:
        machine.push(tmp_path / "model", machine.folder / "model")
    machine.leave()
    assert "free some space" in error.value.hint
    assert left(phone) == []


@pytest.mark.parametrize("fault", ["stall_after_output", "stall_after_sent"])
def test_a_phone_that_stalls_is_waited_for_only_so_long(attach, edges_adb, tmp_path: Path, fault):
    phone = faulty(attach, touching="stalls", times=1, **{fault: 1})
    (tmp_path / "stalls").write_bytes(b"x" * 1_000_000)
    machine = AdbMachine(phone.serial, patience=Patience(answer_s=2, return_s=2, bytes_per_s=1e9))
    with pytest.raises(DeviceError, match="did not finish within"):
        machine.push(tmp_path / "stalls", machine.folder / "stalls")
    machine.leave()
    assert left(phone) == []


# --- settings, and leaving


@pytest.mark.parametrize("screen_on", [True, False])
def test_the_screen_is_on_for_the_run_and_as_it_was_afterwards(attach, edges_adb, screen_on):
    phone = attach(replace(PHONE, screen_on=screen_on))
    root = phone.userland.root
    machine = AdbMachine(phone.serial, patience=SHORT)
    machine.prepare()
    during = (machine.state().screen_on, (root / "phone/settings/global/stay_on_while_plugged_in").read_text())
    machine.leave()
    after = (machine.state().screen_on, (root / "phone/settings/global/stay_on_while_plugged_in").read_text())
    assert (during, after) == ((True, "7\n"), (screen_on, "0\n"))


def test_a_setting_that_was_not_there_is_not_there_afterwards(machine: AdbMachine, phone: Adbd):
    setting = phone.userland.root / "phone/settings/global/stay_on_while_plugged_in"
    setting.unlink()
    machine.prepare()
    assert setting.exists()
    machine.leave()
    assert not setting.exists()


def test_a_device_that_was_never_used_is_not_touched_by_leaving_it(edges_adb, monkeypatch):
    monkeypatch.setattr(adb, "call", pytest.fail)
    AdbMachine("none").leave()


# --- adb itself


def test_without_adb_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.delenv("ADB")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolchainMissingError, match="adb is not installed") as error:
        AdbMachine("x").info()
    assert "apt-get install adb" in error.value.hint


def test_an_adb_that_was_named_and_is_none_is_named_in_the_error(monkeypatch):
    monkeypatch.setenv("ADB", "/no/adb")
    with pytest.raises(ToolchainMissingError, match="ADB=/no/adb is not a program"):
        adb.program()


@pytest.mark.parametrize(
    ("state", "what"),
    [("unauthorized", "has not allowed"), ("no permissions (missing udev rules?); see [x]", "cannot be opened"),
     ("recovery", "in recovery mode"), ("sideload", "waits for an update"), ("offline", "is offline"),
     ("host", "is host")],
)  # fmt: skip
def test_each_state_has_its_own_error_and_a_hint(tmp_path: Path, monkeypatch, state, what):
    fake = tmp_path / "adb"
    fake.write_text(f"#!/bin/sh\nprintf 'List of devices attached\\nABC\\t%s\\n\\n' '{state}'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("ADB", str(fake))
    with pytest.raises(DeviceError, match=what) as error:
        AdbMachine("ABC", patience=Patience(answer_s=5, return_s=0)).info()
    assert error.value.hint
