"""``write_report`` writes a page about a run, a predictor or a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, MnaslatError
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.workflow.calibrate import Calibration
from mnaslat.workflow.predict import predict_networks
from mnaslat.workflow.report import write_explanations


@pytest.mark.parametrize("as_text", [False, True], ids=["path", "text"])
def test_a_run_a_predictor_and_a_table_give_a_page(
    calibration: Calibration, run: SearchRun, tmp_path: Path, as_text: bool
) -> None:
    place: Callable[[Path], Any] = str if as_text else Path
    table = calibration.path.parents[1] / "tables"
    (table_path,) = table.iterdir()
    sources = {
        "run": run,
        "predictor": calibration.predictor,
        "predictor file": place(calibration.path),
        "table": mnaslat.LatencyTable.load(place(table_path)),
        "table file": place(table_path),
        "pretrained": "pixel4-cpu1-fp32",
    }
    for name, source in sources.items():
        path = tmp_path / "pages" / f"{name}.html"
        assert mnaslat.write_report(source, place(path)) == path
        assert path.read_text().lower().startswith("<!doctype html>")


def test_runs_are_found_in_the_workspace_by_name_or_as_the_newest(
    calibration: Calibration, workspace: Workspace, tmp_path: Path
) -> None:
    found = mnaslat.run_search(
        mnaslat.load_space("mnasnet", width=0.25, resolution=32, n_classes=10),
        "pixel4-cpu1-fp32", accuracy=lambda architecture: 0.5, workspace=workspace, n_samples=5,
        searcher="random", name="mine",
    )  # fmt: skip
    for source in (None, "mine", found.folder):
        path = mnaslat.write_report(source, tmp_path / "page.html", workspace=workspace)
        assert "mnasnet" in path.read_text()
        path.unlink()


@pytest.mark.parametrize("source", [5, {}, [1.0]], ids=["number", "dictionary", "list"])
def test_another_source_says_what_can_be_reported(source: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="a run, a predictor of whole networks, a latency"):
        mnaslat.write_report(source, tmp_path / "page.html")


def test_what_is_not_there_or_cannot_be_written_is_a_state_of_the_world(
    calibration: Calibration, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(MnaslatError, match="There is no nothing"):
        mnaslat.write_report("nothing", tmp_path / "page.html", workspace=workspace)
    with pytest.raises(MnaslatError, match="nothing to report"):
        mnaslat.write_report(None, tmp_path / "page.html", workspace=workspace)
    with pytest.raises(MnaslatError, match="Cannot write .*Is a directory"):
        mnaslat.write_report(calibration.predictor, tmp_path)


def test_explanations_become_a_page_if_they_were_asked_for(
    calibration: Calibration, run: SearchRun, tmp_path: Path
) -> None:
    network, predictor = run.candidates()[0].architecture, calibration.predictor
    rows = predict_networks(predictor, [network], explain=True)
    path = write_explanations(predictor, "mine", [("best", rows[0])], str(tmp_path / "page.html"))
    assert "best" in path.read_text()
    with pytest.raises(ArgumentError, match="ask for it with explain"):
        write_explanations(
            predictor, "mine", [("best", predict_networks(predictor, [network])[0])], path
        )
