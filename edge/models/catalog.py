"""The networks of this package with their sizes, as plain data, so that listing them needs no torch.

`params` is the training form as built; `params_deploy` has batch norms folded and distilled heads averaged (VanillaNet:
merged); `macs` counts convolutions and matrix products, batch 1, at the input size (VanillaNet: in its deploy form, as its
authors print it; M3ViT: with the k experts of each token, where its exported files compute them all). `tests/unit/models`
builds every row and compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.suggest import unknown


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: its name, the file of its family in `edge/models`, and its sizes for `num_classes` classes.

    Pictures are `input_size` pixels high and, unless `input_width` says otherwise, as wide. A network whose name ends in a
    task answers with a map of `num_classes` channels, an M3ViT without one with the maps of all five tasks.
    """

    name: str
    family: str
    params: int
    params_deploy: int
    macs: int
    input_size: int
    num_classes: int = 1000
    input_width: int | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.input_size, self.input_width or self.input_size


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
    Entry("m3vit_tiny", "m3vit", 29_113_677, 29_108_557, 35_932_914_176, 128, 7, 256),
    Entry("m3vit_tiny_seg", "m3vit", 20_181_319, 20_180_295, 7_195_810_304, 128, 7, 256),
    Entry("m3vit_tiny_depth", "m3vit", 20_179_777, 20_178_753, 7_183_227_392, 128, 1, 256),
    Entry("m3vit_tiny_normals", "m3vit", 20_180_291, 20_179_267, 7_187_421_696, 128, 3, 256),
    Entry("m3vit_tiny_edges", "m3vit", 20_179_777, 20_178_753, 7_183_227_392, 128, 1, 256),
    Entry("m3vit_tiny_saliency", "m3vit", 20_179_777, 20_178_753, 7_183_227_392, 128, 1, 256),
    Entry("m3vit_small", "m3vit", 56_755_099, 56_749_979, 417_588_544_512, 512, 21),
    Entry("m3vit_small_seg", "m3vit", 45_978_005, 45_976_981, 83_779_433_472, 512, 21),
    Entry("m3vit_small_depth", "m3vit", 45_972_865, 45_971_841, 83_443_889_152, 512, 1),
    Entry("m3vit_small_normals", "m3vit", 45_973_379, 45_972_355, 83_477_443_584, 512, 3),
    Entry("m3vit_small_edges", "m3vit", 45_972_865, 45_971_841, 83_443_889_152, 512, 1),
    Entry("m3vit_small_saliency", "m3vit", 45_972_865, 45_971_841, 83_443_889_152, 512, 1),
    Entry("m3vit_base", "m3vit", 189_720_366, 189_715_246, 955_738_490_880, 480, 40, 640),
    Entry("m3vit_base_seg", "m3vit", 175_253_800, 175_252_776, 191_753_250_816, 480, 40, 640),
    Entry("m3vit_base_depth", "m3vit", 175_243_777, 175_242_753, 190_986_479_616, 480, 1, 640),
    Entry("m3vit_base_normals", "m3vit", 175_244_291, 175_243_267, 191_025_801_216, 480, 3, 640),
    Entry("m3vit_base_edges", "m3vit", 175_243_777, 175_242_753, 190_986_479_616, 480, 1, 640),
    Entry("m3vit_base_saliency", "m3vit", 175_243_777, 175_242_753, 190_986_479_616, 480, 1, 640),
    Entry("m3vit_mini", "m3vit", 476_603, 475_963, 76_367_488, 64, 5),
    Entry("m3vit_mini_seg", "m3vit", 306_037, 305_909, 15_365_248, 64, 5),
    Entry("m3vit_mini_depth", "m3vit", 305_905, 305_777, 15_234_176, 64, 1),
    Entry("m3vit_mini_normals", "m3vit", 305_971, 305_843, 15_299_712, 64, 3),
    Entry("m3vit_mini_edges", "m3vit", 305_905, 305_777, 15_234_176, 64, 1),
    Entry("m3vit_mini_saliency", "m3vit", 305_905, 305_777, 15_234_176, 64, 1),
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
