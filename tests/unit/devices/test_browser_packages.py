"""What npm brings is checked against the lock, and only the locked files are written, where we say."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from devices._browser import packages
from devices._browser.packages import Package, Runtime
from edge.errors import ToolchainMissingError

NPM = """#!/bin/sh
echo "$@" >> "{log}"
cp "{archive}" "$5/one-1.0.0.tgz"
"""


def archive_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        for member, contents in members:
            member.size = len(contents)
            opened.addfile(member, io.BytesIO(contents))
    return path


def file(name: str, contents: bytes = b"contents") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), contents


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def package_of(archive: Path, *files: str) -> Package:
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    return Package("@scope/one", "1.0.0", "MIT", integrity, files)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """`npm(archive, *files)`: an npm that brings the archive as a runtime's only package; the log of its arguments."""

    def npm(archive: Path, *files: str, integrity: str = "") -> Path:
        folder, log = tmp_path / "bin", tmp_path / "log"
        folder.mkdir()
        (folder / "npm").write_text(NPM.format(log=log, archive=archive))
        (folder / "npm").chmod(0o755)
        package = package_of(archive, *files)
        if integrity:
            package = Package(package.name, package.version, package.licence, integrity, files)
        monkeypatch.setattr(packages, "locked", lambda runtime: (package,))
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return log

    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    return npm


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_only_the_files_of_the_lock_are_brought_and_only_once(npm, tmp_path):
    archive = archive_of(tmp_path / "one.tgz", file("package/dist/a.js", b"a"), file("package/b.js"))
    log = npm(archive, "dist/a.js")
    found = packages.bring(Runtime.LITERT)
    assert packages.bring(Runtime.LITERT) == found
    assert {name: path.read_bytes() for name, path in found.items()} == {"@scope/one/dist/a.js": b"a"}
    assert len(everything(tmp_path / "cache")) == 1
    assert [line.split()[:3] for line in log.read_text().splitlines()] == [
        ["pack", "@scope/one@1.0.0", "--ignore-scripts"]
    ]


def test_contents_that_are_not_those_of_the_lock_leave_nothing(npm, tmp_path):
    npm(archive_of(tmp_path / "one.tgz", file("package/a.js")), "a.js", integrity="sha512-AAAA")
    with pytest.raises(ToolchainMissingError, match="is not what edge was tested with"):
        packages.bring(Runtime.LITERT)
    assert everything(tmp_path / "cache") == set()


@pytest.mark.parametrize(
    "member",
    [
        link("package/a.js", "/etc/passwd"),
        link("package/a.js", "../../../../etc/passwd"),
        link("package/a.js", "/etc/passwd", tarfile.LNKTYPE),
        file("package/../package/a.js"),
        file("../a.js"),
        file("/a.js"),
        file("a.js"),
    ],
    ids=lambda member: f"{member[0].name} {member[0].linkname}".strip(),
)
def test_no_name_or_link_in_an_archive_decides_a_path(npm, tmp_path, member):
    npm(archive_of(tmp_path / "one.tgz", member), "a.js")
    with pytest.raises(ToolchainMissingError, match=r"holds no file a\.js"):
        packages.bring(Runtime.LITERT)
    assert everything(tmp_path / "cache") == set()


def test_without_npm_the_way_to_get_the_runtimes_is_said(npm, tmp_path, monkeypatch):
    npm(archive_of(tmp_path / "one.tgz", file("package/a.js")), "a.js")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainMissingError, match="there is no npm") as error:
        packages.bring(Runtime.LITERT)
    assert "python -m devices._browser" in error.value.hint


def test_an_npm_without_network_is_quoted(npm, tmp_path):
    npm(archive_of(tmp_path / "one.tgz", file("package/a.js")), "a.js")
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2; exit 1\n")
    with pytest.raises(ToolchainMissingError, match="could not bring @scope/one") as error:
        packages.bring(Runtime.LITERT)
    assert "ENOTFOUND" in error.value.hint
    assert everything(tmp_path / "cache") == set()


@pytest.mark.parametrize("runtime", Runtime)
def test_the_lock_names_exact_versions_and_whole_hashes(runtime):
    for package in packages.locked(runtime):
        assert package.version.replace(".", "").isdigit()
        assert len(base64.b64decode(package.integrity.removeprefix("sha512-"), validate=True)) == 64
        assert all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in package.files)
