"""The real adb client finds a phone in our fake one (devices sheet §1)."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the fake phone checks keys with it")

from tests.fakes.adb_server import AdbServer
from tests.fakes.adbd import Adbd, Faults, Identity
from tests.fakes.adbd_of_debian import AdbdOfDebian
from tests.fakes.eventually import becomes_true, runs
from tests.fakes.phone.userlands import PlainShell

TMP = "/data/local/tmp"
Adb = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "phone"
    (root / "data/local/tmp").mkdir(parents=True)
    return root


@pytest.fixture
def fake_adb(adb_server: AdbServer, root: Path) -> Iterator[Adb]:
    """The client, with a healthy phone."""
    with Adbd(PlainShell(root)) as daemon:
        yield client(adb_server, daemon.serial)


@pytest.fixture
def adb(adb_server: AdbServer, root: Path) -> Iterator[Adb]:
    """The same; behind a real adbd in `make adbd-conformance`."""
    with AdbdOfDebian(root) if os.environ.get("EDGE_ADBD") == "debian" else Adbd(PlainShell(root)) as daemon:
        yield client(adb_server, daemon.serial)


def client(adb_server: AdbServer, serial: str) -> Adb:
    adb_server.connect(serial)
    return lambda *arguments, **options: adb_server.adb("-s", serial, *arguments, **options)


# --- who it is


def test_the_list_of_devices_tells_its_product_and_model(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), identity=Identity("oriole", "Pixel_6", "oriole")) as daemon:
        adb_server.connect(daemon.serial)
        line = adb_server.adb("devices", "-l").stdout.decode().splitlines()[1].split()
    assert line[:5] == [daemon.serial, "device", "product:oriole", "model:Pixel_6", "device:oriole"]


def test_two_phones_are_told_apart_by_serial_and_none_is_chosen_for_us(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root)) as one, Adbd(PlainShell(root)) as other:
        for daemon in (one, other):
            adb_server.connect(daemon.serial)
        unnamed = adb_server.adb("shell", "true")
        named = [adb_server.adb("-s", daemon.serial, "shell", "echo here").stdout for daemon in (one, other)]
    assert named == [b"here\n"] * 2
    assert unnamed.returncode == 1
    assert b"more than one device" in unnamed.stderr


def test_a_key_that_is_refused_makes_the_phone_unauthorized(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), faults=Faults(unauthorized=True)) as daemon:
        adb_server.connect(daemon.serial, state="unauthorized")
        refused = adb_server.adb("-s", daemon.serial, "shell", "true")
    assert refused.returncode == 1
    assert b"unauthorized" in refused.stderr


def test_a_key_that_is_accepted_is_known_the_next_time(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), authenticates=True) as daemon:
        for _ in range(2):
            adb_server.connect(daemon.serial)
            adb_server.adb("disconnect", daemon.serial)
        assert len(daemon.known_keys) == 1


def test_a_phone_that_is_unplugged_goes_offline(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root)) as daemon:
        adb_server.connect(daemon.serial)
        daemon.unplug()
        assert becomes_true(lambda: adb_server.states().get(daemon.serial) != "device")


# --- commands


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_of_a_command_comes_back(adb: Adb, code: int) -> None:
    assert adb("shell", f"exit {code}").returncode == code


def test_standard_output_and_error_stay_apart(adb: Adb) -> None:
    done = adb("shell", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_a_command_killed_by_a_signal_says_128_and_the_signal(adb: Adb) -> None:
    assert adb("shell", "kill -9 $$").returncode == 137


def test_a_shell_without_a_command_runs_its_standard_input(adb: Adb) -> None:
    done = adb("shell", stdin=b"echo one\nexit 3\n")
    assert (done.stdout, done.returncode) == (b"one\n", 3)


def test_a_terminal_ends_lines_by_cr_lf_and_merges_errors(adb: Adb) -> None:
    done = adb("shell", "-tt", "echo out; echo err >&2; exit 4")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\r\nerr\r\n", b"", 4)


def test_an_old_phone_answers_behind_a_terminal_without_an_exit_code(adb_server: AdbServer, root: Path) -> None:
    with Adbd(PlainShell(root), identity=Identity(features=("cmd",))) as daemon:
        adb_server.connect(daemon.serial)
        done = adb_server.adb("-s", daemon.serial, "shell", "echo out; echo err >&2; exit 4")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\r\nerr\r\n", b"", 0)


def test_exec_out_and_exec_in_carry_every_byte(adb: Adb, root: Path) -> None:
    every = bytes(range(256)) * 4096 * 3
    assert adb("exec-in", "cat > all", stdin=every).returncode == 0
    kept = root / "all"  # exec-in has no reply: the client may end before the phone's shell has begun
    assert becomes_true(lambda: kept.exists() and kept.stat().st_size == len(every))
    assert adb("exec-out", "cat all").stdout == every


def test_nothing_of_a_command_is_left_when_its_client_is_killed(fake_adb: Adb, root: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        fake_adb("shell", "trap '' HUP; echo $$ > pid; sleep 1000 & sleep 1000", timeout_s=1)
    shell = int((root / "pid").read_text())
    assert becomes_true(lambda: not runs(shell))


# --- files


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 20 << 20])
def test_a_file_is_the_same_after_there_and_back(adb: Adb, tmp_path: Path, size: int) -> None:
    (tmp_path / "there").write_bytes(random.Random(size).randbytes(size))
    assert adb("push", tmp_path / "there", f"{TMP}/file").returncode == 0
    assert adb("pull", f"{TMP}/file", tmp_path / "back").returncode == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


def test_a_file_keeps_its_time_and_all_may_do_what_its_owner_may(adb: Adb, root: Path, tmp_path: Path) -> None:
    (tmp_path / "runner").touch(mode=0o755)
    os.utime(tmp_path / "runner", (1_700_000_000, 1_700_000_000))
    adb("push", tmp_path / "runner", TMP)
    found = (root / "data/local/tmp/runner").stat()
    assert (found.st_mode & 0o777, found.st_mtime) == (0o777, 1_700_000_000)


def test_a_folder_of_300_files_goes_there_and_back_and_is_not_sent_twice(adb: Adb, tmp_path: Path) -> None:
    there = tmp_path / "many"
    there.mkdir()
    for number in range(300):
        (there / f"{number}.txt").write_text(f"{number}\n" * number)
    assert b"300 files pushed" in adb("push", there, TMP).stdout
    assert b"0 files pushed, 300 skipped" in adb("push", "--sync", there, TMP).stdout
    assert b"300 files pulled" in adb("pull", f"{TMP}/many", tmp_path / "back").stdout
    assert {file.name: file.read_bytes() for file in (tmp_path / "back").iterdir()} == {
        file.name: file.read_bytes() for file in there.iterdir()
    }


@pytest.mark.parametrize(
    "name", ["two words", "it's", 'a"b', "$(touch hit)", "; touch hit", "`touch hit`", "naïve, 日本"]
)
def test_a_name_is_only_a_name(adb: Adb, root: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / name).write_text("kept")
    assert adb("push", tmp_path / "local" / name, f"{TMP}/{name}").returncode == 0
    assert adb("pull", f"{TMP}/{name}", tmp_path / "back").returncode == 0
    assert (tmp_path / "back").read_text() == "kept"
    assert not list(root.rglob("hit"))


@pytest.mark.parametrize("path", ["/../outside", f"{TMP}/../../../../outside", "/up/outside"])
def test_nothing_is_written_outside_the_phone(fake_adb: Adb, root: Path, tmp_path: Path, path: str) -> None:
    (root / "up").symlink_to("../..")
    (tmp_path / "file").write_text("ours")
    done = fake_adb("push", tmp_path / "file", path)
    assert done.returncode == 1
    assert b"outside the phone" in done.stdout + done.stderr
    assert not (tmp_path / "outside").exists()


def test_an_absolute_link_leads_to_the_phones_own_folder(adb: Adb, root: Path, tmp_path: Path) -> None:
    (root / "sdcard").symlink_to("/storage")
    (root / "storage").mkdir()
    (tmp_path / "file").write_text("ours")
    adb("push", tmp_path / "file", "/sdcard/file")
    assert (root / "storage/file").read_text() == "ours"


def test_a_file_that_is_not_there_is_not_pulled(adb: Adb, tmp_path: Path) -> None:
    assert adb("pull", f"{TMP}/none", tmp_path / "back").returncode == 1
    assert not (tmp_path / "back").exists()


# --- ports


def test_a_port_of_the_phone_leads_to_the_host_and_back(adb: Adb) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        answering = threading.Thread(target=_answer_once, args=(host,), daemon=True)
        answering.start()
        phones_port = int(adb("reverse", "tcp:0", f"tcp:{host.getsockname()[1]}").stdout)
        assert f"tcp:{phones_port}".encode() in adb("reverse", "--list").stdout
        with socket.create_connection(("127.0.0.1", phones_port), timeout=10) as client:
            client.sendall(b"ping")
            assert client.recv(100) == b"ping back"
        answering.join(10)
    adb("reverse", "--remove-all")
    assert adb("reverse", "--list").stdout.strip() == b""


def _answer_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(100) + b" back")
