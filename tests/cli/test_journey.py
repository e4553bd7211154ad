"""The whole journey on this computer's CPU, command by command, on a small space."""

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.workspace import Workspace
from mnaslat.predictors import (
    CalibratedPredictor,
    TablePredictor,
    load_predictor,
    save_predictor,
)

pytestmark = pytest.mark.xdist_group("timing")


def _copy(calibrated: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(calibrated, tmp_path / "workspace"))


def test_profile_measures_every_layer_of_the_space(cli: Any, calibrated: Path) -> None:
    found = cli.json("profile", *cli.small, "--workspace", str(calibrated))
    assert found["n_rounds"] == 0  # all was measured before: nothing is measured again
    assert found["n_measured"] == found["n_total"] and found["n_left"] == 0
    table = json.loads(Path(found["table"]).read_text())
    assert len(table["rows"]) == found["n_total"]
    assert all(row["n_rounds"] >= 2 and row["latency_ms"] > 0 for row in table["rows"])


def test_predictions_of_measured_networks_are_near(
    cli: Any, calibrated: Path, tmp_path: Path
) -> None:
    found = cli.json(
        "evaluate", *cli.small, "--models", "4", "--workspace", _copy(calibrated, tmp_path),
        process=True,
    )  # fmt: skip
    assert found["n"] == 4
    assert found["measured_share"] == pytest.approx(1.0)
    assert found["mape"] < 0.5  # a busy computer may disturb; benchmarks hold the true figures


def test_predict_names_what_was_estimated(cli: Any, calibrated: Path) -> None:
    (found,) = cli.json("predict", "mnasnet-a1", "--workspace", str(calibrated))["models"]
    assert found["measured_share"] < 0.5  # the network at 224 pixels was never measured here
    assert found["predicted_ms"] > 0


def test_search_validates_reports_and_exports(cli: Any, calibrated: Path, tmp_path: Path) -> None:
    workspace = _copy(calibrated, tmp_path)
    options = [*cli.small, "--accuracy", "small_space:accuracy", "--samples", "60"]
    asked = ("search", *options, "--validate-every", "2", "--workspace", workspace)
    found = cli.json(*asked, process=True)
    folder = Path(found["run"])
    assert found["winner"]["measured_ms"] is not None
    assert found["validations"]
    architecture = Architecture.from_json(json.loads((folder / "winner.json").read_text()))
    assert [str(block) for block in architecture.blocks] == found["winner"]["blocks"]
    assert (folder / "winner.tflite").read_bytes()[4:8] == b"TFL3"
    refused = cli.run("validate", "--workspace", workspace, status=1)
    assert "searches a space from a Python file" in refused.stderr
    trusted = cli.small[:2]  # --space FILE.py:FUNCTION
    rows = cli.json("validate", "--top", "2", *trusted, "--workspace", workspace, process=True)
    assert len(rows) == 2 and all(row["measured_ms"] > 0 for row in rows)
    report = tmp_path / "report.html"
    asked = ("report", *trusted, "--workspace", workspace, "--output", str(report))
    cli.run(*asked, process=True)
    assert f"{found['winner']['blocks'][0]}" in report.read_text()
    model = tmp_path / "winner.tflite"
    cli.run("export", str(folder / "winner.json"), "--output", str(model), process=True)
    assert model.read_bytes()[4:8] == b"TFL3"


def test_reports_of_a_predictor_and_of_a_table(cli: Any, calibrated: Path, tmp_path: Path) -> None:
    predictor = next((calibrated / "predictors").glob("*.mnaslat"))
    table = next((calibrated / "tables").glob("*.json"))
    for source in (predictor, table):
        output = tmp_path / f"{source.stem}.html"
        cli.run("report", str(source), "--output", str(output), "--workspace", str(calibrated))
        assert "layers measured on host" in output.read_text()


def test_a_budget_ends_the_sweep_and_says_what_is_left(cli: Any, tmp_path: Path) -> None:
    found = cli.json("profile", *cli.small, "--budget", "2s", "--workspace", str(tmp_path))
    assert 0 < found["n_measured"] < found["n_total"]
    assert found["n_left"] == found["n_total"] - found["n_measured"]


def test_two_sweeps_in_one_workspace_do_not_mix(cli: Any, calibrated: Path, tmp_path: Path) -> None:
    workspace = _copy(calibrated, tmp_path)
    with Workspace(Path(workspace)).lock("host"):
        second = cli.run("profile", *cli.small, "--workspace", workspace, status=1)
    assert "host is in use by process" in second.stderr


def test_another_configuration_is_refused(cli: Any, calibrated: Path, tmp_path: Path) -> None:
    workspace = _copy(calibrated, tmp_path)
    refused = cli.run("calibrate", *cli.small, "--threads", "2", "--workspace", workspace, status=1)
    assert "never mixed" in refused.stderr and "mnaslat profile" in refused.stderr
    other = next((Path(workspace) / "predictors").glob("*.mnaslat"))
    assert load_predictor(other).configuration.threads == 1


def test_a_predictor_of_another_device_is_refused(
    cli: Any, calibrated: Path, tmp_path: Path
) -> None:
    workspace = _copy(calibrated, tmp_path)
    database = Path(workspace) / "measurements.sqlite"
    predictor = next((Path(workspace) / "predictors").glob("*.mnaslat"))
    loaded = load_predictor(predictor)
    elsewhere = replace(loaded.configuration, fingerprint="another processor")
    table = LatencyTable(elsewhere, loaded.base.table.rows)
    foreign = CalibratedPredictor(TablePredictor(table)).fit(loaded.networks, loaded.measured_ms)
    save_predictor(foreign, tmp_path / "foreign.mnaslat")
    refused = cli.run(
        "evaluate", *cli.small, "--predictor", str(tmp_path / "foreign.mnaslat"),
        "--workspace", workspace, status=1,
    )  # fmt: skip
    assert "another processor" in refused.stderr
    assert sqlite3.connect(database).execute("PRAGMA integrity_check").fetchone() == ("ok",)
