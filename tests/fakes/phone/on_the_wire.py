"""A fake phone as a host finds it: its folder, its system and its adbd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.adbd import Adbd, Faults, Identity
from tests.fakes.phone.description import Phone
from tests.fakes.phone.folder import build
from tests.fakes.phone.userlands import HOSTS_OWN, Namespace, Programs

HEALTHY = Faults()


@contextmanager
def on_the_wire(
    phone: Phone,
    root: Path,
    *,
    programs: Programs = HOSTS_OWN,
    faults: Faults = HEALTHY,
    authenticates: bool = False,
) -> Iterator[Adbd]:
    """`adb connect` to the `serial` of this reaches the phone, whose `/` is the new folder `root`."""
    build(phone, root)
    identity = Identity(phone.device, phone.model.replace(" ", "_"), phone.device, phone.features)
    with (
        Namespace(root, programs) as userland,
        Adbd(userland, identity=identity, faults=faults, authenticates=authenticates) as daemon,
    ):
        yield daemon
