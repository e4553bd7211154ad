"""The latency table survives JSON both ways; what is damaged or of another kind is refused."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration, Measurement
from mnaslat.errors import PredictorFileError

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
SIGNATURES = [f"fp32 8x8x8 conv1x1>{filters}:relu" for filters in (8, 16, 24)]

rows = st.builds(
    Row,
    latency_ms=st.floats(1e-6, 1e6),
    spread=st.floats(0, 10) | st.just(math.inf),
    n_rounds=st.integers(1, 100),
)
tables = st.builds(
    LatencyTable,
    st.builds(
        Configuration,
        device=st.text(max_size=5).filter(str.isprintable),
        fingerprint=st.text(max_size=5).filter(str.isprintable),
        threads=st.integers(1, 8),
    ),
    st.dictionaries(st.sampled_from(SIGNATURES), rows),
)


def _good() -> dict[str, Any]:
    table = LatencyTable(CONFIGURATION, {SIGNATURES[0]: Row(1.5, 0.01, 2), SIGNATURES[1]: Row(2.5)})
    data: dict[str, Any] = json.loads(json.dumps(table.to_json()))
    return data


@given(tables)
def test_json_both_ways_gives_the_same_table(table: LatencyTable) -> None:
    text = json.dumps(table.to_json(), allow_nan=False)  # strict JSON: other readers take it too
    assert LatencyTable.from_json(json.loads(text)) == table


def test_a_file_gives_the_same_table_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    table = LatencyTable.from_json(_good())
    table.save(tmp_path / "table.json")
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json") == table
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_a_failed_save_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = LatencyTable.from_json(_good())
    table.save(tmp_path / "table.json")

    def fail(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        LatencyTable(CONFIGURATION, {}).save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json") == table
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_a_table_takes_the_minimum_over_rounds_of_each_measurement() -> None:
    measured = Measurement(signature=SIGNATURES[0], round_min_ms=(2.0, 1.6), n_runs=9)
    table = LatencyTable.from_measurements(CONFIGURATION, {SIGNATURES[0]: measured})
    assert list(table) == [SIGNATURES[0]] and len(table) == 1
    assert table.rows[SIGNATURES[0]] == Row(1.6, 2.0 / 1.6 - 1.0, 2)


def _row(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["rows"][1][field] = value

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _row("latency_ms", math.nan),
        _row("latency_ms", math.inf),
        _row("latency_ms", 0.0),
        _row("latency_ms", -1.0),
        _row("latency_ms", None),
        _row("latency_ms", "fast"),
        _row("latency_ms", 10**400),
        _row("spread", math.nan),
        _row("spread", -0.1),
        _row("spread", []),
        _row("n_rounds", 0),
        _row("n_rounds", math.inf),
        _row("n_rounds", math.nan),
        _row("signature", "no signature"),
        _row("signature", 7),
        _row("signature", None),
        _row("signature", "int8 8x8x8 conv1x1>16:relu"),
        _row("signature", SIGNATURES[0]),
        _row("signature", f"fp32 {10**400}x8x8 conv3x3/2>8"),
        lambda data: data["rows"][0].pop("spread"),
        lambda data: data["rows"].append(5),
        lambda data: data.update(rows=None),
        lambda data: data.update(rows={"a": 1}),
        lambda data: data.pop("rows"),
        lambda data: data.pop("configuration"),
        lambda data: data.update(configuration=[]),
        lambda data: data["configuration"].update(threads=0),
        lambda data: data["configuration"].update(threads="many"),
        lambda data: data["configuration"].update(precision="int8"),
        lambda data: data["configuration"].update(colour="blue"),
    ],
)
def test_a_damaged_table_is_refused(damage: Callable[[dict[str, Any]], object]) -> None:
    data = _good()
    damage(data)
    with pytest.raises(PredictorFileError, match=r"^The latency table is damaged: .*\.$"):
        LatencyTable.from_json(data)


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(PredictorFileError, match=r"format 2; this mnaslat reads 1\. Upgrade"):
        LatencyTable.from_json({**_good(), "format": 2})


@pytest.mark.parametrize("data", [None, [], 1, "x", {}, {"kind": "mnaslat-predictor"}])
def test_another_kind_of_json_is_refused(data: object) -> None:
    with pytest.raises(PredictorFileError, match="not a latency table of mnaslat"):
        LatencyTable.from_json(data)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"{}"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(PredictorFileError):
        LatencyTable.load(path)


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(2**30)  # takes no room on disk
    for path, reason in (
        (tmp_path / "absent.json", "Cannot read"),
        (tmp_path, "Cannot read"),
        (huge, "larger than 256 MB"),
    ):
        with pytest.raises(PredictorFileError, match=reason):
            LatencyTable.load(path)


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_row_needs_a_positive_latency(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="latency_ms must be positive"):
        Row(latency_ms)
