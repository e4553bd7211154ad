"""The command ``predictors``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    open_workspace,
)
from mnaslat.cli.terminal import print_json

if TYPE_CHECKING:
    from mnaslat.data.measurement import Configuration
    from mnaslat.predictors.declared_errors import DeclaredErrors


def predictors(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the predictors: those of the workspace, and the phones that come with mnaslat.

    Example: mnaslat predictors
    """
    own, shipped = _own(workspace), _shipped()
    if json:
        print_json({"workspace": own, "shipped": shipped})
        return
    if own:
        print(f"In {workspace}, the newest first:")
        for row in own:
            print(_line(row))
    print("With mnaslat, for --predictor NAME (wrong by: held out, and of new families):")
    for row in shipped:
        print(_line(row))


def _own(workspace: Path) -> list[dict[str, Any]]:
    if not workspace.is_dir():  # none is made only to say that it is empty
        return []
    from mnaslat.errors import PredictorFileError
    from mnaslat.predictors.declared_errors import declared_errors
    from mnaslat.predictors.network_predictor import open_predictor
    from mnaslat.workflow.predictor_library import newest_first

    rows = []
    for path in newest_first(open_workspace(workspace)):
        try:
            found = open_predictor(path)
        except PredictorFileError:  # whosever it is, it is of no use
            continue
        rows.append(_row(str(path), found.configuration, declared_errors(found)))
    return rows


def _shipped() -> list[dict[str, Any]]:
    from mnaslat.predictors import pretrained
    from mnaslat.predictors.declared_errors import DeclaredErrors

    return [
        _row(
            name,
            each.configuration,
            DeclaredErrors(each.n_networks, each.mape, each.new_family_mape),
        )
        for name, each in pretrained().items()
    ]


def _row(name: str, configuration: "Configuration", errors: "DeclaredErrors") -> dict[str, Any]:
    return {
        "predictor": name,
        "device": configuration.device,
        "precision": configuration.precision,
        "threads": configuration.threads,
        "cores": configuration.cores,
        "delegate": configuration.delegate,
        **asdict(errors),
    }


def _line(row: dict[str, Any]) -> str:
    errors = [row["held_out_mape"], row["new_family_mape"]]
    shown = "".join(f"{'' if each is None else f'{each:.1%}':>7}" for each in errors)
    return f"  {row['predictor']:30}{shown}   {row['n_networks']} networks, {row['precision']}"
