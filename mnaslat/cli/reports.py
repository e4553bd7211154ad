"""The command that writes a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    TrustedSpaceOption,
    WorkspaceOption,
    open_workspace,
    print_json,
)

if TYPE_CHECKING:
    from mnaslat.data.measurement import Configuration
    from mnaslat.data.workspace import Workspace
    from mnaslat.reports.page_data import ReportPage


def report(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|PREDICTOR|TABLE",
            help="Run folder, predictor or table file; the workspace's newest run if left out.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")] = Path(
        "report.html"
    ),
    space: TrustedSpaceOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write one offline HTML file: what was found, latency table, errors, reward, Pareto front.

    Example: mnaslat report --output report.html
    """
    from mnaslat.reports.page import write_report

    page = _page(open_workspace(workspace), source, space)
    write_report(page, output)
    if json:
        print_json({"report": str(output), "headline": list(page.headline)})
        return
    for sentence in page.headline:
        print(sentence)
    print(f"Report: {output}")


def _page(workspace: "Workspace", source: Path | None, space: str) -> "ReportPage":
    from mnaslat.cli.runs import find_run
    from mnaslat.data.latency_table import LatencyTable
    from mnaslat.predictors.network_predictor import open_predictor
    from mnaslat.reports.predictor_page import predictor_page, table_page
    from mnaslat.reports.run_page import run_page

    source = _existing(workspace, source)
    if source.is_dir():
        run = find_run(workspace, source, space)
        return _with_conditions(run_page(run), workspace, run.predictor.configuration)
    if source.suffix == ".json":
        table = LatencyTable.load(source)
        return _with_conditions(table_page(table, source.name), workspace, table.configuration)
    predictor = open_predictor(source)
    page = predictor_page(predictor, source.name)
    return _with_conditions(page, workspace, predictor.configuration)


def _existing(workspace: "Workspace", source: Path | None) -> Path:
    from mnaslat.errors import MnaslatError
    from mnaslat.predictors import pretrained

    source = source or workspace.newest_run() or workspace.newest_predictor()
    if source is None:
        raise MnaslatError(
            f"There is nothing to report in workspace {workspace.path} yet. Run `mnaslat "
            "profile` first, or name a run folder, predictor or table."
        )
    if not source.exists() and (workspace.runs / source).is_dir():
        source = workspace.runs / source  # a run's name, as given to --run
    if not source.exists() and str(source) in (shipped := pretrained()):
        source = shipped[str(source)].path
    if not source.exists():
        raise MnaslatError(f"There is no {source}. Name a run folder, a predictor or a table file.")
    return source


def _with_conditions(
    page: "ReportPage", workspace: "Workspace", configuration: "Configuration"
) -> "ReportPage":
    """The page with what the workspace knows of the time in which its latencies were measured."""
    from dataclasses import replace

    from mnaslat.errors import WorkspaceError
    from mnaslat.reports.conditions import conditions_section

    try:
        store = workspace.store()
        try:
            return replace(page, conditions=conditions_section(store, configuration))
        finally:
            store.close()
    except WorkspaceError as error:  # the rest of the page does not need the store
        warning = f"The conditions of measuring are left out. {error}"
        return replace(page, warnings=(*page.warnings, warning))


REPORTS = (report,)
