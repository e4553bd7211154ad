"""A phone's description of itself, printed by the shell and tools that phones have."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.errors import DeviceError
from mnaslat.profiling.phone.adb.description import (
    DESCRIBE,
    Cluster,
    Description,
    parse_description,
    taskset_mask,
)

PIXEL_4 = """\
mnaslat description 1
property ro.product.manufacturer Google
property ro.product.model Pixel 4
property ro.soc.manufacturer QTI
property ro.soc.model SM8150
property ro.board.platform msmnile
property ro.hardware flame
property ro.product.cpu.abilist arm64-v8a,armeabi-v7a,armeabi
property ro.product.cpu.abi arm64-v8a
property ro.build.version.release 13
property ro.build.version.sdk 33
property ro.build.fingerprint google/flame/flame:13/TP1A.221005.002/9012097:user/release-keys
property ro.serialno 99151FFAZ00001
property ro.boot.serialno 99151FFAZ00001
property sys.boot_completed 1
core 0 1785600 schedutil
core 1 1785600 schedutil
core 2 1785600 schedutil
core 3 1785600 schedutil
core 4 2419200 schedutil
core 5 2419200 schedutil
core 6 2419200 schedutil
core 7 2841600 performance
possible 0-7
memory_kb 5730180
free_kb Available
free_kb 31457280
mnaslat description end
"""
EMPTY = "mnaslat description 1\nmnaslat description end\n"


def _with_clocks(*khz: str) -> Description:
    cores = "".join(f"core {core} {each} -\n" for core, each in enumerate(khz))
    return parse_description(EMPTY.replace(" 1\n", f" 1\n{cores}"))


# --- what is read


def test_a_phone_is_described() -> None:
    serial_hash = hashlib.sha256(b"99151FFAZ00001").hexdigest()[:12]
    phone = parse_description(PIXEL_4)
    assert phone == Description(
        manufacturer="Google",
        model="Pixel 4",
        soc="QTI SM8150",
        abi="arm64-v8a",
        android="13",
        sdk=33,
        build="google/flame/flame:13/TP1A.221005.002/9012097:user/release-keys",
        serial_hash=serial_hash,
        clusters=(
            Cluster("little", (0, 1, 2, 3), 1785600),
            Cluster("mid", (4, 5, 6), 2419200),
            Cluster("big", (7,), 2841600),
        ),
        n_cores=8,
        memory_mb=5595,
        missing_tools=(),
        booted=True,
    )
    assert phone.name == f"Pixel_4-{serial_hash[:6]}"
    assert phone.fingerprint == (
        f"Google; Pixel 4; QTI SM8150; {phone.build}; arm64-v8a; serial {serial_hash}"
    )
    assert "99151FFAZ00001" not in repr(phone)


def test_a_phone_that_tells_nothing_is_unknown() -> None:
    phone = parse_description(EMPTY)
    assert {phone.manufacturer, phone.model, phone.soc, phone.abi, phone.android, phone.build} == {
        "unknown"
    }
    assert (phone.sdk, phone.memory_mb, phone.booted) == (None, None, False)
    assert phone.clusters == (Cluster("any", (0,), None),)
    assert (phone.name, phone.serial_hash) == ("unknown", "")


@pytest.mark.parametrize(
    ("properties", "soc"),
    [
        ("ro.soc.model Tensor", "Tensor"),
        ("ro.board.platform mt6785", "mt6785"),
        ("ro.hardware kirin970", "kirin970"),
    ],
)
def test_an_older_android_tells_its_chip_in_other_words(properties: str, soc: str) -> None:
    assert parse_description(EMPTY.replace(" 1\n", f" 1\nproperty {properties}\n")).soc == soc


def test_ends_of_line_and_words_around_the_description_change_nothing() -> None:
    noisy = f"WARNING: linker\n{PIXEL_4}bye\n".replace("\n", "\r\n")
    assert parse_description(noisy) == parse_description(PIXEL_4)


@given(st.integers(0, len(PIXEL_4) - 2))
def test_a_description_that_is_cut_short_is_refused(end: int) -> None:
    with pytest.raises(DeviceError, match="cut short"):
        parse_description(PIXEL_4[:end])


@given(st.text())
def test_whatever_is_between_the_marks_is_read_or_unknown(text: str) -> None:
    text = text.replace("mnaslat", "")
    assert parse_description(EMPTY.replace(" 1\n", f" 1\n{text}\n")).n_cores >= 1


@given(
    st.lists(
        st.sampled_from(["core", "possible", "free_kb", "missing", "property", "-", "7", "é", "²"]),
        max_size=30,
    )
)
def test_damaged_lines_are_unknown(words: list[str]) -> None:
    text = "\n".join(" ".join(words[start : start + 3]) for start in range(0, len(words), 3))
    assert parse_description(EMPTY.replace(" 1\n", f" 1\n{text}\n")).clusters


# --- cores


@pytest.mark.parametrize(
    ("khz", "clusters"),
    [
        (("9", "9"), {"big": (0, 1)}),
        (("9", "5", "5"), {"little": (1, 2), "big": (0,)}),
        (("5", "7", "9"), {"little": (0,), "mid": (1,), "big": (2,)}),
        (("20", "20", "28", "28", "29", "32"), {"little": (0, 1), "mid": (2, 3, 4), "big": (5,)}),
        (("-", "5", "9"), {"little": (1,), "big": (2,)}),
        (("-", "0"), {"any": (0, 1)}),
    ],
)
def test_clusters_are_told_apart_by_their_clock(
    khz: tuple[str, ...], clusters: dict[str, tuple[int, ...]]
) -> None:
    phone = _with_clocks(*khz)
    assert {each.name: each.cores for each in phone.clusters} == clusters


def test_cores_that_are_switched_off_are_counted() -> None:
    phone = parse_description(EMPTY.replace(" 1\n", " 1\ncore 0 9 -\npossible 0-7\n"))
    assert (phone.n_cores, phone.clusters) == (8, (Cluster("big", (0,), 9),))


@pytest.mark.parametrize(
    ("choice", "cores"),
    [
        ("big", (7,)),
        ("mid", (4, 5, 6)),
        ("little", (0, 1, 2, 3)),
        ("any", ()),
        ("5,4,5", (4, 5)),
        ("0", (0,)),
    ],
)
def test_cores_are_chosen_by_name_or_number(choice: str, cores: tuple[int, ...]) -> None:
    assert parse_description(PIXEL_4).cores(choice) == cores


@pytest.mark.parametrize("choice", ["8", "4,8", "", "huge", "-1", "4,", "²", "4-5"])
def test_other_cores_are_refused_with_what_there_is(choice: str) -> None:
    has = r"It has little \(0-3: 1.8 GHz\), mid \(4-6: 2.4 GHz\), big \(7: 2.8 GHz\)"
    with pytest.raises(ValueError, match=has):
        parse_description(PIXEL_4).cores(choice)


def test_a_phone_that_hides_its_clocks_has_no_big_cores() -> None:
    with pytest.raises(ValueError, match=r"It has any \(0,1: unknown clock\)"):
        _with_clocks("-", "-").cores("big")
    assert _with_clocks("-", "-").cores("any") == ()


@pytest.mark.parametrize(
    ("cores", "mask"), [((0,), "1"), ((7,), "80"), ((4, 5, 6, 7), "f0"), ((11, 0), "801")]
)
def test_masks_worked_out_by_hand(cores: tuple[int, ...], mask: str) -> None:
    assert taskset_mask(cores) == mask


@pytest.mark.parametrize("cores", [(), (-1, 2)])
def test_a_mask_of_nothing_is_refused(cores: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="needs at least one core"):
        taskset_mask(cores)


@given(st.text(), st.text())
def test_a_name_can_be_a_files(model: str, serial: str) -> None:
    lines = f"property ro.product.model {model}\nproperty ro.serialno {serial}\n"
    name = parse_description(EMPTY.replace(" 1\n", f" 1\n{lines}")).name
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)


# --- the script


_SHELL = shutil.which("mksh")
needs_mksh = pytest.mark.skipif(_SHELL is None, reason="needs mksh, the shell of phones")


def _run(script: str, tools: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(_SHELL), "-c", script],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@needs_mksh
def test_the_script_describes_a_phone_with_tools(tmp_path: Path) -> None:
    tools = {
        "getprop": 'case $1 in ro.product.model) echo "Odd  Phone";; ro.serialno) echo 7;; esac',
        "taskset": "",
        "tar": "",
    }
    for name, body in tools.items():
        (tmp_path / name).write_text(f"#!{_SHELL}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    done = _run(DESCRIBE, tmp_path)
    phone = parse_description(done.stdout)
    assert done.stderr == ""
    assert phone.model == "Odd  Phone"
    assert phone.name == f"Odd_Phone-{hashlib.sha256(b'7').hexdigest()[:6]}"
    assert phone.missing_tools == ("timeout", "sha256sum")
    assert phone.memory_mb is not None and phone.memory_mb > 100


@needs_mksh
def test_the_script_describes_a_phone_that_has_nothing(tmp_path: Path) -> None:
    script = DESCRIBE.replace("/sys/", "/absent/").replace("/proc/", "/absent/")
    done = _run(script, tmp_path)
    phone = parse_description(done.stdout)
    assert done.stderr == ""
    assert (phone.model, phone.n_cores, phone.memory_mb) == ("unknown", 1, None)
    assert phone.missing_tools == ("taskset", "timeout", "tar", "sha256sum")


@needs_mksh
def test_the_script_reads_clocks(tmp_path: Path) -> None:
    for core, khz in enumerate((1800, 1800, 2800)):
        folder = tmp_path / "sys/devices/system/cpu" / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "cpuinfo_max_freq").write_text(f"{khz}\n")
    (tmp_path / "sys/devices/system/cpu/cpuidle").mkdir()
    (tmp_path / "sys/devices/system/cpu/possible").write_text("0-3\n")
    phone = parse_description(_run(DESCRIBE.replace("/sys/", f"{tmp_path}/sys/"), tmp_path).stdout)
    assert phone.clusters == (Cluster("little", (0, 1), 1800), Cluster("big", (2,), 2800))
    assert phone.n_cores == 4
