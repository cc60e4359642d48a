"""EfficientViT M0-M5 (arXiv 2305.07027): sandwich blocks around cascaded group attention.

Unrelated to the linear-attention EfficientViT (b0-b3, l1-l3) of another group.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from edge.errors import UsageError
from edge.models.catalog import entry
from edge.models.efficientvit_config import VARIANTS, EfficientViTConfig
from edge.models.efficientvit_layers import (
    LocalWindowAttention,
    NormLinear,
    PatchEmbedding,
    SandwichBlock,
    Stage,
    Subsample,
)
from edge.models.fold import require_no_batchnorm
from edge.models.layers import ConvNorm, deploy_each, resize_bias_table
from edge.suggest import unknown


class EfficientViT(nn.Module):
    """The network in its training form: (B, 3, H, W) to (B, classes); keys are named as in timm.

    `image_size` (height, width) decides the attention windows; other sizes run too, with those windows.
    """

    def __init__(self, config: EfficientViTConfig, *, num_classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(config.widths[0], config.stem_convolutions)
        self.stages = nn.Sequential(*_stages(config, image_size))
        self.head = NormLinear(config.widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.patch_embed(x)).mean((2, 3)))

    def deploy(self) -> nn.Module:
        """The fast form for inference: every fold that is exact, and attention on channels-last tokens."""
        fast = nn.Sequential(self.patch_embed.deploy(), *deploy_each(self.stages), self.head.deploy()).eval()
        require_no_batchnorm(fast)
        return fast

    def fold_batchnorm(self) -> nn.Module:
        """The same network with batch norms folded into convolutions and classifier, and nothing else."""
        folded = copy.deepcopy(self).eval()
        for parent in list(folded.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ConvNorm | NormLinear):
                    setattr(parent, name, child.fold())
        require_no_batchnorm(folded)
        return folded

    def official_names(self) -> dict[str, str]:
        """Our key to the key of the authors' checkpoints, for every entry of the state dict."""
        return {key: _official_name(key) for key in self.state_dict()}

    def official_state(self) -> dict[str, Tensor]:
        """The state dict as the authors' code names it, with its index buffers."""
        state = {_official_name(key): value for key, value in self.state_dict().items()}
        indices = {key: value for key, value in self.named_buffers() if key.endswith(_INDEX)}
        return state | {_official_name(key): value for key, value in indices.items()}

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state` (our keys) for this network's windows: bias tables resized, index buffers left out."""
        own = self.state_dict()
        return {
            key: _for_window(value, own[key]) if key.endswith(_TABLE) and key in own else value
            for key, value in state.items()
            if not key.endswith(_INDEX)
        }


def build(name: str, *, num_classes: int | None = None, image_size: tuple[int, int] | None = None) -> EfficientViT:
    """The variant called `name` with fresh weights; `None` takes the catalog's value.

    Raises `UnknownNameError`, or `UsageError` for an image smaller than one patch.
    """
    if name not in VARIANTS:
        raise unknown("model", name, VARIANTS)
    config, row = VARIANTS[name], entry(name)
    size = image_size or (row.input_size, row.input_size)
    if min(size) < config.patch:
        raise UsageError(
            f"{name} cannot take images of {size[0]}x{size[1]} pixels",
            hint=f"its patches are {config.patch} pixels: both sides must be at least that",
        )
    return EfficientViT(config, num_classes=num_classes or row.num_classes, image_size=size)


_TABLE, _INDEX = ".attention_biases", ".attention_bias_idxs"

_LEAF = {"conv": "c", "linear": "l"}
"""The authors' names of what a layer with a batch norm wraps."""

_DOWNSAMPLE = {"res1": "0", "patchmerge": "1", "res2": "2"}
"""The authors count the three parts of a subsampling as the first blocks of the stage after it."""


def _stages(config: EfficientViTConfig, image_size: tuple[int, int]) -> list[Stage]:
    stages = []
    stage_values = zip(config.widths, config.depths, config.heads, config.windows(image_size), strict=True)
    for index, (width, depth, heads, window) in enumerate(stage_values):
        blocks = [
            SandwichBlock(width, LocalWindowAttention(width, config.key_width, heads, window, config.kernels))
            for _ in range(depth)
        ]
        stages.append(Stage(Subsample(config.widths[index - 1], width) if index else nn.Identity(), blocks))
    return stages


def _official_name(key: str) -> str:
    first, second, *rest = key.split(".")
    rest = [_LEAF.get(part, part) for part in rest]
    match first, rest:
        case "patch_embed", _:
            position = 2 * (int(second.removeprefix("conv")) - 1)
            return ".".join(("patch_embed", str(position), *rest))
        case "stages", ["blocks", index, *inner]:
            position = int(index) + (len(_DOWNSAMPLE) if int(second) else 0)
            return ".".join((f"blocks{int(second) + 1}", str(position), *inner))
        case "stages", [_, part, *inner]:
            return ".".join((f"blocks{int(second) + 1}", _DOWNSAMPLE[part], *inner))
        case _:
            return ".".join((first, _LEAF.get(second, second), *rest))


def _for_window(table: Tensor, own: Tensor) -> Tensor:
    """A bias table (heads, L·L) resized to the columns of our `own`, whose windows are square."""
    side = round(own.shape[1] ** 0.5)
    return resize_bias_table(table, (side, side))
