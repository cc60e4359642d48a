"""What boards say of themselves, read: texts by the forms of the kernel's documentation, and rubbish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import _linux_state as linux
from edge.device_state import DeviceInfo

RASPBERRY_PI = """
@machine
aarch64

@release
Linux 6.6.51+rpt-rpi-2712

@bits
64

@cpuinfo
CPU implementer\t: 0x41
Model\t\t: Raspberry Pi 5 Model B Rev 1.0

@/proc/device-tree/model
Raspberry Pi 5 Model B Rev 1.0\0
@/proc/device-tree/compatible
raspberrypi,5-model-b\0brcm,bcm2712\0
@/etc/os-release
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
"""
JETSON = """
@machine
aarch64

@release
Linux 5.15.136-tegra

@bits
64

@cpuinfo
CPU implementer\t: 0x41

@/proc/device-tree/model
NVIDIA Jetson Orin Nano Developer Kit\0
@/proc/device-tree/compatible
nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0
@/etc/os-release
PRETTY_NAME="Ubuntu 22.04.4 LTS"
"""
PC = """
@machine
x86_64

@release
Linux 6.1.0-18-amd64

@bits
64

@cpuinfo
model name\t: Intel(R) N100
vendor_id\t: GenuineIntel

@/sys/class/dmi/id/product_name
MINI S12

@/etc/os-release
PRETTY_NAME='Debian GNU/Linux 12 (bookworm)'
"""
STATE = """
@/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq
1500000

@/sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq
2400000

@/sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq
1800000

@/sys/class/thermal/thermal_zone0/type
cpu-thermal

@/sys/class/thermal/thermal_zone1/type
gpu-thermal

@/sys/class/thermal/thermal_zone10/type
cpu-thermal

@/sys/class/thermal/thermal_zone0/temp
48250

@/sys/class/thermal/thermal_zone1/temp
-256000

@/sys/class/thermal/thermal_zone10/temp
51000
"""


def test_a_raspberry_pi_by_its_device_tree():
    assert linux.info("linux:pi@board", RASPBERRY_PI) == DeviceInfo(
        id="linux:pi@board",
        kind="linux",
        state="ready",
        model="Raspberry Pi 5 Model B Rev 1.0",
        soc="brcm,bcm2712",
        abi="aarch64",
        os="Debian GNU/Linux 12 (bookworm), Linux 6.6.51+rpt-rpi-2712",
    )


def test_a_jetson_by_its_device_tree():
    info = linux.info("linux:board", JETSON)
    assert (info.model, info.soc, info.abi) == ("NVIDIA Jetson Orin Nano Developer Kit", "nvidia,tegra234", "aarch64")


def test_a_pc_by_its_firmware_and_its_processor():
    info = linux.info("linux:board", PC)
    assert (info.model, info.soc, info.abi) == ("MINI S12", "Intel(R) N100", "x86_64")
    assert info.os == "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-18-amd64"


def test_a_32_bit_system_on_a_64_bit_kernel_is_what_its_programs_see():
    assert linux.info("linux:board", RASPBERRY_PI.replace("\n64\n", "\n32\n")).abi == "armv7l"


def test_clocks_stand_in_the_order_of_the_cores_and_sensors_of_one_name_are_kept_apart():
    state = linux.state(7.0, STATE)
    assert state.at_s == 7.0
    assert state.clocks_khz == (1_500_000, 1_800_000, 2_400_000)
    assert state.temperatures_c == {"cpu-thermal": 48.25, "cpu-thermal 10": 51.0}


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "1e9", "<unknown>", "99999999999999", "15.5"])
def test_a_value_that_makes_no_sense_is_left_out(value):
    paths = (
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
        "/sys/class/thermal/thermal_zone0/temp",
    )
    state = linux.state(0, "".join(f"\n@{path}\n{value}\n" for path in paths))
    assert state.clocks_khz == ()
    assert set(state.temperatures_c.values()) <= {-0.001}  # a board in the frost


@given(st.text(alphabet=st.sampled_from("@\n/:= 0-9aé\0machinebitstempcpu")))
def test_rubbish_is_read_as_nothing_known(text):
    assert linux.info("linux:board", text).kind == "linux"
    assert linux.state(0, text).thermal_status is None
    linux.emulated(text)


@pytest.mark.parametrize("real", [RASPBERRY_PI, JETSON, PC])
def test_a_real_board_is_not_called_emulated(real):
    assert not linux.emulated(real)


@pytest.mark.parametrize(
    "played",
    [
        PC.replace("Intel(R) N100", "QEMU Virtual CPU version 2.5+"),
        RASPBERRY_PI.replace("0x41", "0x00"),
        RASPBERRY_PI.replace("CPU implementer\t: 0x41", "vendor_id\t: GenuineIntel"),
    ],
)
def test_a_processor_that_a_program_plays_is_told(played):
    assert linux.emulated(played)
