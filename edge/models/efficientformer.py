"""EfficientFormer (arXiv 2206.01191): convolutional blocks that pool, then attention over the tokens of the last stage."""

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.catalog import entry
from edge.models.efficientformer_attention import Attention
from edge.models.efficientformer_config import VARIANTS, EfficientFormerConfig
from edge.models.efficientformer_parts import (
    Distilled,
    DropPath,
    LayerScale,
    LayerScale2d,
    Residual,
    drop_path_rates,
)
from edge.models.fold import fold_conv_bn, fold_layer_norm_affine, require_no_batchnorm, scale_outputs
from edge.models.layers import MeanHead, deploy_each
from edge.models.stage_maps import MapSize, stage_maps
from edge.suggest import unknown


def build(name: str, *, num_classes: int | None = None, image_size: MapSize | None = None) -> EfficientFormer:
    """The variant called `name`, freshly initialised; `image_size` is (height, width), None takes the catalog's.

    Raises `UnknownNameError`, and `UsageError` for an image smaller than one place of the last stage.
    """
    if name not in VARIANTS:
        raise unknown("EfficientFormer", name, VARIANTS)
    row = entry(name)
    return EfficientFormer(
        VARIANTS[name],
        num_classes=row.num_classes if num_classes is None else num_classes,
        image_size=(row.input_size, row.input_size) if image_size is None else image_size,
    )


class EfficientFormer(Distilled):
    """Pictures (B, 3, H, W) to logits (B, classes), or while training to the pair of both heads' logits.

    The state dict has timm's names.
    """

    OFFICIAL_NAMES = (
        ("stem.conv1.", "patch_embed.0."),
        ("stem.norm1.", "patch_embed.1."),
        ("stem.conv2.", "patch_embed.3."),
        ("stem.norm2.", "patch_embed.4."),
        *((f"stages.{s}.blocks.", f"network.{2 * s}.") for s in range(4)),
        *((f"stages.{s}.downsample.conv.", f"network.{2 * s - 1}.proj.") for s in range(1, 4)),
        *((f"stages.{s}.downsample.norm.", f"network.{2 * s - 1}.norm.") for s in range(1, 4)),
        (".ls1.gamma", ".layer_scale_1"),
        (".ls2.gamma", ".layer_scale_2"),
        ("head_dist.", "dist_head."),
    )

    def __init__(self, config: EfficientFormerConfig, *, num_classes: int, image_size: MapSize) -> None:
        super().__init__()
        self.config = config
        tokens_map = stage_maps(image_size, config.stem_strides)[-1]
        rates = drop_path_rates(config.drop_path, config.depths)
        self.stem = Stem(config.widths[0], config.stem_strides)
        self.stages = nn.Sequential(*(Stage(config, number, rates[number], tokens_map) for number in range(4)))
        self.norm = nn.LayerNorm(config.widths[-1])
        self._add_heads(config.widths[-1], num_classes)
        self._initialise_linears()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.classify(self.norm(self.stages(self.stem(x))).mean(1))

    def fold_batchnorm(self) -> EfficientFormer:
        """An inference copy with every batch norm folded into the convolution before it, and nothing else changed."""
        folded = deepcopy(self).eval()
        for module in folded.modules():
            if isinstance(module, NormedConvs):
                module.fold_in_place()
        require_no_batchnorm(folded)
        return folded

    def deploy(self) -> nn.Module:
        """The fast inference form: (B, 3, H, W) to (B, classes), for the image size the network was built for.

        Batch norms, layer scales, the affine halves of layer norms, the query scale and the pair of heads are folded
        into neighbours, and attention biases are constants.
        """
        norm, classifier = fold_layer_norm_affine(self.norm, self.averaged_head())
        deployed = nn.Sequential(
            self.stem.deploy(), *deploy_each(self.stages), norm, ToMap(), MeanHead(classifier)
        ).eval()
        require_no_batchnorm(deployed)
        return deployed


class NormedConvs(nn.Module):
    """A module with convolutions `FOLDS`, each followed by its own batch norm: pairs of attribute names."""

    FOLDS: ClassVar[tuple[tuple[str, str], ...]]

    def folded(self) -> list[nn.Conv2d]:
        """The convolutions with their batch norms folded in."""
        return [_folded(getattr(self, conv), getattr(self, norm)) for conv, norm in self.FOLDS]

    def fold_in_place(self) -> None:
        for (conv, norm), folded in zip(self.FOLDS, self.folded(), strict=True):
            setattr(self, conv, folded)
            setattr(self, norm, nn.Identity())


def _folded(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """Both as one convolution; a network that is folded already has no norm left."""
    return fold_conv_bn(conv, norm) if isinstance(norm, nn.BatchNorm2d) else deepcopy(conv)


class Stem(NormedConvs):
    """Two 3x3 convolutions with ReLU: (B, 3, H, W) to (B, C, H/s, W/s), s the product of their strides."""

    FOLDS = (("conv1", "norm1"), ("conv2", "norm2"))

    def __init__(self, channels: int, strides: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels // 2, 3, strides[0], 1)
        self.norm1 = nn.BatchNorm2d(channels // 2)
        self.conv2 = nn.Conv2d(channels // 2, channels, 3, strides[1], 1)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))

    def deploy(self) -> nn.Module:
        conv1, conv2 = self.folded()
        return nn.Sequential(conv1, nn.ReLU(), conv2, nn.ReLU())


class Downsample(NormedConvs):
    """A 3x3 convolution of stride 2: (B, C, H, W) to (B, C', H/2, W/2), rounded up."""

    FOLDS = (("conv", "norm"),)

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 3, 2, 1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))

    def deploy(self) -> nn.Module:
        (conv,) = self.folded()
        return conv


class Stage(nn.Module):
    """A transition (but before the first stage) and blocks; the last stage changes from maps to tokens on its way."""

    def __init__(self, config: EfficientFormerConfig, number: int, rates: list[float], tokens_map: MapSize) -> None:
        super().__init__()
        channels = config.widths[number]
        self.downsample = Downsample(config.widths[number - 1], channels) if number else nn.Identity()
        if number < 3:
            self.blocks = nn.Sequential(*(PoolBlock(config, channels, rate) for rate in rates))
            return
        first = len(rates) - config.token_blocks
        self.blocks = nn.Sequential(
            *(PoolBlock(config, channels, rate) for rate in rates[:first]),
            ToTokens(),
            *(TokenBlock(config, channels, rate, tokens_map) for rate in rates[first:]),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))

    def deploy(self) -> nn.Module:
        transition = [self.downsample.deploy()] if isinstance(self.downsample, Downsample) else []
        return nn.Sequential(*transition, *deploy_each(self.blocks))


class PoolMixer(nn.Module):
    """How the mean of the 3x3 neighbourhood, counting real places only, differs from the place itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) - x


class ConvMlp(NormedConvs):
    """A hidden layer per place, as 1x1 convolutions: (B, C, H, W) to the same."""

    FOLDS = (("fc1", "norm1"), ("fc2", "norm2"))

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.norm2 = nn.BatchNorm2d(channels)
        for conv in (self.fc1, self.fc2):
            nn.init.trunc_normal_(conv.weight, std=0.02)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(self.fc1(x)))
        return self.norm2(self.fc2(x))


class PoolBlock(nn.Module):
    """The paper's MB4D: pooling mixes neighbours, an MLP mixes channels; (B, C, H, W) to the same."""

    def __init__(self, config: EfficientFormerConfig, channels: int, drop_path: float) -> None:
        super().__init__()
        self.token_mixer = PoolMixer()
        self.ls1 = LayerScale2d(channels, config.layer_scale)
        self.mlp = ConvMlp(channels, channels * config.mlp_ratio)
        self.ls2 = LayerScale2d(channels, config.layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.ls1(self.token_mixer(x)))
        return x + self.drop_path(self.ls2(self.mlp(x)))

    def deploy(self) -> nn.Module:
        """Pooling keeps its scale: as one depthwise convolution it would be wrong at the borders."""
        fc1, fc2 = self.mlp.folded()
        mlp = Residual(fc1, nn.GELU(), scale_outputs(fc2, self.ls2.gamma))
        return nn.Sequential(Residual(self.token_mixer, self.ls1.deploy()), mlp)


class ToTokens(nn.Module):
    """(B, C, H, W) to (B, H·W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])

    def deploy(self) -> nn.Module:
        return self


class ToMap(nn.Module):
    """(B, N, C) to (B, C, 1, N), which a channels-last runtime does without moving a byte."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.reshape(tokens.shape[0], 1, *tokens.shape[1:]).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """A hidden layer per token: (B, N, C) to the same."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class TokenBlock(nn.Module):
    """The paper's MB3D: attention mixes tokens, an MLP mixes channels; (B, N, C) to the same."""

    def __init__(self, config: EfficientFormerConfig, channels: int, drop_path: float, tokens_map: MapSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.token_mixer = Attention(
            channels, tokens_map, heads=config.heads, key_dim=config.key_dim, value_dim=config.value_dim
        )
        self.ls1 = LayerScale(channels, config.layer_scale)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, channels * config.mlp_ratio)
        self.ls2 = LayerScale(channels, config.layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.ls1(self.token_mixer(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))

    def deploy(self) -> nn.Module:
        attention = Residual(self.token_mixer.deploy(self.norm1, self.ls1.gamma))
        norm, fc1 = fold_layer_norm_affine(self.norm2, self.mlp.fc1)
        mlp = Residual(norm, fc1, nn.GELU(), scale_outputs(self.mlp.fc2, self.ls2.gamma))
        return nn.Sequential(attention, mlp)
