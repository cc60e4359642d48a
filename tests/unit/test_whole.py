"""Files and folders appear whole or not at all."""

from __future__ import annotations

import pytest

from edge import whole


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "model.bin"
    whole.write_text(path, "old")
    with pytest.raises(RuntimeError), whole.appearing(path) as staged:
        staged.write_text("half")
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["model.bin"]
    assert path.read_text() == "old"


def test_a_folder_replaces_a_folder(tmp_path):
    package = tmp_path / "model.mlpackage"
    for content in ("first", "second"):
        with whole.appearing(package) as staged:
            staged.mkdir()
            (staged / content).write_text(content)
    assert [file.name for file in package.iterdir()] == ["second"]
    assert [file.name for file in tmp_path.iterdir()] == ["model.mlpackage"]


def test_the_hash_of_a_folder_follows_names_and_contents(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("x")
    assert whole.sha256(first) == whole.sha256(second)
    (second / "deep" / "file").rename(second / "deep" / "other")
    assert whole.sha256(first) != whole.sha256(second)


def test_a_copy_has_the_bytes_and_the_size_of_its_source(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(bytes(1000))
    whole.copy(tmp_path / "a", tmp_path / "b")
    assert whole.sha256(tmp_path / "b") == whole.sha256(tmp_path / "a")
    assert whole.size(tmp_path / "b") == 1000
