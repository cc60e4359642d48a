"""The browser as a device: what is missing is said with the way to get it, and the runtime's profile is read."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from devices._browser import chromium
from devices._browser.ask import Answer
from devices.browser import Browser
from edge.errors import DeviceError, NotExecutableHereError, ToolchainMissingError, UsageError
from edge.protocol import TimingPlan
from tests.fakes.eventually import becomes_true

PLAN = TimingPlan(warmup=0, runs=1)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(b"never opened")
    return path


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A Chromium by name, which tells its version."""
    path = tmp_path / "chromium"
    path.write_text("#!/bin/sh\necho Chromium 1.2.3.4 built on something 5\n")
    path.chmod(0o755)
    monkeypatch.setenv(chromium.CHOSEN, str(path))
    return path


def pretending(command):
    """A process that shows this command line."""
    return subprocess.Popen(["bash", "-c", 'exec -a "$0" sleep 60', command])


@pytest.mark.skipif(not chromium.PROCESSES.is_dir(), reason="no /proc here")
@pytest.mark.parametrize("last", ["", " --lang=en"])
def test_a_browser_ends_with_its_helpers_and_leaves_another_s_alone(tmp_path, last):
    own, other = tmp_path / "a b", tmp_path / "a"
    helper = f"chromium --type=utility --user-data-dir={chromium.profile(own)}{last}"
    ours, theirs = pretending(helper), pretending(helper.replace(str(own), str(other)))
    try:
        assert becomes_true(lambda: chromium._running(chromium.profile(own)) == [ours.pid])
        chromium.end(own)
        assert ours.wait(0) == -signal.SIGKILL
        assert theirs.poll() is None
    finally:
        for process in (ours, theirs):
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("name", "able"), [("a.onnx", True), ("a.tflite", True), ("a.pte", False), ("a.mlpackage", False)]
)
def test_files_are_known_by_their_names(name, able):
    assert Browser().can_run(Path(name)) is able


def test_a_browser_and_playwright_are_ready(program):
    (info,) = Browser().attached()
    assert (info.id, info.kind, info.state, info.model) == ("browser", "browser", "ready", "Chromium 1.2.3.4")


def test_a_browser_without_playwright_says_what_it_needs(program, model, monkeypatch, tmp_path):
    monkeypatch.setattr(chromium, "installed_version", lambda name: None)
    monkeypatch.setattr("devices.browser.installed_version", lambda name: None)
    assert [info.state for info in Browser().attached()] == ["needs playwright"]
    with pytest.raises(ToolchainMissingError) as error:
        Browser().time(model, PLAN, log=tmp_path / "log")
    assert "pip install 'edge-toolchain[browser]'" in error.value.hint


def test_without_a_browser_nothing_is_attached_and_the_way_to_get_one_is_said(model, monkeypatch, tmp_path):
    monkeypatch.delenv(chromium.CHOSEN, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "MAC", tmp_path / "none")
    assert Browser().attached() == ()
    with pytest.raises(ToolchainMissingError, match="no Chromium") as error:
        Browser().time(model, PLAN, log=tmp_path / "log")
    assert "apt-get install chromium" in error.value.hint


def test_a_chosen_browser_that_is_no_program_is_named(model, monkeypatch, tmp_path):
    monkeypatch.setenv(chromium.CHOSEN, str(tmp_path))
    with pytest.raises(ToolchainMissingError, match="which is no program"):
        Browser().time(model, PLAN, log=tmp_path / "log")


def test_a_file_of_another_kind_is_refused_with_those_that_run(tmp_path):
    path = tmp_path / "small.pte"
    path.touch()
    with pytest.raises(NotExecutableHereError) as error:
        Browser().time(path, PLAN, log=tmp_path / "log")
    assert ".onnx and .tflite" in error.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        Browser().time(tmp_path / "none.onnx", PLAN, log=tmp_path / "log")


def test_there_is_no_choice_of_browsers(model, tmp_path):
    with pytest.raises(DeviceError, match="none is 'firefox'"):
        Browser("firefox").time(model, PLAN, log=tmp_path / "log")


def test_litert_js_tells_no_operators(tmp_path):
    path = tmp_path / "small.tflite"
    path.touch()
    with pytest.raises(UsageError, match="does not tell the times"):
        Browser().operators(path, PLAN, log=tmp_path / "log")


def test_a_profile_that_cannot_be_read_is_the_devices_fault(model, tmp_path, monkeypatch):
    answer = Answer({"profile": "[1]"}, 1.0, 640, "1.2.3.4")
    monkeypatch.setattr("devices.browser.ask", lambda *_, **__: answer)
    with pytest.raises(DeviceError, match="cannot be read"):
        Browser().operators(model, PLAN, log=tmp_path / "log")


def test_only_root_goes_without_the_sandbox(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "--no-sandbox" not in chromium.arguments()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "--no-sandbox" in chromium.arguments()
