"""``mnaslat devices``, and which device a command measures on, with phones in software."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest

from mnaslat.profiling.phone.adb.connection import Connection, attached
from tests.phone.adb_server import AdbServer
from tests.phone.fixtures import PhoneBox
from tests.phone.phone import Phone
from tests.phone.ports import free_port
from tests.phone.waiting import wait_until

FOLDER = "/data/local/tmp/mnaslat"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No benchmark_model is remembered from other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _wait_for_state(phone: Phone, state: str) -> None:
    wait_until(lambda: any(e.serial == phone.serial and e.state == state for e in attached()))


def _profile(cli: Any, tmp_path: Path, *options: str, status: int = 1) -> str:
    """What ``mnaslat profile`` complains about, in one sentence."""
    workspace = str(tmp_path / "workspace")
    error: str = cli.run(
        "profile", *cli.small, "--workspace", workspace, *options, status=status
    ).stderr
    if status == 1:
        assert error.startswith("mnaslat: ") and error.count("\n") == 1
    return error


# --- the list


def test_without_a_phone_the_host_is_listed_and_how_to_connect_one(
    cli: Any, adb_server: AdbServer
) -> None:
    assert [each["device"] for each in cli.json("devices")] == ["host"]
    assert "No phone is connected. Switch on USB debugging" in cli.run("devices").stdout


def test_a_phone_is_listed_with_what_it_is(cli: Any, phone: Phone) -> None:
    found, host = cli.json("devices")
    assert host["device"] == "host" and host["usable"]
    assert (found["device"], found["kind"], found["usable"]) == (phone.serial, "phone", True)
    assert found["model"] == "mnaslat Test Phone" and found["android"] == "14"
    assert found["name"].startswith("Test_Phone-") and "big (" in found["cores"]
    assert found["battery"] == "87 %, charging"
    text = cli.run("devices").stdout
    assert f"{phone.serial}   usable\n" in text and found["build"] in text
    assert "No phone is connected" not in text


def test_what_a_phone_says_does_not_confuse_the_terminal(cli: Any, phone: Phone) -> None:
    phone.set_property("ro.product.model", "\x1b[2Jred")
    assert "\x1b" not in cli.run("devices").stdout


UNUSABLE = {
    "too old": ({"ro.build.version.sdk": "24", "ro.build.version.release": "7.0"}, "Android 8"),
    "starting": ({"sys.boot_completed": "0"}, "wait until its screen can be unlocked"),
    "never started": ({"sys.boot_completed": ""}, "wait until its screen can be unlocked"),
}


@pytest.mark.parametrize(("properties", "advice"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_phone_that_cannot_be_measured_on_is_listed_with_advice(
    cli: Any, phone: Phone, tmp_path: Path, properties: dict[str, str], advice: str
) -> None:
    for name, value in properties.items():
        phone.set_property(name, value)
    found = cli.json("devices")[0]
    assert not found["usable"] and advice in " ".join(found["troubles"])
    text = cli.run("devices").stdout
    assert f"{phone.serial}   not usable" in text and "  ! it " in text and advice in text
    assert advice in _profile(cli, tmp_path)  # the host is not measured in its place


def test_a_phone_that_lacks_a_tool_is_listed_with_its_name(
    cli: Any, phone: Phone, tmp_path: Path
) -> None:
    (phone.userland.root / "system/bin/taskset").unlink()
    found = cli.json("devices")[0]
    assert not found["usable"]
    assert found["troubles"][0] == "its shell lacks taskset, which measuring needs."
    assert "its shell lacks taskset" in _profile(cli, tmp_path)


def test_an_unauthorised_phone_is_listed_with_advice(
    cli: Any, make_phone: PhoneBox, tmp_path: Path
) -> None:
    phone = make_phone(authorised=False)
    found = cli.json("devices")[0]
    assert (found["device"], found["usable"]) == (phone.serial, False)
    assert "unlock the phone and accept the prompt" in found["troubles"][0]
    assert "! this computer is not authorised" in cli.run("devices").stdout
    for options in ((), ("--device", phone.serial)):
        assert "accept the prompt" in _profile(cli, tmp_path, *options)
    for command in ("evaluate", "search"):
        refused = cli.run(command, "--device", phone.serial, "-w", str(tmp_path), status=1)
        assert "accept the prompt" in refused.stderr


def test_an_offline_phone_is_listed_with_advice(cli: Any, phone: Phone, tmp_path: Path) -> None:
    phone.unplug()
    _wait_for_state(phone, "offline")
    found = cli.json("devices")[0]
    assert not found["usable"] and "plug it in again" in found["troubles"][0]
    assert "plug it in again" in _profile(cli, tmp_path)


def test_low_battery_keeps_from_measuring_and_heat_is_waited_for(cli: Any, phone: Phone) -> None:
    phone.set_thermal_status(3)
    found = cli.json("devices")[0]
    assert found["usable"]
    assert "thermal status 3 (severe): let it cool down" in found["troubles"][0]
    assert "note: thermal status 3" in cli.run("devices").stdout
    phone.set_thermal_status(0)
    phone.set_battery(percent=5, charging=False)
    found = cli.json("devices")[0]
    assert not found["usable"] and "charge it to 15 %" in found["troubles"][0]


def test_a_full_disk_keeps_from_measuring(cli: Any, phone: Phone) -> None:
    phone.fill_disk(leave_bytes=1_000_000)
    found = cli.json("devices")[0]
    assert not found["usable"] and "free at least 64 MB on the phone" in found["troubles"][0]


def test_a_phone_without_a_tool_to_be_had_is_listed_with_advice(
    cli: Any, make_phone: PhoneBox, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    make_phone()
    wanted = "give one with --benchmark-binary PATH"
    assert wanted in cli.json("devices")[0]["troubles"][0]
    assert "--benchmark-binary PATH" in _profile(cli, tmp_path)
    _profile(cli, tmp_path, "--benchmark-binary", str(phone_benchmark_model),
             "--budget", "1s", status=0)  # fmt: skip
    assert not any(wanted in trouble for trouble in cli.json("devices")[0]["troubles"])


def test_a_phone_that_goes_silent_does_not_hide_the_others(cli: Any, make_phone: PhoneBox) -> None:
    silent, well = make_phone(serial_number="S1"), make_phone(serial_number="S2")
    for tool in ("sh", "mksh"):  # every command fails
        (silent.userland.root / "system/bin" / tool).unlink()
    found = {each["device"]: each for each in cli.json("devices")}
    assert not found[silent.serial]["usable"] and found[silent.serial]["troubles"]
    assert found[well.serial]["usable"]
    name = found[well.serial]["name"]  # found although the other one is asked for its name too
    assert cli.json("devices", "clean", name)["removed"] is None


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # adbutils' own
def test_without_an_adb_server_it_is_said_why_no_phones_are_seen(
    cli: Any, adb_server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))  # nobody answers there
    done = cli.run("devices")
    assert "host   usable" in done.stdout
    assert "Phones cannot be seen. No adb server can be reached or started" in done.stdout
    assert "No phone is connected" not in done.stdout
    done = cli.run("devices", "--json")
    assert [each["device"] for each in json.loads(done.stdout)] == ["host"]
    assert "No adb server can be reached" in done.stderr
    refused = cli.run("profile", "--device", "phone", "-w", str(tmp_path), status=1).stderr
    assert "No adb server can be reached" in refused and "--device host" in refused
    assert "No adb server" in cli.run("devices", "clean", "phone", status=1).stderr
    for device, n in ((), 1), (("--device", "host"), 0):
        reported = cli.run("calibrate", *device, "-w", str(tmp_path), status=1).stderr
        assert reported.count("Phones cannot be seen: No adb server can be reached or started") == n
        assert reported.count("; measuring on this computer.\n") == n
    gc.collect()  # what adbutils left open, while that is let pass


# --- which device is measured


def _profiled(cli: Any, tmp_path: Path, binary: Path, *options: str) -> str:
    """The name of the device that ``mnaslat profile`` measures on."""
    found = cli.json(
        "profile", *cli.small, "--budget", "0.5s", "--workspace", str(tmp_path / "workspace"),
        "--benchmark-binary", str(binary), *options,
    )  # fmt: skip
    table = json.loads(Path(found["table"]).read_text())
    device: str = table["configuration"]["device"]
    return device


@pytest.mark.xdist_group("timing")
def test_without_a_phone_the_host_is_measured(
    cli: Any, adb_server: AdbServer, tmp_path: Path
) -> None:
    workspace = ("--workspace", str(tmp_path / "workspace"))
    found = cli.json("profile", *cli.small, "--budget", "1s", *workspace)
    assert Path(found["table"]).name.startswith("host-")


@pytest.mark.parametrize("options", [("--benchmark-binary", "x"), ("--guard", "max-zone-c=80")])
def test_without_a_phone_what_is_for_phones_is_refused(
    cli: Any, adb_server: AdbServer, tmp_path: Path, options: tuple[str, str]
) -> None:
    error = " ".join(_profile(cli, tmp_path, *options, status=2).replace("│", " ").split())
    assert f"{options[0]} is for phones, and no phone is measured here." in error


def test_the_only_phone_is_measured(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(mode="sleep")
    assert _profiled(cli, tmp_path, phone_benchmark_model).startswith("Test_Phone-")
    assert phone.n_started > 0


def test_one_of_two_phones_has_to_be_chosen(
    cli: Any,
    make_phone: PhoneBox,
    phone_benchmark_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phones = [make_phone(model=f"Pixel {n}", serial_number=f"S{n}") for n in (1, 2)]
    for phone in phones:
        phone.set_benchmark(mode="sleep")
    refused = _profile(cli, tmp_path)
    assert all(phone.serial in refused for phone in phones) and "--device" in refused
    by_serial = _profiled(cli, tmp_path, phone_benchmark_model, "--device", phones[1].serial)
    assert by_serial.startswith("Pixel_2-")
    by_name = _profiled(cli, tmp_path, phone_benchmark_model, "--device", by_serial)
    assert by_name == by_serial
    monkeypatch.setenv("ANDROID_SERIAL", phones[0].serial)
    assert _profiled(cli, tmp_path, phone_benchmark_model).startswith("Pixel_1-")
    monkeypatch.setenv("ANDROID_SERIAL", "gone")
    assert "No device 'gone' here" in _profile(cli, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--guard", "nonsense=1"), ("--guard", "'nonsense'", "max-thermal-status", "min-free-mb")),
        (("--guard", "max-zone-c=warm"), ("--guard", "is not a number")),
        (("--guard", "min-clock=2"), ("--guard", "min_clock")),
        (("--guard", "max-zone-c"), ("--guard", "NAME=NUMBER")),
        (("--cores", "huge"), ("no cores 'huge'", "little (", "big (")),
        (("--cores", "0;touch x"), ("no cores", "big (")),
        (("--delegate", "tpu"), ("No delegate 'tpu'", "xnnpack", "gpu")),
    ],
)
def test_what_a_phone_has_not_is_a_usage_error(
    cli: Any, phone: Phone, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    error = _profile(cli, tmp_path, *options, status=2)
    flat = " ".join(error.replace("│", " ").split())
    assert all(word in flat for word in words)


# --- cleaning up


def test_clean_removes_the_folder_and_says_so(cli: Any, phone: Phone) -> None:
    Connection(phone.serial).run(f"mkdir -p {FOLDER}/bin && echo tool > {FOLDER}/bin/tool")
    assert cli.json("devices", "clean", phone.serial) == {
        "device": phone.serial,
        "removed": FOLDER,
    }
    assert not phone.place(FOLDER).exists() and phone.place("/data/local/tmp").exists()
    assert f"no {FOLDER} on {phone.serial}" in cli.run("devices", "clean", phone.serial).stdout
    assert cli.json("devices", "clean", phone.serial)["removed"] is None


def test_clean_of_a_phone_that_is_not_there_is_one_sentence(cli: Any, phone: Phone) -> None:
    error = cli.run("devices", "clean", "nope", status=1).stderr
    assert error == (
        f"mnaslat: No phone 'nope' here. There are: {phone.serial}. `mnaslat devices` says more "
        "about them.\n"
    )
    phone.unplug()
    _wait_for_state(phone, "offline")
    error = cli.run("devices", "clean", phone.serial, status=1).stderr
    assert "plug it in again" in error and error.count("\n") == 1


# --- names that are commands


@pytest.mark.parametrize("serial", ["$(touch y)", "'; touch y; '", "x\ntouch y", "../y"])
def test_a_serial_is_never_a_command(
    cli: Any, phone: Phone, tmp_path: Path, serial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (("profile", "--device", serial), ("devices", "clean", serial)):
        error = cli.run(*arguments, status=1).stderr
        assert error.count("\n") == 1 and repr(serial) in error
    assert not list(tmp_path.rglob("y"))


def test_files_and_folders_may_have_any_name(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(mode="sleep")
    name = "a b';\"$(touch y)`touch y`\ntouch y\n?#%41&"
    binary, workspace = tmp_path / name, tmp_path / f"workspace {name}"
    arguments = ("profile", *cli.small, "--benchmark-binary", str(binary), "-w", str(workspace))
    assert "Cannot read" in cli.run(*arguments, status=1).stderr
    binary.write_bytes(phone_benchmark_model.read_bytes())
    found = cli.json(*arguments, "--budget", "0.5s")
    assert Path(found["table"]).parent == workspace / "tables"
    assert not list(tmp_path.rglob("y"))
    assert [each.name for each in phone.place("/data/local/tmp").iterdir()] == ["mnaslat"]


def test_a_phone_whose_model_is_a_path_and_a_command_stays_in_the_workspace(
    cli: Any, make_phone: PhoneBox, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone = make_phone(model="../../x; $(touch y)")
    phone.set_benchmark(mode="sleep")
    workspace = tmp_path / "deep" / "workspace"
    found = cli.json(
        "profile", *cli.small, "--benchmark-binary", str(phone_benchmark_model), "--budget",
        "20s", "-w", str(workspace),
    )  # fmt: skip
    predictor = cli.json("calibrate", *cli.small, "--models", "3", "-w", str(workspace))
    name = "x_touch_y-704760"
    assert Path(found["table"]).parent == workspace / "tables"
    assert Path(found["table"]).name.startswith(name)
    assert Path(predictor["predictor"]).parent == workspace / "predictors"
    assert [each.name for each in (workspace / "locks").iterdir()] == [f"{name}.lock"]
    assert {each.name for each in (tmp_path / "deep").iterdir()} == {"workspace"}
    assert not list(tmp_path.rglob("y"))
