"""The metadata flatbuffer says what Task Library looks for, under the field numbers of its public schema."""

from __future__ import annotations

import dataclasses
import struct
import zipfile

import numpy as np
import pytest

from edge.spec import InputKind
from exporters._flatbuffer import Table
from exporters.tflite.metadata import append_labels, metadata
from tests.fakes import small_networks as nets

pytest.importorskip("flatbuffers")


def floats(table: Table, field: int) -> list[float]:
    return [struct.unpack("<f", struct.pack("<I", bits))[0] for bits in table.integers(field, "<I")]


def graph(kind: InputKind) -> Table:
    return Table.root(metadata(nets.classifier_card(kind)), b"M001").tables(3)[0]


def normalisation(kind: InputKind) -> Table:
    (unit,) = graph(kind).tables(2)[0].tables(4)
    assert unit.integer(0, "<B") == 1  # NormalizationOptions
    options = unit.table(1)
    assert options is not None
    return options


def test_the_model_is_named_and_licensed():
    model = Table.root(metadata(nets.classifier_card(InputKind.FLOAT)), b"M001")
    assert (model.text(0), model.text(5), model.text(7)) == ("classifier", "Apache-2.0", "1.0.0")


def test_a_float_input_is_normalised_in_units_of_bytes():
    options = normalisation(InputKind.FLOAT)
    np.testing.assert_allclose(floats(options, 0), [123.675, 116.28, 103.53], rtol=1e-6)
    np.testing.assert_allclose(floats(options, 1), [58.395, 57.12, 57.375], rtol=1e-6)


def test_a_picture_input_is_not_normalised_again():
    options = normalisation(InputKind.IMAGE)
    assert (floats(options, 0), floats(options, 1)) == ([0.0] * 3, [1.0] * 3)


def test_the_input_is_an_rgb_picture_with_its_range():
    picture = graph(InputKind.IMAGE).tables(2)[0]
    content, stats = picture.table(3), picture.table(5)
    assert content is not None
    assert stats is not None
    properties = content.table(1)
    assert properties is not None
    assert (content.integer(0, "<B"), properties.integer(0, "<B")) == (2, 1)  # ImageProperties, RGB
    assert (floats(stats, 0), floats(stats, 1)) == ([255.0] * 3, [0.0] * 3)


def test_the_output_names_the_label_file():
    (file,) = graph(InputKind.FLOAT).tables(3)[0].tables(6)
    assert (file.text(0), file.integer(2, "<b")) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_an_output_of_another_size_than_the_labels_names_none():
    card = dataclasses.replace(nets.classifier_card(InputKind.FLOAT), labels=("only", "two"))
    assert Table.root(metadata(card), b"M001").tables(3)[0].tables(3)[0].tables(6) == ()


def test_labels_behind_a_model_are_a_plain_zip_of_the_same_bytes_each_time(tmp_path):
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        path.write_bytes(b"a model" * 100)
        append_labels(path, ("cat", "größer"))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"a model")
    with zipfile.ZipFile(paths[0]) as bundle:
        assert bundle.read("labels.txt").decode() == "cat\ngrößer\n"
