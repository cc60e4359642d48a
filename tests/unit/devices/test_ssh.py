"""The real OpenSSH client and server: files, processes, and what is left on the board after each fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from devices._ssh import SshMachine
from devices._ssh_connection import Address
from edge.errors import DeviceError, ToolchainMissingError, UsageError
from tests.fakes import sshd
from tests.fakes.sshd import Sshd, eventually, running

NASTY = "a b'c\"d;$(touch x)`touch y`&*\\\n%"
LONG = "300.0123"
"""Seconds of a `sleep` that nothing here waits for; it also finds the process."""


@pytest.fixture
def home(tmp_path):
    if reason := sshd.missing():
        pytest.skip(reason)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def board(tmp_path, monkeypatch, home):
    folder = tmp_path / "board's; $(touch x) `touch y`"
    folder.mkdir()
    with Sshd.started(home, folder) as started:
        monkeypatch.setenv("PATH", f"{started.client()}:{os.environ['PATH']}")
        yield started


@pytest.fixture
def machine(board):
    made = SshMachine(board.which)
    yield made
    made.leave()


@contextmanager
def closing(machine):
    try:
        yield machine
    finally:
        machine.leave()


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("board", ("--", "board")),
        ("pi@192.168.0.7", ("-l", "pi", "--", "192.168.0.7")),
        ("pi@board-2.local:2222", ("-p", "2222", "-l", "pi", "--", "board-2.local")),
        ("pi@[fe80::1%eth0]:22", ("-p", "22", "-l", "pi", "--", "fe80::1%eth0")),
    ],
)
def test_an_address_becomes_arguments_of_ssh_with_the_host_last(text, arguments):
    assert Address.parsed(text).arguments == arguments


@pytest.mark.parametrize(
    "text",
    [
        "", "@board", "pi@", "-oProxyCommand=touch x", "pi@-oProxyCommand=touch x", "-l@board", "a board", "pi@board;ls",
        "pi@$(ls)", "pi@`ls`", "pi@board:", "pi@board:99999", "pi@board:22:22", "pi@fe80::1", "pi@board\n", "pi@[board]",
        "pi'@board", "pi@board/x", "püi@board",
    ],
)  # fmt: skip
def test_an_address_that_ssh_or_a_shell_could_take_for_more_is_refused(text):
    with pytest.raises(UsageError, match="is no board"):
        SshMachine(text)


def test_a_program_runs_in_the_folder_and_its_words_and_code_come_back(machine, board):
    done = machine.run(["sh", "-c", "pwd; echo no >&2; exit 7"], timeout_s=20)
    assert (done.exit_code, done.stdout, done.stderr) == (7, f"{machine.folder}\n", "no\n")
    assert machine.folder.parent == PurePosixPath(board.folder)


def test_arguments_and_environment_arrive_unread_by_any_shell(machine, board):
    script = 'printf "%s|%s|%s" "$1" "$2" "$VALUE"'
    done = machine.run(["sh", "-c", script, "sh", NASTY, ""], timeout_s=20, environment={"VALUE": NASTY})
    assert done.stdout == f"{NASTY}||{NASTY}"
    assert machine.run(["ls", "-A"], timeout_s=20).stdout == ""


def test_an_exit_code_is_the_programs_own_even_where_ssh_uses_it_too(machine):
    for code in (0, 1, 126, 127, 254, 255):
        assert machine.run(["sh", "-c", f"exit {code}"], timeout_s=20).exit_code == code


def test_a_program_that_a_signal_ends_has_128_and_its_number(machine):
    assert machine.run(["sh", "-c", "kill -KILL $$"], timeout_s=20).exit_code == 128 + signal.SIGKILL


def test_lines_come_while_the_program_runs(machine, tmp_path):
    heard = []

    def hear(line):
        heard.append(line)
        if line == "first":
            (tmp_path / "go on").touch()

    waits = f'echo first; while [ ! -e "{tmp_path}/go on" ]; do sleep 0.02; done; echo second'
    done = machine.run(["sh", "-c", waits], timeout_s=60, on_line=hear)
    assert heard == ["first", "second"]
    assert done.stdout == "first\nsecond\n"


def test_a_file_with_any_name_goes_there_and_comes_back_with_its_mode(machine, tmp_path):
    local = tmp_path / "a file"
    local.write_bytes(bytes(range(256)) * 1000)
    local.chmod(0o750)
    machine.push(local, machine.folder / NASTY)
    machine.pull(machine.folder / NASTY, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    assert (tmp_path / "board's; $(touch x) `touch y`" / machine.folder.name / NASTY).stat().st_mode & 0o777 == 0o750
    machine.remove(machine.folder / NASTY)
    machine.remove(machine.folder / NASTY)
    assert machine.run(["ls", "-A"], timeout_s=20).stdout == ""


def test_a_file_is_sent_again_only_when_its_contents_differ(machine, tmp_path, board):
    local, there = tmp_path / "model", machine.folder / "model"
    local.write_bytes(b"one")
    machine.push(local, there)
    before = Path(there).stat()
    machine.push(local, there)
    assert Path(there).stat().st_ino == before.st_ino
    local.write_bytes(b"two")  # as long as before
    machine.push(local, there)
    assert Path(there).stat().st_mtime_ns != before.st_mtime_ns
    machine.pull(there, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"two"


def test_a_file_that_is_kept_is_not_sent_again_until_a_visit_that_keeps_nothing(board, tmp_path, monkeypatch):
    local = tmp_path / "a model"
    local.write_bytes(b"one")
    with closing(SshMachine(board.which, keep=True)) as first:
        first.push(local, first.folder / "model")
    assert [path.read_bytes() for path in board.kept()] == [b"one"]
    monkeypatch.setattr("devices._ssh.KEEP", "echo sent again >&2; exit 1")
    with closing(SshMachine(board.which, keep=True)) as second:
        second.push(local, second.folder / "model")
        assert second.run(["cat", "model"], timeout_s=20).stdout == "one"
    board.kept()[0].write_bytes(b"own")  # somebody's mistake
    with closing(SshMachine(board.which, keep=True)) as third, pytest.raises(DeviceError, match="sent again"):
        third.push(local, third.folder / "model")
    with closing(SshMachine(board.which)) as last:
        last.push(local, last.folder / "model")
    assert board.kept() == ()
    assert board.left() == ()


def test_a_file_that_is_not_there_leaves_nothing_here(machine, tmp_path):
    with pytest.raises(DeviceError, match=r"does not give none: .*[Nn]o such file"):
        machine.pull(machine.folder / "none", tmp_path / "back" / "none")
    assert not (tmp_path / "back" / "none").exists()


def test_leaving_removes_the_folder_and_ends_the_connection(machine, board):
    machine.run(["touch", "left"], timeout_s=20)
    assert board.left()
    machine.leave()
    machine.leave()
    assert board.left() == ()
    assert not running(str(machine._opened._control / "c"))


def test_one_connection_serves_all_commands(machine, board):
    for _ in range(3):
        machine.run(["true"], timeout_s=20)
    machine.state()
    assert (board.home / "log").read_text().count("Accepted publickey") == 1


def test_a_program_past_its_time_is_ended_with_its_children(machine, board):
    with pytest.raises(DeviceError, match=r"sh took longer than 0\.5 s"):
        machine.run(["sh", "-c", f"sleep {LONG} & sleep {LONG}"], timeout_s=0.5)
    assert not running(LONG)
    assert machine.run(["echo", "still here"], timeout_s=20).stdout == "still here\n"


def test_children_that_outlive_their_program_are_ended(machine):
    assert machine.run(["sh", "-c", f"sleep {LONG} >/dev/null 2>&1 & exit 3"], timeout_s=20).exit_code == 3
    assert not running(LONG)


def test_ctrl_c_ends_the_program_and_leaving_cleans_up(machine, board):
    def interrupted(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine.run(["sh", "-c", f"echo; sleep {LONG}"], timeout_s=60, on_line=interrupted)
    assert not running(LONG)
    machine.leave()
    assert board.left() == ()


def test_a_board_that_vanishes_in_a_run_is_an_error_and_cleans_itself(machine, board):
    with pytest.raises(DeviceError, match=r"connection to 127\.0\.0\.1 was lost"):
        machine.run(["sh", "-c", f"echo; exec sleep {LONG}"], timeout_s=60, on_line=lambda line: board.vanish())
    assert eventually(lambda: not running(LONG))
    assert eventually(lambda: board.left() == ())
    with pytest.raises(DeviceError, match="was lost"):
        machine.state()
    machine.leave()


def test_a_killed_edge_leaves_nothing_on_the_board(machine, board):
    script = f"from devices._ssh import SshMachine; SshMachine({board.which!r}).run(['sleep', {LONG!r}], timeout_s=60)"
    edge = subprocess.Popen([sys.executable, "-c", script])
    assert eventually(lambda: running(LONG))
    edge.kill()
    edge.wait()
    assert eventually(lambda: not running(LONG) and board.left() == ())


def test_a_board_that_stalls_is_given_up_after_the_time_limit(machine, board, monkeypatch):
    monkeypatch.setattr("devices._ssh.LEAVE_WITHIN_S", 0.5)
    monkeypatch.setattr("devices._ssh_connection.LEAVE_WITHIN_S", 0.5)
    stall = lambda line: board.signal_all(signal.SIGSTOP)  # noqa: E731
    with pytest.raises(DeviceError, match="took longer than 1 s"):
        machine.run(["sh", "-c", f"echo; exec sleep {LONG}"], timeout_s=1, on_line=stall)
    board.signal_all(signal.SIGCONT)
    assert eventually(lambda: not running(LONG) and board.left() == ())


def test_a_full_disk_is_an_error_and_no_half_file_stays(tmp_path, monkeypatch, home):
    (tmp_path / "board").mkdir()
    small = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(tmp_path / "board"))
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs root and a mount namespace")
    (tmp_path / "model").write_bytes(bytes(100_000))
    with Sshd.started(home, tmp_path / "board", within=small) as board:
        monkeypatch.setenv("PATH", f"{board.client()}:{os.environ['PATH']}")
        machine = SshMachine(board.which)
        with pytest.raises(DeviceError, match=r"does not take model \(100000 bytes\).*No space left"):
            machine.push(tmp_path / "model", machine.folder / "model")
        assert machine.run(["ls", "-A"], timeout_s=20).stdout == ""
        machine.leave()


def test_a_port_that_nobody_listens_on_is_an_error_with_a_hint(board):
    board.vanish()
    with pytest.raises(DeviceError, match="Connection refused") as refused:
        SshMachine(board.which).info()
    assert f"try ssh -p {board.port}" in refused.value.hint


def test_a_key_that_the_board_does_not_know_is_an_error_with_a_hint(board):
    (board.home / "user_key.pub").write_text("")
    with pytest.raises(DeviceError, match="Permission denied") as refused:
        SshMachine(board.which).info()
    assert "ssh-copy-id" in refused.value.hint


def test_an_unknown_board_is_never_trusted_silently(board):
    (board.home / "known_hosts").write_text("")
    with pytest.raises(DeviceError, match="Host key verification failed") as refused:
        SshMachine(board.which).info()
    assert "connect once by hand" in refused.value.hint
    assert (board.home / "known_hosts").read_text() == ""


def test_a_board_with_another_key_than_before_is_a_warning_not_a_recipe(board):
    other = (board.home / "user_key.pub").read_text()
    (board.home / "known_hosts").write_text(f"[127.0.0.1]:{board.port} {other}")
    with pytest.raises(DeviceError, match="Host key verification failed") as refused:
        SshMachine(board.which).info()
    assert "find out why" in refused.value.hint


def test_without_ssh_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainMissingError) as missing:
        SshMachine("board").info()
    assert "openssh-client" in missing.value.hint


def test_this_machine_behind_ssh_is_what_it_says_of_itself(machine, board):
    info = machine.info()
    assert (info.id, info.kind, info.state) == (f"linux:{board.which}", "linux", "ready")
    assert info.abi == os.uname().machine
    assert os.uname().release in info.os
