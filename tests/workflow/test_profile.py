"""``profile_space`` measures the layers of a space into a table."""

from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, DeviceError, WorkspaceBusy
from tests.workflow.made_up_device import MadeUpDevice, Recorder, json_text, small_space

SPACE = small_space()


def test_every_layer_of_the_space_is_measured_and_progress_is_reported(
    workspace: Workspace,
) -> None:
    events = Recorder()
    found = mnaslat.profile_space(MadeUpDevice(), SPACE, workspace, events=events)
    assert found.sweep.n_left == 0 and len(found.table) == found.sweep.n_total == 23
    assert set(found.table.rows) == set(SPACE.layer_frequencies())
    assert events.steps[-1][1:] == (46, 46)  # two rounds of each
    assert mnaslat.LatencyTable.load(str(found.path)).rows == found.table.rows
    assert mnaslat.LatencyTable.load(found.path).rows == found.table.rows
    assert str(found.path) in json_text(found)
    assert len(repr(found)) < 200
    assert "23 layers" in repr(found.table) and "<table>" in found.table._repr_html_()


def test_a_second_call_measures_only_what_is_missing(workspace: Workspace) -> None:
    mnaslat.profile_space(MadeUpDevice(), SPACE, workspace)
    device = MadeUpDevice()
    again = mnaslat.profile_space(device, SPACE, workspace)
    assert device.n_rounds_measured == again.sweep.n_rounds == 0
    assert len(again.table) == 23


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"precision": "fp64"}, "one of fp32, fp16, int8"),
        ({"budget_s": 0.0}, "a positive number"),
        ({"budget_s": float("nan")}, "a positive number"),
        ({"seed": -1}, "a whole number from 0 on"),
        ({"seed": 1.5}, "a whole number from 0 on"),
        ({"space": "mnasnet"}, "load_space"),
        ({"workspace": "folder"}, r"mnaslat\.Workspace\(FOLDER\)"),
        ({"device": "host"}, "open_device"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(
    workspace: Workspace, wrong: dict[str, Any], says: str
) -> None:
    given = {"device": MadeUpDevice(), "space": SPACE, "workspace": workspace, **wrong}
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.profile_space(**given)
    assert [caught.value.argument] == list(wrong)


def test_a_device_that_runs_no_layer_says_why(workspace: Workspace) -> None:
    with pytest.raises(DeviceError, match="None of the 23 layers .* made up to fail"):
        mnaslat.profile_space(MadeUpDevice(fails="fp32"), SPACE, workspace)


def test_a_workspace_in_use_is_refused(workspace: Workspace) -> None:
    with workspace.lock("made-up"), pytest.raises(WorkspaceBusy, match="in use by process"):
        mnaslat.profile_space(MadeUpDevice(), SPACE, workspace)


def test_a_workspace_is_named_by_text_or_path(tmp_path: Path) -> None:
    by_text = mnaslat.Workspace(str(tmp_path / "a"))
    assert by_text.path == mnaslat.Workspace(tmp_path / "a").path == tmp_path / "a"
    assert by_text.runs == tmp_path / "a" / "runs"
