"""The command ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    TrustedSpaceOption,
    WorkspaceOption,
    open_workspace,
)
from mnaslat.cli.terminal import print_json


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
    from mnaslat.workflow.report import report_page, write_page

    page = report_page(source, open_workspace(workspace), space=space)
    write_page(page, output)
    if json:
        print_json({"report": str(output), "headline": list(page.headline)})
        return
    for sentence in page.headline:
        print(sentence)
    print(f"Report: {output}")
