"""What builds our runner and where its library comes from: each thing that is missing is said with the way to get it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from devices._runners import native, runtime
from devices._runners.target import Target, target_of
from edge.device_state import DeviceInfo
from edge.errors import ToolchainMissingError

COMPILER = """#!/bin/sh
if [ "$1" = --version ]; then echo "fakecc 1.0"; exit; fi
echo "$@" >> "{log}"
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler of arm64 that writes down its arguments; the log."""
    folder, log = tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    path = folder / "aarch64-linux-gnu-gcc"
    path.write_text(COMPILER.format(log=log))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setitem(native.COMPILERS, Target.LINUX_ARM64, ("aarch64-linux-gnu-gcc",))
    return log


def of(kind: str, abi: str) -> Target:
    return target_of(DeviceInfo("one", kind, "ready", abi=abi))


def test_the_kind_and_the_abi_decide_the_target():
    assert of("android", "arm64-v8a") is Target.ANDROID_ARM64
    assert of("linux", "aarch64") is of("linux", "arm64") is Target.LINUX_ARM64
    assert of("linux", "x86_64") is Target.LINUX_X86_64


def test_the_runner_is_built_once(compiler):
    first, second = native.built(Target.LINUX_ARM64), native.built(Target.LINUX_ARM64)
    assert first == second
    assert first.read_text() == "built\n"
    assert len(compiler.read_text().splitlines()) == 1


def test_another_compiler_builds_again(compiler, tmp_path):
    first = native.built(Target.LINUX_ARM64)
    path = tmp_path / "bin" / "aarch64-linux-gnu-gcc"
    path.write_text(path.read_text().replace("fakecc 1.0", "fakecc 2.0"))
    assert native.built(Target.LINUX_ARM64) != first


def test_a_compiler_that_fails_leaves_nothing_and_shows_its_words(compiler, tmp_path):
    path = tmp_path / "bin" / "aarch64-linux-gnu-gcc"
    path.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "fakecc 1.0" && exit\necho "dlfcn.h: fatal error"; exit 1\n'
    )
    with pytest.raises(ToolchainMissingError, match=r"dlfcn\.h: fatal error"):
        native.built(Target.LINUX_ARM64)
    assert not list(native.cache().rglob(native.NAME))


def test_a_missing_compiler_names_its_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(native.COMPILERS, Target.LINUX_ARM64, ("aarch64-linux-gnu-gcc",))
    with pytest.raises(ToolchainMissingError) as caught:
        native.built(Target.LINUX_ARM64)
    assert "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross" in caught.value.hint


def test_android_needs_an_ndk(tmp_path, monkeypatch):
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    with pytest.raises(ToolchainMissingError, match="ANDROID_NDK_HOME names none"):
        native.built(Target.ANDROID_ARM64)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(ToolchainMissingError, match="has no aarch64-linux-android24-clang"):
        native.built(Target.ANDROID_ARM64)


def test_the_ndk_s_compiler_is_found_by_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "toolchains" / "llvm" / "prebuilt" / "linux-x86_64" / "bin"
    folder.mkdir(parents=True)
    clang = folder / "aarch64-linux-android24-clang"
    clang.write_text(COMPILER.format(log=tmp_path / "log"))
    clang.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    assert native.built(Target.ANDROID_ARM64).read_text() == "built\n"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_source_has_no_warning(tmp_path):
    strict = ("-Werror", "-Wpedantic", "-Wshadow", "-Wformat=2")
    command = ["gcc", *native.FLAGS, *strict, str(native.SOURCE), "-o", str(tmp_path / "runner"), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--model and --library are needed"),
        (("--runs", "0"), "--runs is 0, not a number from 1"),
        (("--runs", "-3"), "--runs is -3"),
        (("--runs", "99999999999999999999"), "not a number"),
        (("--runs", "5x"), "--runs is 5x"),
        (("--warmup", ""), "--warmup is , not a number"),
        (("--threads", "257"), "--threads is 257, not a number from 1 to 256"),
        (("--model",), "without its value"),
        (("--what",), "not an option"),
        (("--model", "a", "--library", "b", "c"), "what is c?"),
        (("--input", "x") * 65, "more than 64 inputs"),
        (("--model", 'a"\\\n\xff', "--library", "/no/such.so"), "cannot open shared object"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(tmp_path_factory, arguments, words):
    import json

    path = tmp_path_factory.getbasetemp() / "edge_runner"
    if not path.exists():
        subprocess.run(["gcc", *native.FLAGS, str(native.SOURCE), "-o", str(path), "-ldl"], check=True)
    done = subprocess.run([str(path), *arguments], capture_output=True, check=False)
    said = json.loads(done.stdout)
    assert words in said["error"]
    assert done.returncode == (3 if said["stage"] == "library" else 2)


def test_another_release_of_the_wheel_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, "installed_version", lambda name: "2.4.0")
    with pytest.raises(ToolchainMissingError, match=r"LiteRT 2\.4\.0; our runner knows 2\.3") as caught:
        runtime.runtime(Target.LINUX_X86_64)
    assert "pip install 'ai-edge-litert==2.3.*'" in caught.value.hint


def test_a_missing_wheel_for_arm64_says_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(runtime, "installed_version", lambda name: "2.3.0")
    monkeypatch.setattr(runtime, "_here", lambda: Target.LINUX_X86_64)
    with pytest.raises(ToolchainMissingError) as caught:
        runtime.runtime(Target.LINUX_ARM64)
    assert f"{sys.executable} -m pip download" in caught.value.hint
    assert "manylinux_2_27_aarch64" in caught.value.hint


def test_a_wheel_in_the_cache_is_unpacked_once(monkeypatch):
    monkeypatch.setattr(runtime, "installed_version", lambda name: "2.3.0")
    monkeypatch.setattr(runtime, "_here", lambda: Target.LINUX_X86_64)
    wheels = native.cache() / "wheels"
    wheels.mkdir(parents=True)
    with zipfile.ZipFile(wheels / "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl", "w") as wheel:
        wheel.writestr("ai_edge_litert/libLiteRt.so", b"library")
    found = runtime.runtime(Target.LINUX_ARM64)
    assert (found.path.read_bytes(), found.version) == (b"library", "2.3.0")
    assert runtime.runtime(Target.LINUX_ARM64) == found


@pytest.mark.parametrize("name", [None, "litert.aar", "litert-2.3.0.aar"])
def test_android_s_library_comes_from_an_archive_that_is_there(tmp_path, monkeypatch, name):
    if name is None:
        monkeypatch.delenv(runtime.ANDROID, raising=False)
    else:
        monkeypatch.setenv(runtime.ANDROID, str(tmp_path / name))
    with pytest.raises(ToolchainMissingError, match="comes from LiteRT's archive") as caught:
        runtime.runtime(Target.ANDROID_ARM64)
    assert "com.google.ai.edge.litert" in caught.value.hint


def archive(folder: Path, name: str, member: str) -> str:
    with zipfile.ZipFile(folder / name, "w") as opened:
        opened.writestr(member, b"bionic")
    return str(folder / name)


def test_android_s_library_is_taken_out_of_the_archive(tmp_path, monkeypatch):
    monkeypatch.setenv(runtime.ANDROID, archive(tmp_path, "litert-2.3.1.aar", "jni/arm64-v8a/libLiteRt.so"))
    found = runtime.runtime(Target.ANDROID_ARM64)
    assert (found.path.read_bytes(), found.version) == (b"bionic", "2.3.1")


def test_an_archive_of_another_release_or_without_the_library_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(runtime.ANDROID, archive(tmp_path, "litert-2.1.0.aar", "jni/arm64-v8a/libLiteRt.so"))
    with pytest.raises(ToolchainMissingError, match=r"LiteRT 2\.1\.0"):
        runtime.runtime(Target.ANDROID_ARM64)
    monkeypatch.setenv(runtime.ANDROID, archive(tmp_path, "litert-2.3.0.aar", "jni/x86_64/libLiteRt.so"))
    with pytest.raises(ToolchainMissingError, match="holds no jni/arm64-v8a"):
        runtime.runtime(Target.ANDROID_ARM64)
