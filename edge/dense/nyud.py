"""NYUD-v2 as the multi-task community packs it, `NYUD_MT`: rooms with segmentation, depth, normals and edges.

Two packings exist, and both are read: that of ASTMT (`.mat` segmentation and depth, `.jpg` normals, `.png` edges) and that
of MTI-Net, which M3ViT uses (`.png` segmentation, `.npy` for the rest). Their value conventions were read in the loaders
of those projects; this one has never seen the real data here, only folders made in its layout.

The axes of the normals are not documented; x is horizontal, as the projects negate it when they mirror a picture. They are
passed on as stored, so they may not be those that `Scene` promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.dense.data import IGNORE
from edge.dense.folder import Layout, Map, MapFiles, Size, nearest, of_shape, read_array, unit_vectors
from edge.errors import PictureError

CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "other structure", "other furniture", "other prop",
)  # fmt: skip
"""The 40 classes of Gupta et al. (CVPR 2013)."""


def _seg(paths: Sequence[Path], size: Size) -> Map:
    """Stored as 1..40, and 0 for what has no class."""
    labels = of_shape(read_array(paths[0], "segmentation"), 2, paths[0])
    if labels.min() < 0 or labels.max() > len(CLASSES):
        raise PictureError(f"{paths[0]} has classes beyond 0..{len(CLASSES)}", hint="it is not of this data set")
    labels = nearest(labels, size).astype(np.int64)
    return np.where(labels == 0, IGNORE, labels - 1).astype(np.uint8)


def _depth(paths: Sequence[Path], size: Size) -> Map:
    """Metres; 0 where the sensor saw nothing."""
    metres = nearest(of_shape(read_array(paths[0], "depth"), 2, paths[0]), size).astype(np.float32)
    return np.where(metres > 0, metres, np.float32(np.nan))


def _normals(paths: Sequence[Path], size: Size) -> Map:
    """Vectors, or pictures of them: 0..255 for -1..1."""
    return unit_vectors(nearest(of_shape(read_array(paths[0], "normals"), 3, paths[0]), size))


def _edges(paths: Sequence[Path], size: Size) -> Map:
    """Stored as 0 and 1, or as pictures, 0 and 255. Lines are thin, so a pixel is an edge if any that it covers is one."""
    stored = of_shape(read_array(paths[0], "edge"), 2, paths[0])
    found = stored >= (128 if stored.dtype == np.uint8 and stored.max() > 1 else 0.5)
    edges = nearest(found, size).astype(np.uint8)
    rows, columns = np.nonzero(found)
    edges[rows * size[0] // found.shape[0], columns * size[1] // found.shape[1]] = 1
    return edges


NYUD = Layout(
    title="NYUD-v2 (NYUD_MT)",
    pictures="images/{}.jpg",
    names="gt_sets/{}.txt",
    maps={
        "seg": MapFiles((("segmentation/{}.png", "segmentation/{}.mat"),), _seg),
        "depth": MapFiles((("depth/{}.npy", "depth/{}.mat"),), _depth),
        "normals": MapFiles((("normals/{}.npy", "normals/{}.jpg", "normals/{}.png"),), _normals),
        "edges": MapFiles((("edge/{}.npy", "edge/{}.png"),), _edges),
    },
    classes=CLASSES,
)
