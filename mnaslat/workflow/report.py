"""Writes reports of runs, predictors, tables and explanations as HTML pages."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, MnaslatError, WorkspaceError
from mnaslat.predictors.network_predictor import NetworkPredictor, open_predictor
from mnaslat.predictors.pretrained.library import pretrained
from mnaslat.reports.conditions import conditions_section
from mnaslat.reports.explanation_page import explanation_page
from mnaslat.reports.page import write_report as write_page
from mnaslat.reports.page_data import ReportPage
from mnaslat.reports.predictor_page import predictor_page, table_page
from mnaslat.reports.run_page import run_page
from mnaslat.search.run.run_folder import SearchRun, read
from mnaslat.workflow.arguments import check_arguments, writing
from mnaslat.workflow.predict import PredictedNetwork

__all__ = ["report_page", "write_explanations", "write_page", "write_report"]

Source = SearchRun | NetworkPredictor | LatencyTable | str | PathLike[str]


def write_report(
    source: Source | None,
    path: str | PathLike[str] = "report.html",
    *,
    workspace: Workspace | None = None,
) -> Path:
    """Write one offline HTML file about a run, a predictor or a latency table.

    Args:
        source: The object itself, or a run folder, the name of a run, a predictor or table file.
            None takes the workspace's newest run or predictor.
        path: Of the file to write.
        workspace: Where runs are looked for, and whose measurements say in which conditions
            latencies were measured; these are left out without one.

    Returns:
        The path of the file.

    Raises:
        ValueError: If an argument is wrong.
        MnaslatError: If the source is not there or cannot be read, or the file cannot be written.
    """
    check_arguments(workspace=workspace)
    page = report_page(source, workspace)
    with writing(path) as place:
        write_page(page, place)
    return place


def report_page(
    source: Source | None, workspace: Workspace | None, *, space: str = ""
) -> ReportPage:
    """Make the content of a report; ``space`` is the space of a run that may be run as code.

    Raises:
        MnaslatError: If the source is not there or cannot be read.
    """
    if isinstance(source, SearchRun):
        return _with_conditions(run_page(source), workspace, source.predictor.configuration)
    if isinstance(source, LatencyTable):
        return _with_conditions(table_page(source, "table"), workspace, source.configuration)
    if isinstance(source, NetworkPredictor):
        page = predictor_page(source, source.configuration.device)
        return _with_conditions(page, workspace, source.configuration)
    if source is not None and not isinstance(source, str | PathLike):
        raise ArgumentError(
            "source",
            "source must be a run, a predictor of whole networks, a latency table, or the path of "
            f"one, got a value of type {type(source).__name__}.",
        )
    place = _existing(workspace, None if source is None else Path(source))
    if place.is_dir():
        return report_page(replace(read(place), trusted_space=space), workspace)
    if place.suffix == ".json":
        table = LatencyTable.load(place)
        return _with_conditions(table_page(table, place.name), workspace, table.configuration)
    predictor = open_predictor(place)
    page = predictor_page(predictor, place.name)
    return _with_conditions(page, workspace, predictor.configuration)


def write_explanations(
    predictor: NetworkPredictor,
    name: str,
    explained: Sequence[tuple[str, PredictedNetwork]],
    path: str | PathLike[str],
) -> Path:
    """Write one HTML file that shows the layers of predicted networks as bars.

    Args:
        predictor: That predicted them.
        name: Of the predictor, for people.
        explained: Names of the networks, and predictions with an explanation.
        path: Of the file to write.

    Raises:
        ValueError: If a prediction has no explanation.
    """
    rows = []
    for model, row in explained:
        if row.explanation is None:
            raise ArgumentError(
                "explained", f"{model} was predicted without explanation: ask for it with explain."
            )
        rows.append((model, row.explanation))
    with writing(path) as place:
        write_page(explanation_page(predictor, name, rows), place)
    return place


def _existing(workspace: Workspace | None, source: Path | None) -> Path:
    if source is None and workspace is not None:
        source = workspace.newest_run() or workspace.newest_predictor()
    if source is None:
        where = "no workspace is given" if workspace is None else f"workspace {workspace.path}"
        raise MnaslatError(
            f"There is nothing to report in {where} yet. Run `mnaslat profile` first, or name a "
            "run folder, predictor or table."
        )
    if not source.exists() and workspace is not None and (workspace.runs / source).is_dir():
        source = workspace.runs / source  # a run's name, as given to --run
    if not source.exists() and str(source) in (known := pretrained()):
        source = known[str(source)].path
    if not source.exists():
        raise MnaslatError(f"There is no {source}. Name a run folder, a predictor or a table file.")
    return source


def _with_conditions(
    page: ReportPage, workspace: Workspace | None, configuration: Configuration
) -> ReportPage:
    """The page with what the workspace knows of the time in which its latencies were measured."""
    if workspace is None:
        return page
    try:
        store = workspace.store()
        try:
            return replace(page, conditions=conditions_section(store, configuration))
        finally:
            store.close()
    except WorkspaceError as error:  # the rest of the page does not need the store
        warning = f"The conditions of measuring are left out. {error}"
        return replace(page, warnings=(*page.warnings, warning))
