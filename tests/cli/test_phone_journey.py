"""The journey with phones in software: every command with ``--device``, stopped, changed, two."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration, Measurement
from mnaslat.data.measurement_store import Store
from mnaslat.data.workspace import Workspace
from mnaslat.predictors import CalibratedPredictor, TablePredictor, load_predictor
from mnaslat.workflow.predictor_library import newest_predictor, store_predictor
from tests.phone.adb_server import AdbServer
from tests.phone.fixtures import PhoneBox
from tests.phone.phone import Phone


@pytest.fixture(scope="module", params=["sleep", pytest.param("run", marks=pytest.mark.slow)])
def measured(
    request: pytest.FixtureRequest,
    cli: Any,
    adb_server: AdbServer,
    phone_benchmark_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Phone, Path]]:
    """A phone, and a workspace with the small space profiled and calibrated on it; do not write.

    Its models are only slept for, and really run in the slow tests.
    """
    folder = tmp_path_factory.mktemp("measured")
    with ExitStack() as stack:
        phone = PhoneBox(folder, adb_server, stack)()
        phone.set_benchmark(mode=request.param)
        options = ("--device", phone.serial, "--workspace", str(folder / "workspace"))
        binary = ("--benchmark-binary", str(phone_benchmark_model))
        cli.run("profile", *cli.small, *options, *binary)
        cli.run("calibrate", *cli.small, "--models", "3", *options)
        yield phone, folder / "workspace"


def _copy(workspace: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(workspace, tmp_path / "workspace"))


def _profile(cli: Any, phone: Phone, binary: Path, workspace: Path) -> tuple[str, ...]:
    """The command, to be run or started."""
    where = ("--device", phone.serial, "--workspace", str(workspace))
    return ("profile", *cli.small, *where, "--benchmark-binary", str(binary))


def _layers(workspace: Path) -> dict[Configuration, dict[str, Measurement]]:
    """All that was measured, by configuration."""
    if not (workspace / "measurements.sqlite").exists():
        return {}
    store = Store(workspace / "measurements.sqlite")
    found = {each: dict(store.measurements(each, "layer")) for each in store.configurations()}
    store.close()
    return found


# --- from the first command to the last


def test_the_journey_on_a_phone(
    request: pytest.FixtureRequest, cli: Any, measured: tuple[Phone, Path], tmp_path: Path
) -> None:
    phone, workspace = measured[0], _copy(measured[1], tmp_path)
    where = ("--device", phone.serial, "--workspace", str(workspace))
    profiled = cli.json("profile", *cli.small, *where)
    assert profiled["n_rounds"] == 0  # all was measured before
    assert profiled["n_measured"] == profiled["n_total"] and not profiled["failures"]
    table = json.loads(Path(profiled["table"]).read_text())
    assert table["configuration"]["device"].startswith("Test_Phone-")
    assert table["configuration"]["runtime"].startswith("benchmark_model ")
    assert phone.runs[0].startswith("1 ")  # pinned to the only big core
    assert "--num_threads=1" in phone.runs[0] and "--use_xnnpack=true" in phone.runs[0]
    evaluated = cli.json("evaluate", *cli.small, "--models", "3", *where)
    assert evaluated["n"] == 3 and evaluated["measured_share"] == pytest.approx(1.0)
    if request.node.callspec.params["measured"] == "run":  # else nothing was measured
        # A busy computer may disturb; benchmarks hold the true figures.
        assert evaluated["mape"] < 0.5
    searched = cli.json(
        "search", *cli.small, "--accuracy", "small_space:accuracy", "--samples", "20",
        "--validate-every", "1", *where,
    )  # fmt: skip
    assert searched["winner"]["measured_ms"] is not None and searched["validations"]
    trusted = cli.small[:2]  # --space FILE.py:FUNCTION
    rows = cli.json("validate", "--top", "2", *trusted, *where)
    assert len(rows) == 2 and all(row["measured_ms"] > 0 for row in rows)
    report = tmp_path / "report.html"
    cli.run("report", *trusted, "--workspace", str(workspace), "--output", str(report))
    assert searched["winner"]["blocks"][0] in report.read_text()


def test_the_older_tool_is_understood_too(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(format="old")
    found = cli.json(*_profile(cli, phone, phone_benchmark_model, tmp_path), "--budget", "3s")
    assert found["n_measured"] > 0 and not found["failures"]


# --- stopped


@pytest.mark.slow
def test_profile_killed_and_typed_again_goes_on(
    cli: Any, make_phone: PhoneBox, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone = make_phone(orphans=True)  # what runs on it outlives the connection
    phone.set_benchmark(mode="sleep", sleep_ms=100.0)
    arguments = _profile(cli, phone, phone_benchmark_model, tmp_path)
    _kill_when(cli, arguments, lambda: any(_layers(tmp_path).values()))
    ((_, before),) = _layers(tmp_path).items()
    enough = phone.n_started + 10
    _kill_when(cli, arguments, lambda: phone.n_started >= enough)
    done = cli.json(*arguments)
    ((_, after),) = _layers(tmp_path).items()
    assert set(before) <= set(after)
    assert done["n_measured"] == done["n_total"] == len(after)
    assert all(len(each.round_min_ms) == 2 for each in after.values())  # none measured twice
    assert all(after[s].round_min_ms[: len(m.round_min_ms)] == m.round_min_ms
               for s, m in before.items())  # fmt: skip
    assert sorted(each.name for each in phone.place("/data/local/tmp/mnaslat").iterdir()) == ["bin"]


def _kill_when(cli: Any, arguments: Sequence[str], is_so: Callable[[], object]) -> None:
    with _started(cli, arguments) as process:
        while not is_so() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def _started(cli: Any, arguments: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        cli.command(*arguments),
        env=cli.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


# --- in another setting


def test_cores_and_threads_reach_the_tool_and_the_table(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(mode="sleep")
    arguments = _profile(cli, phone, phone_benchmark_model, tmp_path)
    found = cli.json(*arguments, "--cores", "little", "--threads", "2")
    configuration = json.loads(Path(found["table"]).read_text())["configuration"]
    assert (configuration["cores"], configuration["threads"]) == ("0", 2)
    assert all(run.startswith("0 ") and "--num_threads=2" in run for run in phone.runs)
    refused = cli.run(
        "calibrate", *cli.small, "--device", phone.serial, "-w", str(tmp_path), status=1
    ).stderr
    assert "cores 0" in refused and "never mixed" in refused and refused.count("\n") == 1


def test_a_delegate_that_the_tool_has_not_is_one_sentence(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(mode="sleep")
    arguments = _profile(cli, phone, phone_benchmark_model, tmp_path)
    refused = cli.run(*arguments, "--delegate", "gpu", status=1).stderr
    assert "gpu delegate" in refused and "--delegate" in refused and refused.count("\n") == 1
    assert all(not layers for layers in _layers(tmp_path).values())


# --- changed


def test_a_changed_tool_needs_a_new_table(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(mode="sleep")
    other = tmp_path / "other"
    other.write_bytes(phone_benchmark_model.read_bytes() + b"\0")
    workspace = tmp_path / "workspace"
    first = cli.json(*_profile(cli, phone, phone_benchmark_model, workspace))
    refused = cli.run(*_profile(cli, phone, other, workspace), status=1).stderr
    assert "--new-table" in refused and "benchmark_model" in refused and refused.count("\n") == 1
    assert "go back to what it was with --benchmark-binary" in refused
    second = cli.json(*_profile(cli, phone, other, workspace), "--new-table")
    assert second["n_rounds"] == first["n_rounds"]  # nothing of the old table is taken
    assert second["table"] != first["table"] and len(_layers(workspace)) == 2
    assert cli.json(*_profile(cli, phone, other, workspace))["n_rounds"] == 0
    assert cli.json(*_profile(cli, phone, phone_benchmark_model, workspace))["n_rounds"] == 0


def test_an_update_of_android_needs_a_new_table_and_a_new_predictor(
    request: pytest.FixtureRequest, cli: Any, measured: tuple[Phone, Path], tmp_path: Path
) -> None:
    phone, workspace = measured[0], _copy(measured[1], tmp_path)
    where = (*cli.small, "--device", phone.serial, "--workspace", str(workspace))
    build = phone.state.property("ro.build.fingerprint")
    phone.set_property("ro.build.fingerprint", "mnaslat/test/phone:15/NEW/1:user/release-keys")
    phone.set_benchmark(mode="sleep")
    try:
        n_started = phone.n_started
        for command in ("profile", "calibrate", "evaluate", "search"):
            refused = cli.run(command, *where, status=1).stderr
            assert "never mixed" in refused and "phone:15/NEW" in refused
            assert refused.splitlines()[-1].startswith("mnaslat: ")
            if command in ("profile", "calibrate"):
                assert "--new-table" in refused
        assert phone.n_started == n_started
        cli.run("profile", *where, "--new-table")
        assert len(_layers(workspace)) == 2
        assert len(list((workspace / "tables").iterdir())) == 2
        cli.run("calibrate", *where, "--models", "3")
        cli.run("evaluate", *where, "--models", "3")
    finally:
        phone.set_property("ro.build.fingerprint", build)
        phone.set_benchmark(mode=request.node.callspec.params["measured"])


# --- several devices in one workspace


def test_the_newest_predictor_of_the_device_is_taken(
    cli: Any, measured: tuple[Phone, Path], tmp_path: Path
) -> None:
    phone, workspace = measured[0], _copy(measured[1], tmp_path)
    (of_phone,) = (workspace / "predictors").iterdir()
    predictor = load_predictor(of_phone)
    name = predictor.configuration.device
    host = replace(predictor.configuration, device="host")
    table = TablePredictor(LatencyTable(host, predictor.base.table.rows))
    fitted = CalibratedPredictor(table).fit(predictor.networks, predictor.measured_ms)
    of_host = store_predictor(Workspace(workspace), fitted)  # the newest of all
    of_phone.rename(of_phone.with_name("mine.mnaslat"))  # what a file is called does not matter
    of_host.with_name("damaged.mnaslat").write_bytes(b"PK")
    assert newest_predictor(Workspace(workspace), name) == of_phone.with_name("mine.mnaslat")
    of_host.with_name("damaged.mnaslat").unlink()
    options = (*cli.small, "--workspace", str(workspace))
    search = ("search", *options, "--accuracy", "small_space:accuracy", "--samples", "20",
              "--validate-every", "0")  # fmt: skip
    for device, wanted in ((("--device", phone.serial), name), ((), "host")):
        run = cli.json(*search, *device)["run"]
        assert load_predictor(Path(run) / "predictor.mnaslat").configuration.device == wanted
    refused = cli.run("evaluate", *options, "--device", "nope", status=1).stderr
    assert "no predictor of device 'nope'" in refused
    mixed = ("--predictor", str(of_host), "--device", phone.serial)
    refused = cli.run("evaluate", *options, *mixed, status=1).stderr
    assert f"is of host and says nothing about {name}" in refused


@pytest.mark.slow
def test_each_of_two_phones_keeps_the_tool_of_its_table(
    cli: Any, make_phone: PhoneBox, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phones = [make_phone(model=f"Pixel {n}", serial_number=f"S{n}") for n in (1, 2)]
    tools = [tmp_path / f"tool{n}" for n in (1, 2)]
    workspace = tmp_path / "workspace"
    for phone, tool in zip(phones, tools, strict=True):
        phone.set_benchmark(mode="sleep")
        tool.write_bytes(phone_benchmark_model.read_bytes() + tool.name.encode())
        cli.run(*_profile(cli, phone, tool, workspace))
        tool.unlink()  # what is remembered has to do
    before = set(_layers(workspace))
    assert len({each.runtime for each in before}) == 2
    for phone in phones:
        where = (*cli.small, "--device", phone.serial, "--workspace", str(workspace))
        assert cli.json("profile", *where)["n_rounds"] == 0
        cli.run("calibrate", *where, "--models", "3")
    assert set(_layers(workspace)) == before
    # In another setting, or for a new table, it is the tool used last, as for a fresh phone.
    first = (*cli.small, "--device", phones[0].serial, "--workspace", str(workspace))
    latest = next(each.runtime for each in before if each.device.startswith("Pixel_2"))
    for options in (("--cores", "little"), ("--new-table",)):
        table = json.loads(Path(cli.json("profile", *first, *options)["table"]).read_text())
        assert table["configuration"]["device"].startswith("Pixel_1")
        assert table["configuration"]["runtime"] == latest


@pytest.mark.slow
def test_two_phones_are_measured_side_by_side(
    cli: Any, make_phone: PhoneBox, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phones = [make_phone(model=f"Pixel {n}", serial_number=f"S{n}") for n in (1, 2)]
    for phone, slow in zip(phones, (1.0, 2.0), strict=True):
        phone.set_benchmark(mode="sleep", sleep_ms=200.0, slow=slow)
    started = time.monotonic()
    cli.run(*_profile(cli, phones[0], phone_benchmark_model, tmp_path / "alone"), process=True)
    alone_s = time.monotonic() - started
    started = time.monotonic()
    together = [
        _started(cli, _profile(cli, phone, phone_benchmark_model, tmp_path / "together"))
        for phone in phones
    ]
    assert [process.wait(120) for process in together] == [0, 0]
    together_s = time.monotonic() - started
    ((_, alone),) = _layers(tmp_path / "alone").items()
    found = {configuration.device[:7]: each
             for configuration, each in _layers(tmp_path / "together").items()}  # fmt: skip
    assert set(found) == {"Pixel_1", "Pixel_2"}
    for layers in found.values():
        assert set(layers) == set(alone)
        assert all(len(each.round_min_ms) == 2 for each in layers.values())
    for signature, layer in alone.items():  # one phone is half as fast, whatever the layer
        assert found["Pixel_1"][signature].latency_ms == layer.latency_ms
        assert found["Pixel_2"][signature].latency_ms == pytest.approx(
            2 * layer.latency_ms, abs=0.002
        )
    assert len(list((tmp_path / "together" / "tables").iterdir())) == 2
    assert together_s < 1.3 * alone_s, f"{together_s:.1f} s against {alone_s:.1f} s"
