"""The networks of this package with their sizes, as plain data, so that listing them needs no torch.

`params` is the training form as built; `params_deploy` has batch norms folded and distilled heads averaged (VanillaNet:
merged); `macs` counts convolutions and matrix products, batch 1, at `input_size` (VanillaNet: in its deploy form, as its
authors print it). `tests/unit/models` builds every row and compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.suggest import unknown


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: its name, the file of its family in `edge/models`, and its sizes for 1000 classes (small ones: 10)."""

    name: str
    family: str
    params: int
    params_deploy: int
    macs: int
    input_size: int
    num_classes: int = 1000


CATALOG = (
    Entry("efficientformer_l1", "efficientformer", 12_289_928, 11_809_008, 1_291_284_736, 224),
    Entry("efficientformer_l3", "efficientformer", 31_406_000, 30_834_568, 3_906_573_312, 224),
    Entry("efficientformer_l7", "efficientformer", 82_229_328, 81_370_952, 10_119_325_696, 224),
    Entry("efficientformer_mini", "efficientformer", 659_372, 653_546, 8_485_376, 32, 10),
    Entry("efficientformerv2_s0", "efficientformer_v2", 3_600_256, 3_373_944, 395_892_544, 224),
    Entry("efficientformerv2_s1", "efficientformer_v2", 6_185_560, 5_889_648, 651_969_640, 224),
    Entry("efficientformerv2_s2", "efficientformer_v2", 12_710_112, 12_299_320, 1_246_863_952, 224),
    Entry("efficientformerv2_l", "efficientformer_v2", 26_322_288, 25_740_864, 2_552_546_880, 224),
    Entry("efficientformerv2_mini", "efficientformer_v2", 379_372, 369_674, 5_903_232, 32, 10),
    Entry("efficientvit_m0", "efficientvit", 2_349_436, 2_334_916, 79_193_600, 224),
    Entry("efficientvit_m1", "efficientvit", 2_980_560, 2_964_256, 167_051_840, 224),
    Entry("efficientvit_m2", "efficientvit", 4_187_554, 4_168_338, 201_035_712, 224),
    Entry("efficientvit_m3", "efficientvit", 6_900_722, 6_875_890, 262_662_208, 224),
    Entry("efficientvit_m4", "efficientvit", 8_804_228, 8_776_340, 299_308_544, 224),
    Entry("efficientvit_m5", "efficientvit", 12_473_772, 12_436_260, 521_583_104, 224),
    Entry("efficientvit_mini", "efficientvit", 640_434, 633_690, 7_745_824, 32, 10),
    Entry("vanillanet_5", "vanillanet", 22_328_800, 15_523_304, 5_161_185_280, 224),
    Entry("vanillanet_6", "vanillanet", 56_116_704, 32_509_416, 5_993_103_360, 224),
    Entry("vanillanet_7", "vanillanet", 56_670_176, 32_797_672, 6_893_862_912, 224),
    Entry("vanillanet_8", "vanillanet", 65_175_520, 37_096_424, 7_735_615_488, 224),
    Entry("vanillanet_9", "vanillanet", 73_680_864, 41_395_176, 8_577_368_064, 224),
    Entry("vanillanet_10", "vanillanet", 82_186_208, 45_693_928, 9_419_120_640, 224),
    Entry("vanillanet_11", "vanillanet", 90_691_552, 49_992_680, 10_260_873_216, 224),
    Entry("vanillanet_12", "vanillanet", 99_196_896, 54_291_432, 11_102_625_792, 224),
    Entry("vanillanet_13", "vanillanet", 107_702_240, 58_590_184, 11_944_378_368, 224),
    Entry("vanillanet_13_x1_5", "vanillanet", 236_942_048, 127_796_200, 26_548_445_184, 224),
    Entry("vanillanet_13_x1_5_ada_pool", "vanillanet", 236_942_048, 127_796_200, 48_982_528_512, 224),
    Entry("vanillanet_mini", "vanillanet", 363_532, 243_722, 6_745_088, 32, 10),
)


def entry(name: str) -> Entry:
    """The row called `name`. Raises `UnknownNameError` with the nearest names."""
    for row in CATALOG:
        if row.name == name:
            return row
    raise unknown("model", name, (row.name for row in CATALOG))
