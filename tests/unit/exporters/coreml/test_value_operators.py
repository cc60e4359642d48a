"""Operators that move, index, sort, resize, list, hold and unpack values, where the meaning is easy to get wrong."""

from __future__ import annotations

import pytest
import torch

from edge.errors import BadArtifactError
from exporters.coreml.runtime.features import State
from exporters.coreml.runtime.ops import OPERATORS

COUNT = torch.arange(6.0).reshape(2, 3)
HUGE = torch.tensor(2**31 - 1)


def run(name, **operands):
    found = OPERATORS[name].compute(
        **{
            key: torch.tensor(value) if isinstance(value, int | float | list) else value
            for key, value in operands.items()
        }
    )
    return found.tolist() if isinstance(found, torch.Tensor) else found


def test_a_zero_in_a_shape_keeps_an_axis_counted_from_the_last():
    assert OPERATORS["reshape"].compute(torch.zeros(2, 50), torch.tensor([1, 0, -1, 0])).shape == (1, 1, 2, 50)


def test_a_negative_stride_runs_backwards():
    assert run("slice_by_index", x=COUNT, begin=[0, 2], end=[2, 0], stride=[1, -1]) == [[2.0, 1.0], [5.0, 4.0]]


def test_a_squeezed_axis_is_an_index_and_its_end_does_not_count():
    assert run("slice_by_index", x=COUNT, begin=[-1, 0], end=[0, 2], squeeze_mask=[True, False]) == [3.0, 4.0]


def test_an_update_lands_where_the_slice_would_read_and_leaves_its_operand():
    where = {"begin": [0, 2], "end": [2, 0], "stride": [1, -1]}
    written = OPERATORS["slice_update"].compute(
        COUNT,
        torch.tensor([[10.0, 11.0], [12.0, 13.0]]),
        **{name: torch.tensor(value) for name, value in where.items()},
    )
    assert run("slice_by_index", x=written, **where) == [[10.0, 11.0], [12.0, 13.0]]
    assert COUNT[0].tolist() == [0.0, 1.0, 2.0]


def test_the_place_in_a_block_counts_slowest_in_depth_to_space_and_fastest_in_pixel_shuffle():
    channels = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert run("depth_to_space", x=channels, block_size=2)[0][0] == [[0.0, 2.0], [4.0, 6.0]]
    assert run("pixel_shuffle", x=channels, upscale_factor=2)[0][0] == [[0.0, 1.0], [2.0, 3.0]]


@pytest.mark.parametrize(
    ("there", "back"), [("space_to_depth", "depth_to_space"), ("pixel_unshuffle", "pixel_shuffle")]
)
def test_blocks_come_back_from_the_channels(there, back):
    picture = torch.rand(2, 3, 4, 6)
    names = {"space_to_depth": "block_size", "depth_to_space": "block_size", "pixel_unshuffle": "downscale_factor"}
    moved = OPERATORS[there].compute(x=picture, **{names[there]: torch.tensor(2)})
    factor = {names.get(back, "upscale_factor"): torch.tensor(2)}
    assert torch.equal(OPERATORS[back].compute(x=moved, **factor), picture)


def test_blocks_come_back_from_the_batch():
    picture = torch.rand(2, 3, 4, 6)
    block, border = torch.tensor([2, 3]), torch.tensor([[1, 1], [0, 3]])
    moved = OPERATORS["space_to_batch"].compute(picture, block, border)
    assert moved.shape == (12, 3, 3, 3)
    assert torch.equal(OPERATORS["batch_to_space"].compute(moved, block, border), picture)


def test_reflection_goes_over_more_axes_than_torch_takes_at_once():
    x = torch.rand(3, 3, 3, 3)
    padded = OPERATORS["pad"].compute(x, torch.tensor([1, 0, 0, 1, 2, 0, 0, 2]), mode="reflect")
    assert padded.shape == (4, 4, 5, 5)
    assert torch.equal(padded[0, 3, 0, 4], x[1, 1, 2, 0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("update", [3.0, 9.0]), ("add", [3.0, 16.0]), ("sub", [3.0, -6.0]), ("mul", [3.0, 90.0]), ("div", [3.0, 5 / 18]),
     ("max", [3.0, 9.0]), ("min", [3.0, 2.0])],
)  # fmt: skip
def test_two_updates_of_one_place_both_count(mode, expected):
    found = run("scatter", data=[3.0, 5.0], indices=[1, -1], updates=[2.0, 9.0], mode=mode)
    assert found == pytest.approx(expected)


def test_a_negative_index_in_a_narrow_type_reaches_the_end_of_a_long_axis():
    assert run("gather", x=torch.arange(300.0), indices=torch.tensor([-1], dtype=torch.int8)) == [299.0]


def test_an_index_outside_is_refused_where_the_program_asks_for_a_check():
    with pytest.raises(ValueError, match="lies outside"):
        run("gather", x=[1.0, 2.0], indices=[-1], validate_indices=True)


@pytest.mark.parametrize("axis", [1, 2])
def test_shared_axes_of_a_gather_go_together(axis):
    x, indices = torch.rand(2, 3, 4), torch.tensor([[0, 2], [1, 1]])
    found = OPERATORS["gather"].compute(x, indices, torch.tensor(axis), batch_dims=torch.tensor(1))
    assert torch.equal(found, torch.stack([x[row].index_select(axis - 1, indices[row]) for row in range(2)]))


def test_of_equal_values_the_first_is_first_in_descending_order():
    assert run("argsort", x=[1.0, 2.0, 1.0, 2.0]) == [1, 3, 0, 2]


def test_a_sum_without_the_own_element_loses_no_precision():
    assert run("cumsum", x=[1.0, 1e9], exclusive=True, reverse=True) == [1e9, 0.0]


def test_suppression_within_a_class_spares_the_other_class():
    boxes = torch.tensor([[[0.0, 0.0, 2.0, 2.0], [0.1, 0.0, 2.0, 2.0], [0.0, 0.1, 2.0, 2.0]]])
    scores = torch.tensor([[[0.9, 0.0], [0.0, 0.8], [0.7, 0.0]]])
    settings = {"iou_threshold": 0.5, "score_threshold": 0.1, "max_boxes": 3}
    *_, places, counts = run(
        "non_maximum_suppression", boxes=boxes, scores=scores, per_class_suppression=True, **settings
    )
    assert (places.tolist(), counts.tolist()) == ([[0, 1, -1]], [2])
    *_, places, counts = run("non_maximum_suppression", boxes=boxes, scores=scores, **settings)
    assert (places.tolist(), counts.tolist()) == ([[0, -1, -1]], [1])


def test_nearest_takes_the_corner_when_upsampling_and_the_middle_when_resizing():
    line = torch.tensor([[[0.0, 1.0]]])
    assert run("upsample_nearest_neighbor", x=line, scale_factor_width=1.5) == [[[0.0, 0.0, 1.0]]]
    assert run("resize_nearest_neighbor", x=line, target_size_height=1, target_size_width=3) == [[[0.0, 1.0, 1.0]]]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("STRICT_ALIGN_CORNERS", [0, 0.25, 0.5, 0.75, 1]), ("DEFAULT", [0, 0.4, 0.8, 1, 1]),
     ("OFFSET_CORNERS", [0.1, 0.3, 0.5, 0.7, 0.9]), ("UNALIGN_CORNERS", [0, 0.1, 0.5, 0.9, 1])],
)  # fmt: skip
def test_a_bilinear_grid_is_the_documented_one(mode, expected):
    line = torch.tensor([[[0.0, 1.0]]])
    found = run("resize_bilinear", x=line, target_size_height=1, target_size_width=5, sampling_mode=mode)
    assert found[0][0] == pytest.approx(expected)


def test_a_single_point_between_aligned_corners_is_the_middle():
    line = torch.tensor([[[0.0, 1.0, 5.0]]])
    assert run("resize_bilinear", x=line, target_size_height=1, target_size_width=1, sampling_mode="ALIGN_CORNERS") == [
        [[1.0]]
    ]


def test_a_size_in_half_a_cell_is_rounded_in_float32():
    assert OPERATORS["upsample_bilinear"].compute(
        torch.zeros(1, 10, 1), scale_factor_height=torch.tensor(2.6)
    ).shape == (1, 26, 1)


@pytest.mark.parametrize(
    ("padding", "aligned"), [("constant", True), ("border", False), ("reflection", True), ("symmetric", False)]
)
@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
def test_resampling_is_what_torch_calls_grid_sampling(padding, aligned, sampling):
    x, grid = torch.rand(2, 3, 5, 4), torch.rand(2, 6, 7, 2) * 6 - 3
    found = OPERATORS["resample"].compute(
        x, grid, sampling, padding, torch.tensor(0.0), "normalized_minus_one_to_one", aligned
    )
    names = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}
    theirs = torch.nn.functional.grid_sample(x, grid, sampling, names[padding], align_corners=aligned)
    assert torch.allclose(found, theirs, atol=1e-5)


def test_a_transform_is_what_torch_calls_an_affine_grid():
    x, matrix = torch.rand(2, 3, 5, 4), torch.rand(2, 6) * 2 - 1
    settings = (
        torch.tensor(6),
        torch.tensor(7),
        "bilinear",
        "constant",
        torch.tensor(0.0),
        "normalized_minus_one_to_one",
        True,
    )
    grid = torch.nn.functional.affine_grid(matrix.reshape(2, 2, 3), [2, 3, 6, 7], align_corners=True)
    theirs = torch.nn.functional.grid_sample(x, grid, align_corners=True)
    assert torch.allclose(OPERATORS["affine"].compute(x, matrix, *settings), theirs, atol=1e-5)


@pytest.mark.parametrize(("opset", "expected"), [(15, 16.0), (16, 7.0)])
def test_a_crop_beyond_the_picture_clamps_in_ios_15_and_pads_afterwards(opset, expected):
    picture = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    roi = torch.tensor([5.0, 5.0, 6.0, 6.0]).reshape(1, 1, 4, 1, 1)
    found = OPERATORS["crop_resize"].compute(x=picture, roi=roi, pad_value=torch.tensor(7.0), opset=opset)
    assert found.tolist() == [[[[[expected]]]]]


def test_writing_to_a_list_leaves_the_list_that_was_there():
    before = OPERATORS["make_list"].compute((torch.tensor(2),), torch.tensor(1))
    after = OPERATORS["list_write"].compute(before, torch.tensor(2), torch.ones(2))
    assert (len(before), len(after)) == (1, 3)
    assert OPERATORS["list_gather"].compute(after, torch.tensor([2, 1])).tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_what_was_read_from_a_state_stays_when_the_state_is_written():
    state = State(torch.zeros(2))
    read = OPERATORS["read_state"].compute(state)
    OPERATORS["write_state"].compute(state, torch.ones(2))
    assert (read.tolist(), state.value.tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_a_rehearsal_leaves_the_state_as_it_is():
    state = State(torch.zeros(2))
    with pytest.raises(NotImplementedError):
        OPERATORS["write_state"].compute(state, torch.ones(2, device="meta"))
    assert state.value.tolist() == [0.0, 0.0]


def test_six_bit_indices_straddle_bytes_from_the_lowest_bit():
    packed = torch.tensor([0b01_000001, 0b0011_0000, 0b000100_00], dtype=torch.uint8)
    lut = torch.arange(64.0)
    assert run("constexpr_lut_to_dense", indices=packed, lut=lut, shape=[4]) == [1.0, 1.0, 3.0, 4.0]


def test_each_block_of_indices_has_its_own_table():
    indices = torch.tensor([[2, 3], [0, 1]], dtype=torch.uint8)
    lut = torch.arange(8.0).reshape(2, 1, 4, 1)
    assert run("constexpr_lut_to_dense", indices=indices, lut=lut) == [[2.0, 3.0], [4.0, 5.0]]


def test_the_numbers_of_a_table_entry_lie_along_the_vector_axis():
    indices = torch.tensor([[0, 1]], dtype=torch.uint8)
    lut = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    assert run("constexpr_lut_to_dense", indices=indices, lut=lut, vector_axis=0) == [[1.0, 3.0], [2.0, 4.0]]
    assert run("constexpr_lut_to_dense", indices=indices, lut=lut, vector_axis=1) == [[1.0, 2.0, 3.0, 4.0]]


def test_each_block_has_its_own_scale_and_offset():
    data = torch.tensor([[1, 2, 3, 4]], dtype=torch.int8)
    found = run("constexpr_blockwise_shift_scale", data=data, scale=[[2.0, 10.0]], offset=[[1, 3]])
    assert found == [[0.0, 2.0, 0.0, 10.0]]


def test_a_mask_of_bits_says_where_the_values_go():
    mask = torch.tensor([0b01100], dtype=torch.uint8)
    assert run("constexpr_sparse_to_dense", nonzero_data=[5.0, 6.0], mask=mask, shape=[5]) == [0.0, 0.0, 5.0, 6.0, 0.0]


def test_fewer_values_than_the_mask_has_places_are_refused():
    with pytest.raises(ValueError, match="1 values for 2 places"):
        run("constexpr_sparse_to_dense", nonzero_data=[5.0], mask=torch.tensor([1, 1], dtype=torch.uint8))


def test_sparse_indices_give_the_mask_and_the_values_of_the_dense_weight():
    mask = torch.tensor([[1, 0], [0, 1]], dtype=torch.uint8)
    lut = torch.tensor([[2.0, 20.0], [3.0, 30.0]]).reshape(1, 1, 2, 2)
    indices = torch.tensor([1, 0], dtype=torch.uint8)
    wider, values = run(
        "constexpr_lut_to_sparse", indices_mask=mask, indices_nonzero_data=indices, lut=lut, vector_axis=0
    )
    assert run("constexpr_sparse_to_dense", nonzero_data=values, mask=wider) == [
        [3.0, 0.0],
        [30.0, 0.0],
        [0.0, 2.0],
        [0.0, 20.0],
    ]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tile", {"x": [[1.0]], "reps": [2**20, 2**20]}),
        ("pad", {"x": [[1.0]], "pad": [0, 2**20, 0, 2**20]}),
        ("fill", {"shape": [2**20, 2**20], "value": 3.0}),
        ("range_1d", {"start": 0, "end": HUGE, "step": 1}),
        ("one_hot", {"indices": [0, 1], "one_hot_vector_size": HUGE}),
        ("upsample_bilinear", {"x": [[[1.0]]], "scale_factor_height": 1e6, "scale_factor_width": 1e6}),
        ("upsample_nearest_neighbor", {"x": [[[1.0]]], "scale_factor_height": 1e6, "scale_factor_width": 1e6}),
        ("resize_nearest_neighbor", {"x": [[[1.0]]], "target_size_height": HUGE, "target_size_width": HUGE}),
        ("resize_bilinear", {"x": [[[1.0]]], "target_size_height": HUGE, "target_size_width": HUGE}),
        ("resize", {"x": [[1.0]], "shape": [2**20, 2**20], "resized_dims": 2}),
        ("make_list", {"elem_shape": (HUGE, HUGE)}),
        ("constexpr_lut_to_dense", {"indices": [0], "lut": [0.0, 1.0], "shape": [2**20, 2**20]}),
    ],
)  # fmt: skip
def test_an_absurd_size_is_refused_before_anything_is_allocated(name, settings):
    with pytest.raises(BadArtifactError, match="is asked for"):
        run(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("pad", {"pad": torch.tensor([1, 1, 2, 2]), "mode": "reflect"}, (2, 3, 6, 9)),
        ("tile", {"reps": torch.tensor([1, 2, 1, 2])}, (2, 6, 4, 10)),
        ("slice_by_index", {"begin": torch.tensor([0] * 4), "end": torch.tensor([2, 3, 2, 4])}, (2, 3, 2, 4)),
        ("gather", {"indices": torch.tensor([[0, 1]]), "axis": torch.tensor(-1)}, (2, 3, 4, 1, 2)),
        ("gather_nd", {"indices": torch.tensor([[0, 1]]), "validate_indices": True}, (1, 4, 5)),
        ("resize_bilinear", {"target_size_height": torch.tensor(8), "target_size_width": torch.tensor(2)}, (2, 3, 8, 2)),
        ("resize", {"shape": torch.tensor([0, 7]), "resized_dims": torch.tensor(2)}, (2, 3, 4, 7)),
        ("crop_resize", {"boxes": torch.rand(2, 4), "target_width": torch.tensor(6), "opset": 17}, (2, 3, 1, 6)),
        ("argsort", {}, (2, 3, 4, 5)),
        ("cumsum", {"exclusive": True}, (2, 3, 4, 5)),
        ("reverse_sequence", {"lengths": torch.tensor([1, 2])}, (2, 3, 4, 5)),
    ],
)  # fmt: skip
def test_an_operator_can_be_rehearsed_on_shapes_alone(name, settings, shape):
    x = torch.empty(2, 3, 4, 5, device="meta")
    assert OPERATORS[name].compute(x, **settings).shape == shape
