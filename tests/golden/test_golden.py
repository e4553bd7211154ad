"""What mnaslat gave before files were moved, it gives still.

The files here were written by `make` with the code of then. Predictions and rewards are compared to
a tolerance far below anything that matters, since processors differ in the last digits. Two things
amplify those digits: intervals of cost models, which rest on the inverse of a large matrix, and the
default searcher, whose choices go apart in the end. On a processor that rounds otherwise than the
one that wrote the files (`made_up.arithmetic`) only the beginnings of such searches are compared.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.workspace import Workspace
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.predictors import TablePredictor, load_predictor, load_pretrained, pretrained
from mnaslat.search import load_winner
from tests.golden import commands, made_up

_SAME = 1e-12
_SAME_INTERVAL = 1e-6  # of a cost model: between processors they differ by up to 1e-7
_SAME_SEARCH = 1e-9
_SAME_FIT = 1e-6  # of numerical optimisation


def _golden(name: str) -> Any:
    return json.loads((made_up.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


PREDICTIONS = _golden("predictions")
SEARCHES = _golden("searches")
COMMANDS = _golden("commands")
WORKSPACE = _golden("workspace")


def assert_same(found: Any, expected: Any, rel: float, where: str = "") -> None:
    """Equal, numbers that are not whole to a relative tolerance."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_same(found[key], expected[key], rel, f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, rel, f"{where}/{index}")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=rel), f"{where}: {found}, not {expected}"
    else:
        assert found == expected, where


def assert_same_predictions(
    found: dict[str, list[float]], expected: dict[str, list[float]], rel: float, rel_interval: float
) -> None:
    """Latencies to one tolerance, bounds to another."""
    assert_same(_part(found, 0, 1), _part(expected, 0, 1), rel)
    assert_same(_part(found, 1, 3), _part(expected, 1, 3), rel_interval)


def _part(rows: dict[str, list[float]], first: int, last: int) -> dict[str, list[float]]:
    return {name: row[first:last] for name, row in rows.items()}


# --- predictions


@pytest.fixture(scope="module")
def graphs() -> dict[Precision, dict[str, Graph]]:
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    return {precision: made_up.networks(precision) for precision in precisions}


def test_all_shipped_predictors_are_there() -> None:
    assert list(pretrained()) == list(PREDICTIONS["shipped"])


@pytest.mark.parametrize("name", PREDICTIONS["shipped"])
def test_a_shipped_predictor_predicts_the_same(
    name: str, graphs: dict[Precision, dict[str, Graph]]
) -> None:
    predictor = load_pretrained(name)
    asked = graphs[predictor.configuration.precision]
    found = made_up.predictions(predictor, asked, every=made_up.EVERY)
    assert_same_predictions(found, PREDICTIONS["shipped"][name], _SAME, _SAME_INTERVAL)


@pytest.mark.parametrize("name", PREDICTIONS["saved"])
def test_a_predictor_file_predicts_the_same(name: str) -> None:
    predictor = load_predictor(made_up.PREDICTORS / f"{name}.mnaslat")
    found = made_up.predictions(predictor, made_up.asked_of(predictor))
    of_intervals = _SAME_INTERVAL if name == "cost-model-fp16" else _SAME
    assert_same_predictions(found, PREDICTIONS["saved"][name], _SAME, of_intervals)
    if name != "kernel-model":  # nothing but arrays
        assert predictor.provenance == {"source": "made up"}


def test_what_is_fitted_now_predicts_the_same() -> None:
    assert_same(made_up.fits(), PREDICTIONS["fitted"], _SAME_FIT)


# --- searches


@pytest.mark.parametrize("name", made_up.SEARCHES)
def test_the_same_seed_gives_the_same_search(name: str, tmp_path: Path) -> None:
    found = json.loads(json.dumps(made_up.search(made_up.SEARCHES[name], tmp_path)))
    expected = SEARCHES[name]
    if name in made_up.CHAOTIC and SEARCHES["arithmetic"] != made_up.arithmetic():
        found, expected = (_beginning(each, made_up.CHAOTIC[name]) for each in (found, expected))
    assert_same(found, expected, _SAME_SEARCH)


def _beginning(found: dict[str, Any], n: int) -> list[list[Any]]:
    """Tokens, target and accuracy of the first; latencies are rescored by what comes later."""
    return [row[:3] for row in found["evaluations"][:n]]


# --- commands


def test_every_command_is_there_with_all_it_takes() -> None:
    """New commands and options may be added; sentences of the help may be written anew."""
    found = commands.described()
    for words, expected in COMMANDS.items():
        assert words in found, f"{words} is gone"
        assert bool(found[words]["help"]) == bool(expected["help"]), words
        for name, parameter in expected["parameters"].items():
            now = {each["names"][0]: each for each in found[words]["parameters"].values()}
            first = parameter["names"][0]
            assert first in now, f"{words} {first} is gone"
            assert set(parameter["names"]) <= set(now[first]["names"]), f"{words} {name}"
            for key in parameter.keys() - {"names"}:
                assert now[first][key] == parameter[key], f"{words} {first}: {key}"


# --- a workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the golden one; it is called ``workspace`` in the current folder, as when made."""
    shutil.copytree(made_up.FOLDER / "workspace", tmp_path / "workspace")
    shutil.copy(made_up.FOLDER / "golden_space.py", tmp_path)
    commands.stand_in(tmp_path, monkeypatch)
    return Path("workspace")


def test_its_predictor_predicts_the_same(workspace: Path) -> None:
    models = [row["model"] for row in WORKSPACE["predicted"]]
    printed, _ = commands.run("predict", *models, "--workspace", str(workspace), "--json")
    assert_same(json.loads(printed)["models"], WORKSPACE["predicted"], _SAME)


def test_its_table_and_its_measurements_agree(workspace: Path) -> None:
    (path,) = (workspace / "tables").iterdir()
    table, expected = LatencyTable.load(path), WORKSPACE["table"]
    assert len(table) == expected["n_rows"]
    winner = workspace / "runs" / "finished" / "winner.json"
    architecture = Architecture.from_json(json.loads(winner.read_text(encoding="utf-8")))
    assert_same(TablePredictor(table).predict_ms(architecture), expected["winner_ms"], _SAME)
    store = Workspace(workspace).store()
    try:
        measured = store.measurements(table.configuration, "layer")
        read = LatencyTable.from_measurements(table.configuration, measured)
    finally:
        store.close()
    assert read.to_json() == table.to_json()


def test_a_report_of_its_finished_run_is_written(workspace: Path) -> None:
    printed, _ = commands.run(
        "report", "finished", "--space", "golden_space.py:space", "--workspace", str(workspace)
    )
    assert "Report: report.html" in printed
    page = Path("report.html").read_text(encoding="utf-8")
    assert "The conditions of measuring are left out" not in page  # the measurements were read
    for row in WORKSPACE["finished"]["validations"][:3]:
        assert f"{row[4]:.3f}" in page


def test_its_finished_run_holds_what_was_found(workspace: Path) -> None:
    run = workspace / "runs" / "finished"
    expected = WORKSPACE["finished"]
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert (result["ended"], result["n_samples"]) == ("samples", expected["n_samples"])
    kept = {name: expected[name] for name in ("evaluations", "validations")}
    assert_same(made_up.found_in(run), kept, _SAME)
    network = load_winner(run / "winner.pt")
    assert network.graph.signature == _lowered(run / "winner.json").signature


def _lowered(path: Path) -> Graph:
    return lower(Architecture.from_json(json.loads(path.read_text(encoding="utf-8"))))


def test_its_unfinished_run_goes_on_to_the_end_it_would_have_come_to(workspace: Path) -> None:
    run, expected = workspace / "runs" / "unfinished", WORKSPACE["unfinished"]
    before = made_up.found_in(run)
    assert_same(before["evaluations"], expected["evaluations"], _SAME)
    assert expected["ended"] == "stopped" and len(before["evaluations"]) == expected["n_samples"]
    assert (run / "searcher.pt").exists()  # a checkpoint is read too
    _, notices = commands.run(*commands.UNFINISHED, "--workspace", str(workspace))
    assert "unfinished run in workspace/runs/unfinished" in notices
    after: Any = made_up.found_in(run)
    at_the_end: Any = expected["at the end"]
    assert len(after["evaluations"]) == len(at_the_end["evaluations"])
    if WORKSPACE["arithmetic"] != made_up.arithmetic():
        n = expected["n_samples"]  # what was found before the interruption
        after, at_the_end = _beginning(after, n), _beginning(at_the_end, n)
    assert_same(after, at_the_end, _SAME_SEARCH)
    assert len(list((workspace / "runs").iterdir())) == 2  # no new one
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert result["ended"] == "samples"
