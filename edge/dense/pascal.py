"""PASCAL-Context as the multi-task community packs it, `PASCAL_MT`: photographs with all maps but depth.

Classes and contours are annotated by people; normals and saliency come from other networks (ASTMT distilled them). The
places and value conventions were read in the loaders of ASTMT and of its successor; this one has never seen the real data
here, only folders made in its layout. Human parts are left out: no network of ours has that task. The axes of the normals
are not documented, but that x is horizontal; they are passed on as stored, so they may not be those that `Scene` promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.dense.data import IGNORE
from edge.dense.folder import Layout, Map, MapFiles, Size, nearest, of_shape, read_array, unit_vectors
from edge.errors import PictureError

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip

LABELS = "pascal-context/trainval/{}.mat"
"""The 459 labels of PASCAL-Context, as variable `LabelMap`."""

LABELS_WITH_NORMALS = (
    3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46, 49, 50, 51, 53, 55, 56, 59,
    61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95, 96, 101, 104, 105, 107, 111, 113, 115, 122, 124, 135,
    141, 142, 143, 146, 150, 154, 157, 158, 159, 165, 172, 174, 181, 183, 184, 191, 193, 195, 197, 199, 202, 213, 215,
    216, 219, 220, 223, 225, 228, 230, 232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261, 263, 269, 272,
    273, 275, 281, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304, 307, 309, 310, 314, 315, 319, 323, 329,
    330, 331, 336, 342, 345, 349, 350, 351, 352, 355, 357, 368, 370, 371, 374, 379, 380, 383, 384, 397, 401, 403, 405,
    407, 408, 411, 412, 413, 414, 417, 419, 421, 423, 427, 429, 430, 432, 440, 441, 442, 443, 444, 446, 454, 457,
)  # fmt: skip
"""The labels whose names NYUD-v2 has as well, and the monitor: the network that drew the normals knew only those."""


def _seg(paths: Sequence[Path], size: Size) -> Map:
    """Stored as 0..20, and 255 for what has no class."""
    labels = nearest(of_shape(read_array(paths[0], ""), 2, paths[0]), size)
    if not np.isin(labels, (*range(len(CLASSES)), IGNORE)).all():
        raise PictureError(f"{paths[0]} has classes beyond 0..{len(CLASSES) - 1}", hint="it is not of this data set")
    return labels.astype(np.uint8)


def _normals(paths: Sequence[Path], size: Size) -> Map:
    """Pictures, 0..255 for -1..1, known where the label is one of `LABELS_WITH_NORMALS`."""
    vectors = unit_vectors(nearest(of_shape(read_array(paths[0], ""), 3, paths[0]), size))
    known = np.isin(_labels(paths[1], size), LABELS_WITH_NORMALS)
    return np.where(known[..., None], vectors, np.float32(np.nan))


def _edges(paths: Sequence[Path], size: Size) -> Map:
    """The left or upper of two neighbours with different labels; the projects thin a contour of both sides instead."""
    labels = _labels(paths[0], size)
    edges = np.zeros(size, np.uint8)
    edges[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edges[:-1] |= labels[1:] != labels[:-1]
    return edges


def _saliency(paths: Sequence[Path], size: Size) -> Map:
    """Pictures whose brighter half is salient."""
    return (nearest(of_shape(read_array(paths[0], ""), 2, paths[0]), size) > 127.5).astype(np.uint8)


def _labels(path: Path, size: Size) -> Map:
    return nearest(of_shape(read_array(path, "LabelMap"), 2, path), size)


PASCAL = Layout(
    title="PASCAL-Context (PASCAL_MT)",
    pictures="JPEGImages/{}.jpg",
    names="ImageSets/Context/{}.txt",
    maps={
        "seg": MapFiles((("semseg/VOC12/{}.png", "semseg/pascal-context/{}.png"),), _seg),
        "normals": MapFiles((("normals_distill/{}.png",), (LABELS,)), _normals),
        "edges": MapFiles(((LABELS,),), _edges),
        "saliency": MapFiles((("sal_distill/{}.png",),), _saliency),
    },
    classes=CLASSES,
)
