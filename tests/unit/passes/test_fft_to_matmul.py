"""Fourier transforms and the complex arithmetic between them, in real numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edge.errors import ConversionError
from edge.passes.fft_to_matmul import fft_to_matmul

ODD_AND_EVEN = [(2, 3, 6, 8), (2, 3, 5, 7)]


def _complex_operators(operators):
    return {
        name for name in operators if "fft" in name or "complex" in name or name in {"real", "imag", "view_as_real"}
    }


@pytest.mark.parametrize("shape", ODD_AND_EVEN)
@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
def test_a_spectrum_becomes_products_with_tables(rewritten, numbers, shape, norm):
    def forward(x):
        return torch.view_as_real(torch.fft.rfft2(x * 30, norm=norm))

    assert not _complex_operators(rewritten(forward, (numbers(*shape),), fft_to_matmul))


@pytest.mark.parametrize("shape", ODD_AND_EVEN)
@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
def test_a_picture_comes_back_from_any_half_spectrum(rewritten, numbers, shape, norm):
    def forward(real, imaginary):
        return torch.fft.irfft2(30 * torch.complex(real, imaginary), s=shape[-2:], norm=norm)

    half = (*shape[:-1], shape[-1] // 2 + 1)
    assert not _complex_operators(rewritten(forward, (numbers(*half), numbers(*half)), fft_to_matmul))


class Filter(nn.Module):
    """A global filter between token layers: (B, H, W, C), transformed over H and W, learned complex weights."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft2(x, dim=(1, 2), norm="ortho") * torch.view_as_complex(self.weight)
        rectified = torch.complex(spectrum.real.relu(), spectrum.imag)
        return torch.fft.irfft2((spectrum - rectified).contiguous(), s=x.shape[1:3], dim=(1, 2), norm="ortho")


def test_a_learned_filter_of_frequencies(rewritten, numbers):
    assert not _complex_operators(rewritten(Filter(numbers(6, 5, 4, 2)), (numbers(2, 6, 8, 4),), fft_to_matmul))


def test_another_complex_operator_is_refused(rewritten, numbers):
    with pytest.raises(ConversionError, match="complex"):
        rewritten(lambda x: torch.fft.rfft2(x).abs(), (numbers(2, 6, 8),), fft_to_matmul)


def test_a_transform_that_crops_is_refused(rewritten, numbers):
    with pytest.raises(ConversionError, match="crops"):
        rewritten(lambda x: torch.fft.rfft2(x, s=(4, 4)).real, (numbers(2, 6, 8),), fft_to_matmul)


def test_a_real_graph_stays_as_it_is(rewritten, numbers):
    assert rewritten(torch.tanh, (numbers(2, 3),), fft_to_matmul) == {"tanh": 1}
