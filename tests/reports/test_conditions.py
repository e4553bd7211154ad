"""The report's conditions are those that the store holds, whatever phones and tools wrote there."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnaslat.data.circumstances import read_circumstances
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration, Round
from mnaslat.data.measurement_store import Store
from mnaslat.reports.conditions import conditions_section
from mnaslat.reports.format import format_time
from mnaslat.reports.page_data import ConditionsSection
from mnaslat.reports.predictor_page import table_section, table_warnings
from tests.phone.phone import Phone

PHONE = Configuration(
    device="Pixel_4-0a1b2c",
    fingerprint="phone",
    cores="4,5",
    runtime="benchmark_model 0123456789ab",
)
HOST = Configuration(device="host", fingerprint="computer", runtime="ai-edge-litert 2.3.0")
LAYER = "fp32 8x8x8 conv1x1>8"
BEGAN_S = 1_700_000_000
HOSTILE = "Pixel: </td><script>alert(1)</script>"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "measurements.sqlite")
    yield opened
    opened.close()


def add_rounds(store: Store, configuration: Configuration, *rounds: dict[str, str]) -> None:
    for index, circumstances in enumerate(rounds):
        given = {"started": f"{BEGAN_S + index}.000"} | circumstances
        known = read_circumstances(given)
        measured = Round.of_runs(np.ones(2, np.float32), circumstances=known)
        store.add_round(configuration, "layer", LAYER, measured)


def summary(store: Store, configuration: Configuration = PHONE) -> str:
    return " ".join(conditions_section(store, configuration).summary)


def figures(store: Store, name: str, configuration: Configuration = PHONE) -> list[Any]:
    return [getattr(point, name) for point in conditions_section(store, configuration).points]


# --- nothing


def test_a_store_without_rounds_of_the_configuration_gives_nothing(store: Store) -> None:
    add_rounds(store, HOST, {"load": "1.0"})
    store.add_event(PHONE, "went away")
    assert conditions_section(store, PHONE) == ConditionsSection()


def test_rounds_that_tell_nothing_give_nothing(store: Store) -> None:
    add_rounds(store, PHONE, {"worker": "17"}, {"started": ""})
    assert conditions_section(store, PHONE) == ConditionsSection()


# --- figures


@pytest.mark.parametrize(
    ("circumstances", "name", "expected"),
    [
        ({"hottest_c": "41.3"}, "hottest_c", 41.3),
        ({"battery_c": "27.1"}, "battery_c", 27.1),
        ({"battery_percent": "87"}, "battery_percent", 87.0),
        ({"load": "1.25"}, "load", 1.25),
        ({"steal_ticks": "3"}, "steal_ticks", 3.0),
        ({"clock_khz": "300000 to 2841600", "cur_khz": "1"}, "clock_ghz", 2.8416),
        ({"clock_khz": "1804800 to ?"}, "clock_ghz", 1.8048),
        ({"clock_khz": "? to ?", "cur_khz": "1804800"}, "clock_ghz", 1.8048),
        ({"cur_khz": "4:2841600 5:300000"}, "clock_ghz", 2.8416),
        ({"cur_khz": "14:2841600 5:300000"}, "clock_ghz", None),  # nothing of core 4
    ],
)
def test_figures_of_a_round(
    store: Store, circumstances: dict[str, str], name: str, expected: float | None
) -> None:
    add_rounds(store, PHONE, {"load": "1"} | circumstances)
    assert figures(store, name) == [expected]


@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "hot", HOSTILE, "1e999", "4:"])
def test_a_figure_that_is_none_is_unknown(store: Store, value: str) -> None:
    names = ("hottest_c", "battery_c", "battery_percent", "load", "steal_ticks", "sentinel_ms")
    broken = dict.fromkeys((*names, "clock_khz", "cur_khz", "thermal_status", "attempts"), value)
    add_rounds(store, PHONE, broken, {"load": "1"})
    assert figures(store, "load") == [None, 1.0]
    assert figures(store, "hottest_c") == figures(store, "clock_ghz") == [None, None]


@pytest.mark.parametrize("started", ["", "nan", "1e300", "-1e300", "yesterday"])
def test_a_round_without_a_time_is_counted_but_not_drawn(store: Store, started: str) -> None:
    add_rounds(store, PHONE, {"load": "1", "started": started}, {"load": "2"})
    assert figures(store, "load") == [2.0]
    assert summary(store).startswith("2 rounds between ")


def test_the_sentinel_is_compared_with_the_median_of_its_first_three(store: Store) -> None:
    # Two rounds share each reading: it is drawn once.
    readings_ms = [9.0, 9.0, 4.0, 4.0, 5.0, 5.0, 6.0]
    add_rounds(store, PHONE, *({"sentinel_ms": f"{each}"} for each in readings_ms))
    changes = figures(store, "sentinel_change")
    expected = [0.8, None, -0.2, None, 0.0, None, 0.2]
    assert [None if each is None else pytest.approx(each) for each in expected] == changes


def test_many_rounds_become_points_that_show_the_worst_of_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = {"hottest_c": "40", "battery_percent": "80", "clock_khz": "2000000 to 2000000"}
    bad = {"hottest_c": "60", "battery_percent": "70", "clock_khz": "1000000 to 1000000"}
    rounds = [{"started": "5", **calm}] * 1999 + [{"started": "6", **bad}]
    monkeypatch.setattr(store, "circumstances", lambda _: rounds)  # too long to store
    section = conditions_section(store, PHONE)
    assert len(section.points) == 1000
    last = section.points[-1]
    assert (last.hottest_c, last.battery_percent, last.clock_ghz) == (60.0, 70.0, 1.0)
    assert section.points[0].hottest_c == 40.0
    assert section.summary[-1] == "Each point stands for 2 rounds and shows the worst of them."


# --- words


def test_conditions_of_a_phone_in_plain_words(store: Store) -> None:
    add_rounds(
        store,
        PHONE,
        {"hottest_c": "41.3", "thermal_status": "0", "battery_percent": "87", "attempts": "1"}
        | {"hottest_zone": "cpu-1-1", "charging": "yes"},
        {"hottest_c": "52.0", "thermal_status": "1", "battery_percent": "80", "attempts": "2"}
        | {"hottest_zone": "cpu-1-1", "charging": "no"},
    )
    assert conditions_section(store, PHONE).summary == (
        f"2 rounds between {format_time(BEGAN_S)} and {format_time(BEGAN_S + 1)}.",
        "None had to be repeated because of the device's conditions.",
        "1 succeeded only after the tool had failed on the model before.",
        "The hottest zone (cpu-1-1) was at 41 to 52 °C.",
        "Android's thermal status was never above 1 (of 6).",
        "The battery was at 80 to 87 %, charging at times.",
    )


def test_conditions_of_the_host_in_plain_words(store: Store) -> None:
    quiet, robbed = ({"load": "0.50", "steal_ticks": ticks} for ticks in ("0", "4"))
    add_rounds(store, HOST, quiet, robbed, quiet)
    assert conditions_section(store, HOST).summary[1:] == (
        "The load, programs that ran or waited, was 0.5.",
        "In 1 of 3 rounds the hypervisor kept processor time from this computer.",
    )


def test_repeated_rounds_are_added_up(store: Store) -> None:
    add_rounds(store, PHONE, {"hottest_c": "41.3"})
    for n_repeated in (3, 0, 0, 1, 3):
        store.add_event(PHONE, "whatever the words are", n_repeated)
    repeated = "7 rounds were repeated because the device was not fit to be measured."
    assert repeated in summary(store)


@pytest.mark.parametrize(
    ("guard", "change"),
    [({}, 0.08), ({"guard": "sentinel-drift=0.2"}, 0.2), ({"guard": HOSTILE}, 0.08)],
)
def test_the_band_is_that_of_the_policy_measured_with(
    store: Store, guard: dict[str, str], change: float
) -> None:
    add_rounds(store, PHONE, {"sentinel_ms": "5"} | guard)
    assert conditions_section(store, PHONE).alarm_change == change


# --- the journal


def test_the_journal_keeps_its_last_entries_in_order(store: Store) -> None:
    add_rounds(store, PHONE, {"load": "1"})
    before = time.time()
    for number in range(203):
        store.add_event(PHONE, f"event {number}")
    section = conditions_section(store, PHONE)
    assert [entry.text for entry in section.journal] == [f"event {n}" for n in range(3, 203)]
    assert section.n_earlier == 3
    assert section.journal[0].happened == pytest.approx(before, abs=60)


def test_an_endless_entry_is_cut(store: Store) -> None:
    add_rounds(store, PHONE, {"load": "1"})
    store.add_event(PHONE, "x" * 100_000)
    (entry,) = conditions_section(store, PHONE).journal
    assert len(entry.text) == 1000 and entry.text.endswith("x…")


def test_a_script_in_the_journal_is_text(
    cli: Any, tmp_path: Path, a_table: Path, store: Store
) -> None:
    add_rounds(store, PHONE, {"load": "1", "governor": HOSTILE, "hottest_c": HOSTILE})
    store.add_event(PHONE, HOSTILE)
    report(cli, tmp_path, a_table)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<td>Pixel: &lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;</td>" in page
    assert "<script>alert(1)" not in page


# --- the command


@pytest.fixture
def a_table(tmp_path: Path) -> Path:
    path = tmp_path / "table.json"
    LatencyTable(PHONE, {LAYER: Row(1.0, 0.0, 2)}).save(path)
    return path


def report(cli: Any, workspace: Path, source: Path) -> str:
    """Write ``report.html`` into the workspace; the page's text."""
    output = workspace / "report.html"
    cli.run("report", str(source), "--workspace", str(workspace), "--output", str(output))
    return output.read_text(encoding="utf-8")


def test_a_table_from_elsewhere_has_no_conditions(cli: Any, tmp_path: Path, a_table: Path) -> None:
    assert 'id="conditions"' not in report(cli, tmp_path, a_table)


def test_measurements_that_cannot_be_read_cost_the_conditions_only(
    cli: Any, tmp_path: Path, a_table: Path
) -> None:
    (tmp_path / "measurements.sqlite").write_text(
        "no database, and longer than a header of one " * 9
    )
    page = report(cli, tmp_path, a_table)
    assert "The conditions of measuring are left out. Cannot use the measurements in" in page
    assert 'id="table"' in page and 'id="conditions"' not in page


def test_what_this_computer_measured_has_conditions(
    cli: Any, calibrated: Path, tmp_path: Path
) -> None:
    (predictor,) = (calibrated / "predictors").glob("*.mnaslat")
    output = tmp_path / "report.html"
    cli.run("report", str(predictor), "-w", str(calibrated), "-o", str(output))
    page = output.read_text(encoding="utf-8")
    assert 'id="conditions"' in page and "The load, programs that ran or waited" in page


def test_what_a_phone_went_through_is_on_the_page(
    cli: Any, phone: Phone, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    phone.set_benchmark(mode="sleep", sleep_ms=150)

    def get_hot_for_a_while() -> None:
        phone.set_thermal_status(2)
        threading.Timer(8.0, phone.set_thermal_status, (0,)).start()

    phone.when_started(5, get_hot_for_a_while)
    workspace = ("--workspace", str(tmp_path))
    reported = cli.json(
        "profile", *cli.small, *workspace, "--device", phone.serial, "--guard", "poll-s=0.2",
        "--benchmark-binary", str(phone_benchmark_model),
    )  # fmt: skip
    page = report(cli, tmp_path, Path(reported["table"]))
    assert "thermal status 2 (moderate); " in page and "fit again after " in page
    assert "guarded with poll-s=0.2" in page
    assert re.search(r"[0-9]+ rounds? (was|were) repeated because the device was not fit", page)
    for text in ("Heat (°C)", "Battery (%)", "Clock (GHz)"):
        assert json.dumps(text)[1:-1] in page


# --- converged


def converged(runtime: str, *rounds_us: tuple[int, int]) -> tuple[list[bool], bool]:
    """Of layers with two rounds each: whether they converged, and whether there is a warning."""
    rows = {
        f"fp32 8x8x{index + 1} conv1x1>8": Row(first / 1e3, (second / 1e3) / (first / 1e3) - 1, 2)
        for index, (first, second) in enumerate(rounds_us)
    }
    table = LatencyTable(Configuration(device="d", fingerprint="f", runtime=runtime), rows)
    by_signature = {row.signature: row.converged for row in table_section(table).rows}
    return [by_signature[signature] for signature in rows], bool(table_warnings(table))


def test_a_microsecond_is_no_difference_to_a_tool_that_counts_them() -> None:
    one_more = [(first, first + 1) for first in range(1, 100)]
    assert converged("benchmark_model 0123456789ab", *one_more) == ([True] * 99, False)


def test_other_differences_are_judged_by_their_share_of_the_latency() -> None:
    rounds_us = (12, 14), (10_000, 10_100)
    assert converged("benchmark_model 0123456789ab", *rounds_us) == ([False, True], True)
    assert converged("ai-edge-litert 2.3.0", (12, 13), (10_000, 10_100)) == ([False, True], True)
