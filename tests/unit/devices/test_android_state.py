"""What an Android device prints of itself is read in its forms, vendors' extras included; garbage gives nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import _android_state as android

BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  Charge counter: 3120000
  status: 2
  health: 2
  present: true
  level: 78
  scale: 100
  voltage: 4123
  temperature: 284
  technology: Li-ion
"""
THERMAL = """IsStatusOverride: false
Thermal Status: 1
Cached temperatures:
\tTemperature{mValue=99.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=62.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=36.1, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
\tTemperature{mValue=35.4, mType=3, mName=quiet_therm, mStatus=0}
\tTemperature{mValue=4100.0, mType=6, mName=vbat, mStatus=0}
\tTemperature{mValue=0.0, mType=9, mName=TPU, mStatus=0}
\tTemperature{mValue=-5700.0, mType=1, mName=GPU, mStatus=0}
\tTemperature{mValue=NaN, mType=0, mName=CPU1, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
"""
LOOKED = f"""@edge battery
{BATTERY}@edge thermal
{THERMAL}@edge power
  mWakefulness=Awake
@edge low_power
0
@edge clocks
/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:300000
/sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq:2900000
/sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq:1800000
@edge zones
/sys/class/thermal/thermal_zone0/type:cpu-0-0
/sys/class/thermal/thermal_zone0/temp:41200
@edge supply
current_now:-350000
voltage_now:4100000
"""
EVERYTHING = (android.battery, android.thermal, android.awake, android.available_mb, android.clocks, android.properties,
              android.sections, lambda text: android.state(text, 0), lambda text: android.info(text, "x"))  # fmt: skip


def test_the_battery_is_read():
    assert android.battery(BATTERY) == android.Battery(78, 28.4, 4123.0, charging=True)


def test_a_vendors_log_behind_the_battery_is_not_its_state():
    found = android.battery(f"{BATTERY}[08-21 10:00] level: 3\n  level: 3\n")
    assert found.percent == 78


def test_a_state_that_somebody_faked_is_still_read():
    faked = BATTERY.replace("state:\n", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)\n")
    assert android.battery(faked) == android.battery(BATTERY)


def test_a_level_is_a_share_of_its_scale():
    assert android.battery(BATTERY.replace("scale: 100", "scale: 200")).percent == 39


@pytest.mark.parametrize(
    ("cable", "status", "fed"), [("true", 5, True), ("false", 3, False), ("false", 2, True), ("true", 4, True)]
)
def test_a_cable_feeds_it_or_not(cable, status, fed):
    text = BATTERY.replace("USB powered: true", f"USB powered: {cable}").replace("status: 2", f"status: {status}")
    assert android.battery(text).charging is fed


def test_temperatures_are_those_of_the_hardware_now_and_only_temperatures():
    found = android.thermal(THERMAL)
    assert found.status == 1
    assert found.temperatures_c == {"CPU0": 62.5, "VIRTUAL-SKIN": 36.1, "skin quiet_therm": 35.4}


@pytest.mark.parametrize("status", ["7", "99", "-1", ""])
def test_a_thermal_status_that_cannot_be_is_none(status):
    assert android.thermal(THERMAL.replace("Status: 1", f"Status: {status}")).status is None


def test_a_look_has_everything_and_the_cores_in_their_order():
    found = android.state(LOOKED, 12.5)
    assert (found.at_s, found.clocks_khz) == (12.5, (300000, 1800000, 2900000))
    assert (found.current_ma, found.voltage_mv) == (-350.0, 4100.0)
    assert (found.screen_on, found.low_power, found.charging) == (True, False, True)
    assert found.temperatures_c["CPU0"] == 62.5


def test_where_there_is_no_thermal_service_the_kernels_zones_tell():
    old = LOOKED.replace(THERMAL, "Can't find service: thermalservice\n")
    found = android.state(old, 0)
    assert (found.thermal_status, found.temperatures_c) == (None, {"cpu-0-0": 41.2})


def test_the_voltage_is_the_batterys_where_the_kernel_does_not_tell():
    found = android.state(LOOKED.partition("@edge supply")[0], 0)
    assert (found.current_ma, found.voltage_mv) == (None, 4123.0)


def test_a_phone_says_what_it_is():
    text = """@edge props
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.build.id]: [AP2A.240805.005]
@edge machine
aarch64
"""
    found = android.info(text, "28041FDH")
    assert (found.id, found.model, found.soc) == ("android:28041FDH", "Google Pixel 8", "Google Tensor G3")
    assert (found.abi, found.os) == ("arm64-v8a", "Android 14 (API 34, AP2A.240805.005)")


def test_a_maker_is_named_once():
    text = "[ro.product.manufacturer]: [OnePlus]\n[ro.product.model]: [ONEPLUS A6003]\n"
    assert android.info(f"@edge props\n{text}", "x").model == "ONEPLUS A6003"


def test_a_board_without_properties_has_its_processor_from_the_kernel():
    found = android.info("@edge props\nsh: getprop: not found\n@edge machine\naarch64\n", "x")
    assert (found.abi, found.model, found.os) == ("aarch64", "", "Android")


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [("ro.boot.qemu", "1", True), ("ro.kernel.qemu", "1", True), ("ro.hardware", "ranchu", True),
     ("ro.boot.qemu", "0", False), ("ro.hardware", "zuma", False)],
)  # fmt: skip
def test_an_emulator_says_so_itself(name, value, is_one):
    assert android.emulated({name: value}) is is_one


@pytest.mark.parametrize(
    ("text", "is_awake"), [("  mWakefulness=Awake\n", True), ("mWakefulness=Dozing", False), ("mWakefulness=?", None)]
)
def test_a_screen_is_on_off_or_unknown(text, is_awake):
    assert android.awake(text) is is_awake


def test_the_memory_that_programs_can_have_is_told_in_mib():
    assert android.available_mb("MemTotal:  7777777 kB\nMemAvailable:    2097152 kB\n") == 2048


@pytest.mark.parametrize("read", EVERYTHING)
@given(text=st.text())
def test_garbage_never_raises(read, text):
    read(text)


@given(cut=st.integers(0, len(LOOKED)), junk=st.text(max_size=20), gap=st.integers(0, 40))
def test_a_look_that_is_damaged_anywhere_never_raises_and_never_makes_up_a_battery(cut, junk, gap):
    found = android.state(LOOKED[:cut] + junk + LOOKED[cut + gap :], 0)
    assert found.battery_percent is None or 0 <= found.battery_percent <= 100
    assert all(-60 < celsius < 200 for celsius in found.temperatures_c.values())
