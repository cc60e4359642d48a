"""Chromium runs our files: the host's numbers, every sample, each fault one of our errors, and no process left."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from devices._browser import chromium, server
from devices._browser.ask import Wanted, ask
from devices._browser.packages import Runtime, missing
from edge import plugins
from edge.errors import BadArtifactError, DeviceError, EdgeError, NotExecutableHereError
from edge.measurement import Source
from edge.protocol import TimingPlan
from edge.spec import Precision, Recipe
from edge.toolchain import installed_version

CHROMIUM = chromium.found()
TARGETS = ("onnx", "tflite")
QUICK = TimingPlan(warmup=0, runs=3, timeout_s=60)
SAME = 1e-5
"""Of the outputs' spread. The same kernels on another instruction set: sums in another order, fused or not."""
HALF = 1e-2
"""Of the spread; rounded to 11 bits in other places."""
WRAPPER = '#!/bin/sh\necho $$ >> "{log}"\nexec "{chromium}" "$@"\n'
GONE_WITHIN_S = 10.0

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: make device-tools"),
    pytest.mark.skipif(installed_version("playwright") is None, reason="no Playwright: pip install -e '.[browser]'"),
    pytest.mark.skipif(any(map(missing, Runtime)), reason="nothing for the page to run: make device-runtimes"),
]


@dataclass(frozen=True)
class Started:
    """The browsers that a test started: each is the leader of a session, and hands `mark` on in its environment."""

    log: Path
    mark: str

    def processes(self) -> dict[int, str]:
        """Those that run, with their command lines."""
        sessions = set(self.log.read_text().split()) if self.log.exists() else set()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                ours = session in sessions or (
                    self.mark.encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid()
                )
                if ours and state != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found


@pytest.fixture(autouse=True)
def started(tmp_path, monkeypatch):
    """What the test starts, of which nothing may stay: no process, no folder."""
    started = Started(tmp_path / "sessions", f"mark-{uuid.uuid4()}")
    wrapper, scratch = tmp_path / "chromium", tmp_path / "scratch"
    wrapper.write_text(WRAPPER.format(log=started.log, chromium=CHROMIUM))
    wrapper.chmod(0o755)
    scratch.mkdir()
    monkeypatch.setenv(chromium.CHOSEN, str(wrapper))
    monkeypatch.setenv("EDGE_TEST_BROWSER", started.mark)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield started
    deadline = time.monotonic() + GONE_WITHIN_S  # a helper of the browser ends by itself, a moment after it
    while started.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started.processes() == {}
    assert list(scratch.glob("edge-browser-*")) == []


@pytest.fixture
def page(tmp_path, monkeypatch) -> Callable[[str], None]:
    """`page(script)`: another page instead of ours."""

    def page(script: str) -> None:
        folder = tmp_path / "page"
        shutil.copytree(server.PAGE, folder)
        (folder / "page.js").write_text(script)
        monkeypatch.setattr(server, "PAGE", folder)

    return page


def outputs(path: Path, inputs: list[np.ndarray], log: Path, threads: int = 1) -> list[np.ndarray]:
    plan = TimingPlan(threads=threads, timeout_s=60)
    answer = ask(path, Wanted.OUTPUTS, plan, log=log, inputs=[each.tobytes() for each in inputs])
    return [np.frombuffer(base64.b64decode(each), np.float32) for each in answer.fields["outputs"]]


@pytest.mark.parametrize(("name", "threads"), [("classifier", 2), ("bytes", 1), ("several", 1)])
@pytest.mark.parametrize("target", TARGETS)
def test_the_browser_gives_the_hosts_numbers(target, name, threads, file_of, cases, tmp_path):
    path = file_of(name, Recipe(target))
    inputs = [each.numpy() for each in cases[name].inputs]
    wanted = plugins.exporter(target).load(path)(inputs)
    given = outputs(path, inputs, tmp_path / "log", threads)
    assert sorted(each.size for each in given) == sorted(each.size for each in wanted)
    by_size = {each.size: each for each in given}
    for each in wanted:
        assert np.abs(by_size[each.size] - each.ravel()).max() <= SAME * each.std()


@pytest.mark.parametrize("target", TARGETS)
def test_every_run_is_a_sample_and_says_what_measured_it(target, file_of, tmp_path):
    measured = plugins.device("browser").time(file_of("classifier", Recipe(target)), QUICK, log=tmp_path / "log")
    assert len(measured.samples_ms) == QUICK.runs
    assert min(measured.samples_ms) > 0
    assert measured.source is Source.MEASURED
    assert measured.runtime.startswith({"onnx": "onnxruntime-web 1.", "tflite": "LiteRT.js 2."}[target])
    assert measured.info == plugins.device("browser").attached()[0]
    assert measured.init_ms > 0
    assert measured.peak_rss_kb > 50_000  # an empty page has that much; the kernel counted it


def test_runs_shorter_than_the_clock_can_tell_are_timed_together(file_of, tmp_path):
    """The small file takes some 0.1 ms once the browser has compiled the runtime; the clock steps by 0.005 ms."""
    plan = TimingPlan(warmup=1, runs=3, timeout_s=60)
    answer = ask(file_of("classifier", Recipe("tflite")), Wanted.TIMES, plan, log=tmp_path / "log")
    steps = min(answer.fields["samplesMs"]) * answer.fields["runsPerSample"] / answer.fields["stepMs"]
    assert 0 < answer.fields["stepMs"] < 0.1  # what a page that is not isolated gets
    assert answer.fields["runsPerSample"] >= 1
    assert steps >= 50  # as planned: 100 by the quickest run of the warm-up


def test_onnxruntime_web_times_the_operators_in_order(file_of, tmp_path):
    times = plugins.device("browser").operators(file_of("classifier", Recipe("onnx")), QUICK, log=tmp_path / "log")
    kinds = [each.type.lower() for each in times]
    assert "conv" in kinds[0] or "conv" in kinds[1]
    assert any("softmax" in kind for kind in kinds)
    assert all(each.ms >= 0 and each.name for each in times)
    assert sum(each.ms for each in times) > 0


@pytest.mark.parametrize("target", TARGETS)
def test_a_half_precision_file_runs(target, file_of, cases, tmp_path):
    path = file_of("classifier", Recipe(target, Precision.FP16))
    inputs = [each.numpy() for each in cases["classifier"].inputs]
    (wanted,) = plugins.exporter(target).load(path)(inputs)
    (given,) = outputs(path, inputs, tmp_path / "log")
    assert np.abs(given - wanted.ravel()).max() <= HALF * wanted.std()


@pytest.mark.parametrize("target", TARGETS)
def test_a_damaged_file_is_refused_with_what_the_runtime_says(target, file_of, tmp_path):
    whole = file_of("classifier", Recipe(target))
    cut = tmp_path / f"cut\"'><b>;$(x){whole.suffix}"
    cut.write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(BadArtifactError, match="in the browser cannot read cut"):
        plugins.device("browser").time(cut, QUICK, log=tmp_path / "log")


def test_an_operator_that_the_runtime_does_not_know_is_named(tmp_path):
    from onnx import helper, save

    ends = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Strange", ["x"], ["y"], domain="ours")], "strange", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ours", 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "strange.onnx")
    with pytest.raises(NotExecutableHereError, match=r"ours:Strange.*is not a registered"):
        plugins.device("browser").time(tmp_path / "strange.onnx", QUICK, log=tmp_path / "log")


def test_an_error_that_the_page_does_not_catch_ends_the_wait(page, file_of, tmp_path):
    page("console.warn('on its way'); setTimeout(() => { throw new Error('lost'); }, 100);")
    with pytest.raises(DeviceError, match=r"the page failed: .*lost") as error:
        plugins.device("browser").time(file_of("classifier", Recipe("onnx")), QUICK, log=tmp_path / "log")
    assert "on its way" in error.value.hint


def test_an_error_while_running_is_the_devices(page, file_of, tmp_path):
    page("""await fetch("result", {method: "POST", body: '{"error": "out of memory", "stage": "running"}'});""")
    with pytest.raises(DeviceError, match=r"fails on small\.onnx: out of memory"):
        plugins.device("browser").time(file_of("classifier", Recipe("onnx")), QUICK, log=tmp_path / "log")


@pytest.mark.parametrize("script", ["for (;;);", "await new Promise(() => {});"], ids=["busy", "waiting"])
def test_a_page_that_hangs_is_stopped_at_its_time_limit(script, page, file_of, tmp_path):
    page(script)
    with pytest.raises(DeviceError, match="gave no answer within 2 s"):
        plan = TimingPlan(warmup=0, runs=1, timeout_s=2)
        plugins.device("browser").time(file_of("classifier", Recipe("onnx")), plan, log=tmp_path / "log")


@pytest.mark.parametrize("victim", ["--type=renderer", "--user-data-dir="])
def test_a_browser_that_crashes_is_one_of_our_errors(victim, page, file_of, started, tmp_path):
    page("console.log('running'); for (;;);")
    path, log = file_of("classifier", Recipe("onnx")), tmp_path / "log"

    def kill() -> None:
        while "running" not in (log.read_text() if log.exists() else ""):
            time.sleep(0.05)
        for pid, command in started.processes().items():
            if victim in command and "chrome_crashpad_handler" not in command:
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(DeviceError, match="the page is gone"):
        plugins.device("browser").time(path, QUICK, log=log)
    killer.join()


def test_a_browser_that_does_not_start_says_so(tmp_path, file_of, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no display >&2; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv(chromium.CHOSEN, str(broken))
    with pytest.raises(DeviceError, match="the browser does not start"):
        plugins.device("browser").time(file_of("classifier", Recipe("onnx")), QUICK, log=tmp_path / "log")


def test_a_session_that_is_killed_takes_its_browser_along(page, file_of, started, tmp_path):
    page("for (;;);")
    path = file_of("classifier", Recipe("onnx"))

    def kill() -> None:
        while not any("--type=renderer" in command for command in started.processes().values()):
            time.sleep(0.05)
        worker = next(pid for pid, command in started.processes().items() if "edge.worker" in command)
        os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(EdgeError, match="SIGKILL"):
        plugins.device("browser").time(path, QUICK, log=tmp_path / "log")
    killer.join()
