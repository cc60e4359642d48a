"""The faults of the fake phone, as the real adb client sees them (devices sheet §1.4)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the fake phone checks keys with it")

from tests.fakes.adb_server import AdbServer
from tests.fakes.adbd import Adbd, Faults
from tests.fakes.eventually import becomes_true, runs
from tests.fakes.phone.userlands import PlainShell

TMP = "/data/local/tmp"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "phone"
    (root / "data/local/tmp").mkdir(parents=True)
    return root


def test_a_service_that_is_refused_is_closed(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), faults=Faults(refuse_open=True)) as daemon:
        adb_server.connect(daemon.serial)
        refused = adb_server.adb("-s", daemon.serial, "shell", "true")
    assert (refused.returncode, refused.stderr) == (1, b"error: closed\n")


def test_a_phone_that_vanishes_in_a_push_leaves_no_file_and_is_back_after_one_connect(
    adb_server: AdbServer, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(bytes(3 << 20))
    with Adbd(PlainShell(root), faults=Faults(drop_after_sent=1 << 20, times=1)) as daemon:
        adb_server.connect(daemon.serial)
        assert adb_server.adb("-s", daemon.serial, "push", tmp_path / "model", TMP).returncode == 1
        assert not (root / "data/local/tmp/model").exists()
        adb_server.adb("disconnect", daemon.serial)
        adb_server.connect(daemon.serial)
        assert adb_server.adb("-s", daemon.serial, "push", tmp_path / "model", TMP).returncode == 0


def test_a_phone_that_vanishes_in_a_run_has_shown_what_it_wrote_before_and_stays_away(
    adb_server: AdbServer, root: Path
) -> None:
    faults = Faults(touching="runner", drop_after_output=8, stays_away=True)
    with Adbd(PlainShell(root), faults=faults) as daemon:
        adb_server.connect(daemon.serial)
        assert adb_server.adb("-s", daemon.serial, "shell", "echo before").stdout == b"before\n"
        done = adb_server.adb("-s", daemon.serial, "shell", ": runner; echo $$ > pid; echo 0123456789; sleep 1000")
        assert done.stdout == b"01234567"
        assert becomes_true(lambda: adb_server.states().get(daemon.serial) != "device")
        pid = int((root / "pid").read_text())
        assert becomes_true(lambda: not runs(pid))


def test_a_phone_that_stalls_says_nothing_more_and_its_command_ends_with_the_client(
    adb_server: AdbServer, root: Path
) -> None:
    with Adbd(PlainShell(root), faults=Faults(stall_after_output=4)) as daemon:
        adb_server.connect(daemon.serial)
        with pytest.raises(subprocess.TimeoutExpired) as stalled:
            adb_server.adb("-s", daemon.serial, "shell", "echo $$ > pid; echo 0123456789", timeout_s=1)
        assert stalled.value.stdout == b"0123"
        pid = int((root / "pid").read_text())
        assert becomes_true(lambda: not runs(pid))


def test_what_a_stalled_push_had_sent_is_gone_with_the_connection(
    adb_server: AdbServer, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(bytes(30 << 20))
    with Adbd(PlainShell(root), faults=Faults(stall_after_sent=1 << 20)) as daemon:
        adb_server.connect(daemon.serial)
        with pytest.raises(subprocess.TimeoutExpired):
            adb_server.adb("-s", daemon.serial, "push", tmp_path / "model", TMP, timeout_s=1)
        assert (root / "data/local/tmp/model").exists()
        adb_server.adb("disconnect", daemon.serial)
        assert becomes_true(lambda: not (root / "data/local/tmp/model").exists())


def test_a_full_phone_says_so_and_keeps_no_half_file(adb_server: AdbServer, root: Path, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(bytes(3 << 20))
    with Adbd(PlainShell(root), faults=Faults(full_after_sent=1 << 20, times=1)) as daemon:
        adb_server.connect(daemon.serial)
        full = adb_server.adb("-s", daemon.serial, "push", tmp_path / "model", TMP)
        left = list((root / "data/local/tmp").iterdir())
        again = adb_server.adb("-s", daemon.serial, "push", tmp_path / "model", TMP)
    assert full.returncode == 1
    assert b"No space left on device" in full.stdout + full.stderr
    assert left == []
    assert again.returncode == 0


def test_a_command_killed_for_memory_ends_with_137(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), faults=Faults(touching="runner", kill_after_output=4)) as daemon:
        adb_server.connect(daemon.serial)
        done = adb_server.adb("-s", daemon.serial, "shell", ": runner; echo 0123456789; sleep 1000")
    assert (done.stdout, done.returncode) == (b"0123", 137)


def test_a_slow_link_brings_the_same_bytes(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), faults=Faults(seconds_per_write=0.01)) as daemon:
        adb_server.connect(daemon.serial)
        assert adb_server.adb("-s", daemon.serial, "exec-out", "seq 100000").stdout.split()[-1] == b"100000"
