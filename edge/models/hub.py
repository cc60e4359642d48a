"""Where published weights lie on the Hugging Face hub, and how they get here: from its cache, else by one download."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge.errors import WeightsError
from edge.models.catalog import entry

FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Published:
    """A repository of the hub that holds a network's weights in native naming, and their licence."""

    repository: str
    licence: str


_TAGS = {
    "efficientformer": ("snap_dist_in1k", "apache-2.0"),
    "efficientformer_v2": ("snap_dist_in1k", "apache-2.0"),
    "efficientvit": ("r224_in1k", "mit"),
}
"""Per family, the tag and the licence under which timm hosts the authors' weights (timm's pretrained configurations)."""


def published(name: str) -> Published:
    """The published weights of a network of the catalog. Raises `WeightsError` saying where else there are some."""
    row = entry(name)
    if row.num_classes != 1000:
        raise WeightsError(f"nobody has published weights of {name}", hint=f"train it: edge train {name} --data FOLDER")
    if row.family not in _TAGS:
        raise WeightsError(
            f"the weights of {name} are not on the hub",
            hint=f"fetch {name}.pth from release `ckpt` of github.com/huawei-noah/VanillaNet and give --weights {name}.pth",
        )
    tag, licence = _TAGS[row.family]
    return Published(f"timm/{name}.{tag}", licence)


def cached(repository: str) -> Path | None:
    """The weights' file in the hub's cache, or None; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, FILE)
    return Path(path) if isinstance(path, str) else None


def fetch(repository: str) -> Path:
    """The weights' file, downloaded into the hub's cache unless it is there. Raises `WeightsError` when offline."""
    if path := cached(repository):
        return path
    from huggingface_hub import constants, hf_hub_download

    if constants.HF_HUB_OFFLINE:
        raise _unavailable(repository, "HF_HUB_OFFLINE is set")
    if not _resolvable(constants.ENDPOINT):
        raise _unavailable(repository, f"{urlsplit(constants.ENDPOINT).hostname} cannot be reached from here")
    try:
        return Path(hf_hub_download(repository, FILE))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise _unavailable(repository, next(iter(str(error).splitlines()), type(error).__name__)) from None


def _resolvable(endpoint: str) -> bool:
    """Whether the hub's name resolves: its client would retry for most of a minute before it says that it does not."""
    from urllib.request import getproxies  # a third of the time of `edge --help`, were it at the top

    if getproxies().keys() & {"http", "https", "all"}:
        return True  # the proxy resolves names
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, None)
    except OSError:
        return False
    return True


def _unavailable(repository: str, reason: str) -> WeightsError:
    return WeightsError(
        f"the published weights {repository} are not in the hub's cache and cannot be fetched: {reason}",
        hint=f"go online once, or fetch {FILE} of huggingface.co/{repository} elsewhere and give --weights {FILE}",
    )
