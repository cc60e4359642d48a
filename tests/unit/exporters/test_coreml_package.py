"""The manifest of an ML package is read without trusting it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import BadArtifactError
from exporters.coreml.package import LARGEST_MANIFEST_BYTES, MANIFEST, MODEL, inside, model_file


@pytest.fixture
def folder(tmp_path) -> Path:
    """A package whose model file is empty."""
    folder = tmp_path / "some.mlpackage"
    (folder / "Data" / MODEL).parent.mkdir(parents=True)
    (folder / "Data" / MODEL).touch()
    write(folder, MODEL)
    return folder


def write(folder: Path, path: object) -> None:
    manifest = {"itemInfoEntries": {"A": {"path": path}}, "rootModelIdentifier": "A"}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_the_manifest_says_where_the_model_is(folder):
    assert model_file(folder) == (folder / "Data" / MODEL).resolve()


@pytest.mark.parametrize(
    "path", ["../../outside", f"{MODEL}/../../../../outside", "/etc/passwd", "\0", "absent", 7, None]
)
def test_a_path_that_is_not_inside_is_refused(folder, path):
    (folder.parent / "outside").touch()
    write(folder, path)
    with pytest.raises(BadArtifactError):
        model_file(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"itemInfoEntries": 3}', '{"itemInfoEntries": {}, "rootModelIdentifier": "A"}',
             '{"itemInfoEntries": {"A": 1}, "rootModelIdentifier": []}', "[" * 100_000, "\udcff"],
)  # fmt: skip
def test_a_manifest_of_another_shape_is_refused(folder, text):
    (folder / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BadArtifactError):
        model_file(folder)


def test_a_huge_manifest_is_not_read(folder):
    with (folder / MANIFEST).open("wb") as file:
        file.truncate(LARGEST_MANIFEST_BYTES + 1)
    with pytest.raises(BadArtifactError, match="larger"):
        model_file(folder)


def test_a_link_inside_the_package_is_followed(folder):
    (folder / "Data" / "link").symlink_to(folder / "Data" / MODEL)
    assert inside(folder, "Data/link") == (folder / "Data" / MODEL).resolve()


def test_a_link_out_of_the_package_is_refused(folder):
    (folder / "Data" / "link").symlink_to(folder.parent)
    with pytest.raises(BadArtifactError, match="leads out"):
        inside(folder, "Data/link")


def test_a_link_to_itself_is_refused(folder):
    (folder / "Data" / "loop").symlink_to(folder / "Data" / "loop")
    with pytest.raises(BadArtifactError):
        inside(folder, "Data/loop")
