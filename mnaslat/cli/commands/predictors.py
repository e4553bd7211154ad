"""The command ``predictors``."""

from typing import TYPE_CHECKING

from mnaslat.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, open_workspace
from mnaslat.cli.terminal import print_json

if TYPE_CHECKING:
    from mnaslat.workflow.predictor_library import ListedPredictor


def predictors(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the predictors: those of the workspace, and the phones that come with mnaslat.

    Example: mnaslat predictors
    """
    from mnaslat.workflow.predictor_library import list_predictors, list_pretrained

    # No workspace is made only to say that it is empty.
    own = list_predictors(open_workspace(workspace)) if workspace.is_dir() else []
    known = list_pretrained()
    if json:
        print_json(
            {
                "workspace": [each.to_json() for each in own],
                "shipped": [each.to_json() for each in known],
            }
        )
        return
    if own:
        print(f"In {workspace}, the newest first:")
        for each in own:
            print(_line(each))
    print("With mnaslat, for --predictor NAME (wrong by: held out, and of new families):")
    for each in known:
        print(_line(each))


def _line(row: "ListedPredictor") -> str:
    errors = (row.errors.held_out_mape, row.errors.new_family_mape)
    shown = "".join(f"{'' if each is None else f'{each:.1%}':>7}" for each in errors)
    networks = f"{row.errors.n_networks} networks, {row.configuration.precision}"
    return f"  {row.name:30}{shown}   {networks}"
