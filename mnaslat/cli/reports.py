"""The command that writes a report."""

from pathlib import Path
from typing import Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_workspace,
    print_json,
)


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
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write one offline HTML file: what was found, latency table, errors, reward, Pareto front.

    Example: mnaslat report --output report.html
    """
    from mnaslat.cli.report_content import report_page
    from mnaslat.cli.report_page import write_report

    page = report_page(open_workspace(workspace), source)
    write_report(page, output)
    if json:
        print_json({"report": str(output), "headline": list(page.headline)})
        return
    for sentence in page.headline:
        print(sentence)
    print(f"Report: {output}")


REPORTS = (report,)
