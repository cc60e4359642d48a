"""The content-addressed store of exported files."""

from __future__ import annotations

import pytest

from edge import store


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    return path


def test_what_was_put_is_found_with_its_record(model_file):
    store.put(store.key({"model": "a"}), model_file, {"verdict": "ok"})
    path, record = store.find(store.key({"model": "a"}))
    assert path.read_bytes() == b"weights"
    assert record == {"verdict": "ok"}


def test_another_key_finds_nothing(model_file):
    store.put(store.key({"model": "a"}), model_file, {})
    assert store.find(store.key({"model": "b"})) is None


def test_a_damaged_entry_is_dropped(model_file):
    entry_key = store.key({"model": "a"})
    store.put(entry_key, model_file, {})
    store.find(entry_key)[0].write_bytes(b"weighty")
    assert store.find(entry_key) is None
    assert not (store.root() / entry_key[:2] / entry_key).exists()


def test_the_key_does_not_depend_on_the_order_of_its_parts():
    assert store.key({"a": 1, "b": 2}) == store.key({"b": 2, "a": 1})
