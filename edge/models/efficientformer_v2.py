"""EfficientFormerV2 (arXiv 2212.08059): one kind of convolutional block throughout, attention in the last two stages."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor, nn

from edge.models.catalog import entry
from edge.models.efficientformer_parts import (
    BIAS_TABLE,
    INDEX_BUFFER,
    BiasedAttention,
    Distilled,
    DropPath,
    LayerScale2d,
    Residual,
    drop_path_rates,
)
from edge.models.efficientformer_v2_attention import Attention
from edge.models.efficientformer_v2_config import VARIANTS, EfficientFormerV2Config, require_even
from edge.models.efficientformer_v2_layers import Downsample, DownsampleWithAttention, Mlp, Stem
from edge.models.fold import fold_bn_linear, require_no_batchnorm
from edge.models.layers import ConvNorm, MeanHead, deploy_each
from edge.models.stage_maps import MapSize, stage_maps
from edge.suggest import unknown


def build(name: str, *, num_classes: int | None = None, image_size: MapSize | None = None) -> EfficientFormerV2:
    """The variant called `name`, freshly initialised; `image_size` is (height, width), None takes the catalog's.

    Raises `UnknownNameError`, and `UsageError` for an image size that the strided attention cannot take.
    """
    if name not in VARIANTS:
        raise unknown("EfficientFormerV2", name, VARIANTS)
    row = entry(name)
    return EfficientFormerV2(
        VARIANTS[name],
        num_classes=row.num_classes if num_classes is None else num_classes,
        image_size=(row.input_size, row.input_size) if image_size is None else image_size,
    )


class EfficientFormerV2(Distilled):
    """Pictures (B, 3, H, W) to logits (B, classes), or while training to the pair of both heads' logits.

    The state dict has timm's names.
    """

    OFFICIAL_NAMES = (
        ("stem.conv1.conv.", "patch_embed.0."),
        ("stem.conv1.bn.", "patch_embed.1."),
        ("stem.conv2.conv.", "patch_embed.3."),
        ("stem.conv2.bn.", "patch_embed.4."),
        *((f"mlp.{fc}.conv.", f"mlp.{fc}.") for fc in ("fc1", "mid", "fc2")),
        ("mlp.fc1.bn.", "mlp.norm1."),
        ("mlp.mid.bn.", "mlp.mid_norm."),
        ("mlp.fc2.bn.", "mlp.norm2."),
        ("attn.q.local.", "attn.q.local.0."),
        *((f".{name}.conv.", f".{name}.0.") for name in ("q", "k", "v", "v_local", "stride_conv", "q.proj")),
        *((f".{name}.bn.", f".{name}.1.") for name in ("q", "k", "v", "v_local", "stride_conv", "q.proj")),
        (".proj.conv.", ".proj.1."),
        (".proj.bn.", ".proj.2."),
        *((f"stages.{s}.blocks.", f"network.{2 * s}.") for s in range(4)),
        *((f"stages.{s}.downsample.conv.conv.", f"network.{2 * s - 1}.proj.") for s in (1, 2)),
        *((f"stages.{s}.downsample.conv.bn.", f"network.{2 * s - 1}.norm.") for s in (1, 2)),
        ("stages.3.downsample.conv.", "network.5."),
        ("stages.3.downsample.attn.", "network.5.attn."),
        (".ls1.gamma", ".layer_scale_1"),
        (".ls2.gamma", ".layer_scale_2"),
        ("head_dist.", "dist_head."),
    )

    def __init__(self, config: EfficientFormerV2Config, *, num_classes: int, image_size: MapSize) -> None:
        super().__init__()
        self.config = config
        maps = stage_maps(image_size, config.stem_strides)
        require_even(maps[2], config, image_size)
        rates = drop_path_rates(config.drop_path, config.depths)
        self.stem = Stem(config.widths[0], config.stem_strides)
        self.stages = nn.Sequential(*(Stage(config, number, rates[number], maps) for number in range(4)))
        self.norm: nn.Module = nn.BatchNorm2d(config.widths[-1])
        self._add_heads(config.widths[-1], num_classes)
        self._initialise_linears()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.classify(self.norm(self.stages(self.stem(x))).mean((2, 3)))

    def fold_batchnorm(self) -> EfficientFormerV2:
        """An inference copy with every batch norm folded into a neighbour, the last into the heads, and no more."""
        folded = deepcopy(self).eval()
        for parent in list(folded.modules()):
            for name, child in parent.named_children():
                if isinstance(child, ConvNorm):
                    setattr(parent, name, child.fold())
        if isinstance(folded.norm, nn.BatchNorm2d):
            folded.head = fold_bn_linear(folded.norm, folded.head)
            folded.head_dist = folded.head_dist and fold_bn_linear(folded.norm, folded.head_dist)
            folded.norm = nn.Identity()
        require_no_batchnorm(folded)
        return folded

    def deploy(self) -> nn.Module:
        """The fast inference form: (B, 3, H, W) to (B, classes), for the image size the network was built for.

        Batch norms, layer scales, the query scale, the identity beside the strided query, the first talking head's bias
        and the pair of heads are folded into neighbours, and attention biases are constants.
        """
        classifier = self.averaged_head()
        if isinstance(self.norm, nn.BatchNorm2d):
            classifier = fold_bn_linear(self.norm, classifier)
        deployed = nn.Sequential(self.stem.deploy(), *deploy_each(self.stages), MeanHead(classifier)).eval()
        require_no_batchnorm(deployed)
        return deployed

    def official_state(self) -> dict[str, Tensor]:
        """The state dict as the authors write it: layer scales are (C, 1, 1), and the gather indices are saved."""
        state = super().official_state()
        for key, tensor in state.items():
            if ".layer_scale_" in key:
                state[key] = tensor.reshape(-1, 1, 1)
        names = self.official_names()
        for name, module in self.named_modules():
            if isinstance(module, BiasedAttention):
                table = names[f"{name}.{BIAS_TABLE}"]
                state[table.replace(BIAS_TABLE, INDEX_BUFFER)] = module.attention_bias_idxs
        return state


class Stage(nn.Module):
    """A transition (but before the first stage) and blocks, in the late stages the last ones with attention."""

    def __init__(
        self, config: EfficientFormerV2Config, number: int, rates: list[float], maps: tuple[MapSize, ...]
    ) -> None:
        super().__init__()
        channels = config.widths[number]
        self.downsample = _transition(config, number, maps)
        expansions = config.expansions[number]
        attentions = config.attention_blocks if number >= 2 else 0
        stride = 2 if number == 2 else 1
        blocks: list[nn.Module] = []
        for index, (expansion, rate) in enumerate(zip(expansions, rates, strict=True)):
            if index < len(expansions) - attentions:
                blocks.append(ConvBlock(config, channels, expansion, rate))
            else:
                blocks.append(AttentionBlock(config, channels, expansion, rate, maps[number], stride))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))

    def deploy(self) -> nn.Module:
        transition = [self.downsample.deploy()] if isinstance(self.downsample, Downsample) else []
        return nn.Sequential(*transition, *deploy_each(self.blocks))


def _transition(config: EfficientFormerV2Config, number: int, maps: tuple[MapSize, ...]) -> nn.Module:
    """The way into stage `number`: none, a convolution, or into the last stage also attention of half the width."""
    if number == 0:
        return nn.Identity()
    channels, out_channels = config.widths[number - 1], config.widths[number]
    if number < 3:
        return Downsample(channels, out_channels)
    return DownsampleWithAttention(
        channels,
        out_channels,
        maps[2],
        heads=config.heads,
        key_dim=config.key_dim // 2,
        value_dim=config.value_dim // 2,
    )


class ConvBlock(nn.Module):
    """A feed-forward block with its residual: (B, C, H, W) to the same."""

    def __init__(self, config: EfficientFormerV2Config, channels: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        self.mlp = Mlp(channels, channels * expansion)
        self.ls2 = LayerScale2d(channels, config.layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.ls2(self.mlp(x)))

    def deploy(self) -> nn.Module:
        return self.mlp.deploy(self.ls2.gamma)


class AttentionBlock(ConvBlock):
    """Attention with its residual, then the feed-forward block."""

    def __init__(
        self,
        config: EfficientFormerV2Config,
        channels: int,
        expansion: int,
        drop_path: float,
        map_size: MapSize,
        stride: int,
    ) -> None:
        super().__init__(config, channels, expansion, drop_path)
        self.token_mixer = Attention(
            channels, map_size, stride=stride, heads=config.heads, key_dim=config.key_dim, value_dim=config.value_dim
        )
        self.ls1 = LayerScale2d(channels, config.layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.drop_path(self.ls1(self.token_mixer(x))))

    def deploy(self) -> nn.Module:
        return nn.Sequential(Residual(self.token_mixer.deploy(self.ls1.gamma)), super().deploy())
