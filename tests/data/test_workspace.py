"""The folder of a user's files: one process measures at a time, and nothing leaves the folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mnaslat.data.workspace import Workspace
from mnaslat.errors import WorkspaceBusy, WorkspaceError

_HOLDER = """
import sys, time
from pathlib import Path
from mnaslat.data.workspace import Workspace

with Workspace(Path(sys.argv[1])).lock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def _hold(path: Path, name: str) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path), name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=path,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    return holder


def _kill(holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.communicate()
    assert holder.returncode == -signal.SIGKILL


def test_a_lock_held_elsewhere_names_its_process_and_is_free_once_that_is_killed(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    holder = _hold(tmp_path, "phone")
    try:
        with pytest.raises(WorkspaceBusy, match=f"^phone is in use by process {holder.pid}\\."):
            with workspace.lock("phone"):
                pass
        with workspace.lock("host"):  # another name is free
            pass
    finally:
        _kill(holder)
    with workspace.lock("phone"):
        pass


def test_a_lock_is_exclusive_within_a_process_too_and_free_after_an_exception(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(KeyError), workspace.lock("host"):
        with pytest.raises(WorkspaceBusy, match=f"process {os.getpid()}"):
            with workspace.lock("host"):
                pass
        raise KeyError
    with workspace.lock("host"):
        pass


@pytest.mark.parametrize("name", ["a/b", "../../up", "..", 'it\'s "quoted"', "a\nb\0c", "ü", ""])
def test_whatever_a_lock_is_called_its_file_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "workspace"
    with Workspace(folder).lock(name):
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in files] == 2 * [folder / "locks"]


def test_a_workspace_that_cannot_be_made_says_how_to_choose_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WorkspaceError, match=r"Cannot make the workspace .*--workspace\.$"):
            Workspace(path)


def test_a_read_only_workspace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so permissions alone do not show it.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(WorkspaceError, match=r"is read-only\. Choose a folder"):
        Workspace(tmp_path)


def test_a_lock_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where the folder should be")
    with pytest.raises(WorkspaceError, match=r"Cannot write .*host\.lock: "):
        with Workspace(tmp_path).lock("host"):
            pass


def test_the_newest_predictor_and_run_are_those_written_last(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.newest_predictor() is None
    assert workspace.newest_run() is None
    workspace.predictors.mkdir()
    for age_s, name in ((30, "a.mnaslat"), (10, "b.mnaslat"), (20, "c.mnaslat"), (1, "notes.txt")):
        _write(workspace.predictors / name, age_s)
    _write(workspace.predictors / ".d.mnaslat.12.partial", 0)
    for age_s, name in ((20, "run-1"), (10, "run-2"), (30, "run-3")):
        _write(workspace.runs / name / "run.json", age_s)
    (workspace.runs / "no-run").mkdir()
    assert workspace.newest_predictor() == workspace.predictors / "b.mnaslat"
    assert workspace.newest_run() == workspace.runs / "run-2"


def _write(path: Path, age_s: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    os.utime(path, (1e9 - age_s, 1e9 - age_s))


def test_the_store_lies_in_the_workspace(tmp_path: Path) -> None:
    store = Workspace(tmp_path / "new").store()
    store.close()
    assert (tmp_path / "new" / "measurements.sqlite").is_file()


def test_a_workspace_is_named_by_text_or_path(tmp_path: Path) -> None:
    assert Workspace(str(tmp_path / "ours")).path == Workspace(tmp_path / "ours").path
