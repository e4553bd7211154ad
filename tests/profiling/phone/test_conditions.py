"""How a phone is doing, read from what Androids of many years print."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.profiling.phone.adb.conditions import CONDITIONS, Conditions, parse_conditions

BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 3122000
  status: 2
  health: 2
  present: true
  level: 85
  scale: 100
  voltage: 4312
  temperature: 271
  technology: Li-ion
"""
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 2
Thermal Status: 1
Cached temperatures:
\tTemperature{mValue=93.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=52.1, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=61.5, mType=0, mName=Prime, mStatus=0}
\tTemperature{mValue=NaN, mType=0, mName=CPU7, mStatus=0}
\tTemperature{mValue=33.2, mType=3, mName=skin, mStatus=0}
\tTemperature{mValue=4.2, mType=6, mName=vbat, mStatus=0}
\tTemperature{mValue=85.0, mType=8, mName=soc, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=99, mType=2, mName=thermal-cpufreq-0}
Temperature static thresholds from HAL:
\tTemperatureThreshold{mType=3, mName=skin, mHotThrottlingThresholds=[39.0], mVrThrottling=NaN}
"""
POWER = """\
POWER MANAGER (dumpsys power)

Power Manager State:
  mDirty=0x0
  mWakefulness=Awake
  mWakefulnessChanging=false
  mIsPowered=true
"""


def _told(key: str, dump: str) -> list[str]:
    return [f"{key} {line.strip()}" for line in dump.splitlines()]


# --- what is read


def test_nothing_told_is_nothing_known() -> None:
    assert parse_conditions([]) == Conditions()
    assert Conditions().circumstances() == {} and Conditions().hottest is None


def test_battery_thermal_status_and_screen_are_read() -> None:
    now = parse_conditions(
        [*_told("battery", BATTERY), *_told("thermal", THERMAL), *_told("power", POWER)]
    )
    assert (now.battery_percent, now.battery_c, now.charging) == (85, 27.1, True)
    assert now.thermal_status == 1 and now.awake is True


@pytest.mark.parametrize(
    ("lines", "charging"),
    [
        (["status: 2"], True),
        (["status: 5"], True),
        (["status: 3", "USB powered: true"], False),
        (["status: 4", "AC powered: true"], False),
        (["status: 1", "AC powered: false", "USB powered: true"], True),
        (["AC powered: false", "USB powered: false"], False),
        (["status: 1"], None),
        (["level: 85"], None),
    ],
)
def test_charging_is_what_the_status_says_or_else_the_charger(
    lines: list[str], charging: bool | None
) -> None:
    assert parse_conditions([f"battery {line}" for line in lines]).charging is charging


@pytest.mark.parametrize(
    ("lines", "percent"),
    [
        (["level: 60", "scale: 200"], 30),
        (["level: 60"], 60),
        (["level: -1"], None),
        (["level: 20", "level: 90"], 20),  # some makers append a history
    ],
)
def test_a_level_is_a_percentage_of_its_scale(lines: list[str], percent: int | None) -> None:
    assert parse_conditions([f"battery {line}" for line in lines]).battery_percent == percent


@pytest.mark.parametrize(
    ("state", "awake"), [("Awake", True), ("Dreaming", True), ("Asleep", False), ("Dozing", False)]
)
def test_a_screen_is_on_while_awake_or_dreaming(state: str, awake: bool) -> None:
    assert parse_conditions([f"power mWakefulness={state}"]).awake is awake


def test_an_android_before_10_has_no_thermal_status() -> None:
    assert parse_conditions(["thermal Can't find service: thermalservice"]).thermal_status is None


def test_a_thermal_status_without_hardware_behind_it_is_unknown() -> None:
    lines = _told("thermal", "Thermal Status: 0\nHAL Ready: false")
    assert parse_conditions(lines).thermal_status is None


def test_what_android_reads_now_stands_in_for_zones_that_cannot_be_read() -> None:
    now = parse_conditions(_told("thermal", THERMAL))
    assert now.zones_c == {"CPU0": 52.1, "cpu Prime": 61.5, "skin": 33.2}
    assert now.hottest is not None and now.hottest.celsius == 61.5
    both = parse_conditions([*_told("thermal", THERMAL), "zone 48000 CPU0"])
    assert both.zones_c["CPU0"] == 48.0


@pytest.mark.parametrize(
    ("raw", "celsius"),
    [
        ("45300", 45.3),
        ("1000", 1.0),
        ("453", 45.3),
        ("126", 12.6),
        ("45", 45.0),
        ("124", 124.0),
        ("0", None),
        ("-273000", None),
        ("-40", None),
        ("125000", None),
        ("4530000000", None),
        ("nan", None),
        ("", None),
    ],
)
def test_the_unit_of_a_zone_is_the_plausible_one(raw: str, celsius: float | None) -> None:
    zones = parse_conditions([f"zone {raw} cpu-0"]).zones_c
    assert zones.get("cpu-0") == celsius


def test_the_hottest_of_zones_with_one_name_counts() -> None:
    assert parse_conditions(["zone 40000 cpu", "zone 50000 cpu", "zone 45000 cpu"]).zones_c == {
        "cpu": 50.0
    }


@pytest.mark.parametrize(
    ("zones", "hottest"),
    [
        (["50000 cpu-1-3-usr", "70000 gpuss-0-usr", "90000 battery"], 50.0),
        (["41000 tsens_tz_sensor4", "75000 lmh-dcvs-00"], 41.0),
        (["50 mtktscpu", "60 mtktspmic"], 50.0),
        (["61000 BIG", "55000 LITTLE", "70000 TPU"], 61.0),
        (["35000 skin-therm", "38000 battery", "99000 soc"], 35.0),
        (["38000 battery"], None),
    ],
)
def test_the_hottest_is_a_zone_of_the_processor(zones: list[str], hottest: float | None) -> None:
    found = parse_conditions([f"zone {zone}" for zone in zones]).hottest
    assert (found.celsius if found else None) == hottest


def test_clocks_are_read_and_unknown_ones_left_out() -> None:
    now = parse_conditions(
        [
            "clock 4 2419200 1200000 2419200 schedutil",
            "clock 7 1804800 - 2841600 schedutil",
            "clock 6 - - - -",
            "clock 5 0 0 2419200 performance",
            "clock x 1 2 3 y",
            "clock",
        ]
    )
    assert now.max_khz == {4: 2419200, 7: 1804800}
    assert now.cur_khz == {4: 1200000}
    assert now.hardware_max_khz == {4: 2419200, 5: 2419200, 7: 2841600}
    assert now.governor == "performance,schedutil"


def test_load_and_room_are_read() -> None:
    now = parse_conditions(["load 1.52", "free_kb Available", "free_kb 2097152"])
    assert (now.load, now.free_mb) == (1.52, 2048)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("battery thermal power zone clock load free_kb other".split()),
            st.text() | st.sampled_from(["1 2", "level: x", "Thermal Status: ", "²", "1 2 3 4 5"]),
        ).map(" ".join)
    )
)
def test_damaged_lines_are_unknown(lines: list[str]) -> None:
    now = parse_conditions(lines)
    assert now.hottest is None or 0 < now.hottest.celsius < 125
    assert all(now.circumstances().values())


# --- what is kept beside a measurement


def test_circumstances_are_short_texts() -> None:
    now = Conditions(
        thermal_status=0,
        battery_percent=85,
        battery_c=27.12,
        charging=False,
        zones_c={"cpu": 45.678, "battery": 90.0},
        max_khz={4: 2841600, 5: 2841600},
        cur_khz={4: 1000, 5: 2000},
        hardware_max_khz={4: 2841600},
        governor="schedutil",
        awake=True,
        load=1.234,
        free_mb=0,
    )
    assert now.circumstances() == {
        "thermal_status": "0",
        "hottest_c": "45.7",
        "hottest_zone": "cpu",
        "battery_percent": "85",
        "battery_c": "27.1",
        "charging": "no",
        "max_khz": "2841600",
        "cur_khz": "4:1000 5:2000",
        "governor": "schedutil",
        "awake": "yes",
        "load": "1.23",
        "free_mb": "0",
    }


# --- the shell function


_SHELL, _GREP = shutil.which("mksh"), shutil.which("grep")
needs_mksh = pytest.mark.skipif(_SHELL is None, reason="needs mksh, the shell of phones")


def _run(tools: Path, root: Path, *cores: int) -> tuple[Conditions, str]:
    script = CONDITIONS.replace("/sys/", f"{root}/sys/").replace("/proc/", f"{root}/proc/")
    script += f"conditions {' '.join(map(str, cores))}\n"
    done = subprocess.run(
        [str(_SHELL), "-c", script],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return parse_conditions(done.stdout.splitlines()), done.stderr


def _tool(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{_SHELL}\n{body}\n")
    path.chmod(0o755)


def _file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A folder with a phone's ``/sys`` and ``/proc``, and with tools that play its dumps."""
    dumps = {"battery": BATTERY, "thermalservice": THERMAL, "power": POWER}
    for name, dump in dumps.items():
        _file(tmp_path / "dumps" / name, dump)
    _tool(
        tmp_path / "bin" / "dumpsys", f'while read -r x; do echo "$x"; done < {tmp_path}/dumps/$1'
    )
    _tool(tmp_path / "bin" / "df", 'echo "Filesystem 1K Used Available"; echo "/dev/x 9 9 4096 1%"')
    (tmp_path / "bin" / "grep").symlink_to(shutil.which("toybox") or str(_GREP))
    for core, khz in ((0, 1800), (7, 2800)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        _file(folder / "scaling_max_freq", str(khz - 100))
        _file(folder / "scaling_cur_freq", str(khz - 200))
        _file(folder / "cpuinfo_max_freq", str(khz))
        _file(folder / "scaling_governor", "schedutil")
    for zone, (name, temperature) in enumerate((("cpu 1", "47000"), ("battery", "300"))):
        _file(tmp_path / f"sys/class/thermal/thermal_zone{zone}/type", name)
        _file(tmp_path / f"sys/class/thermal/thermal_zone{zone}/temp", temperature)
    _file(tmp_path / "sys/class/thermal/thermal_zone9/type", "without a temperature")
    _file(tmp_path / "proc/loadavg", "0.52 0.58 0.59 1/467 12345")
    return tmp_path


@needs_mksh
def test_the_function_tells_all_there_is(phone: Path) -> None:
    now, errors = _run(phone / "bin", phone, 7)
    assert errors == ""
    assert (now.battery_percent, now.battery_c, now.charging) == (85, 27.1, True)
    assert (now.thermal_status, now.awake, now.load, now.free_mb) == (1, True, 0.52, 4)
    assert now.zones_c == {
        "cpu 1": 47.0, "battery": 30.0, "CPU0": 52.1, "cpu Prime": 61.5, "skin": 33.2,
    }  # fmt: skip
    assert (now.max_khz, now.cur_khz) == ({7: 2700}, {7: 2600})
    assert (now.hardware_max_khz, now.governor) == ({7: 2800}, "schedutil")


@needs_mksh
def test_without_cores_the_function_tells_the_clock_of_all(phone: Path) -> None:
    now, errors = _run(phone / "bin", phone)
    assert errors == "" and now.hardware_max_khz == {0: 1800, 7: 2800}


@needs_mksh
def test_a_phone_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    now, errors = _run(tmp_path / "bin", tmp_path, 0, 4)
    # Without grep, which every phone has, its absence is all that is heard.
    assert now == Conditions()
    assert all("grep" in line for line in errors.splitlines())
