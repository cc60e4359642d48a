"""The rewrites that every target runs first, in order."""

from __future__ import annotations

from edge.passes.bicubic_to_linear import bicubic_to_linear
from edge.passes.capture import Pass
from edge.passes.drop_aliases import drop_aliases
from edge.passes.drop_assertions import drop_assertions
from edge.passes.explicit_attention import explicit_attention
from edge.passes.fft_to_matmul import fft_to_matmul
from edge.passes.fold_batchnorm import fold_batchnorm
from edge.passes.fold_constants import fold_constants
from edge.passes.fold_to_convolution import fold_to_convolution
from edge.passes.inline_regions import inline_regions
from edge.passes.one_hot_to_compare import one_hot_to_compare
from edge.passes.roll_to_slice import roll_to_slice
from edge.passes.select_to_slice import select_to_slice
from edge.passes.squeeze_to_view import squeeze_to_view
from edge.passes.view_to_reshape import view_to_reshape

HYGIENE: tuple[Pass, ...] = (
    inline_regions,  # first: the others do not look inside a region
    drop_assertions,  # before folding: a check would count as a reader
    view_to_reshape,  # before whatever may lay memory out differently
    drop_aliases,  # before fold_batchnorm: dropout or an alias may stand between the two layers
    explicit_attention,
    bicubic_to_linear,
    fold_to_convolution,
    fft_to_matmul,
    one_hot_to_compare,
    roll_to_slice,
    select_to_slice,
    squeeze_to_view,
    fold_batchnorm,
    fold_constants,  # last: it also folds the masks and ranges that the others brought in
)
