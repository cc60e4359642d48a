"""The device's end of ADB in Python, for the real `adb` client to talk to (devices sheet §1.3, §1.4)."""

from tests.fakes.adbd.daemon import Adbd, Identity
from tests.fakes.adbd.faults import Faults

__all__ = ["Adbd", "Faults", "Identity"]
