"""Run folders are read with care: they are passed around."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mnaslat.data.workspace import Workspace
from mnaslat.search.run.records import Evaluation
from mnaslat.search.run.run_store import SearchStore
from mnaslat.workflow.runs import unfinished_run


def _run_folder(folder: Path, **changes: Any) -> Path:
    reward = {"target_ms": 5.0, "alpha": 0.0, "beta": -1.0}
    settings = {"reward": reward, "space": "mnasnet", **changes}
    folder.mkdir(parents=True)
    content = {"format": 2, "request": {"accuracy": "supernet"}, "settings": settings}
    (folder / "run.json").write_text(json.dumps(content))
    store = SearchStore(folder / "search.sqlite")
    store.write_evaluations([Evaluation(1, 0, (0,) * 42, 5.0, 0.5, 5.0, 5.0, 0.5)])
    store.commit()
    store.close()
    return folder


def test_reading_a_run_runs_no_code_that_it_names(cli: Any, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(sprung)!r}, 'w')\n")
    folder = _run_folder(tmp_path / "runs" / "a", space=f"{trap}:space")
    for command in ("report", "validate"):
        error = cli.run(command, str(folder), "--workspace", str(tmp_path), status=1).stderr
        assert f"--space {trap}:space" in error
        assert not sprung.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"format": 1}', b'{"format": 3}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_run_is_one_sentence_and_no_bar_to_a_new_one(
    cli: Any, tmp_path: Path, content: bytes
) -> None:
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(content)
    error = cli.run("validate", str(folder), "--workspace", str(tmp_path), status=1).stderr
    assert re.fullmatch(r"mnaslat: .* is not the folder of a search run: .*\n", error)
    arguments = ("search", *cli.small, "--predictor", "nope.mnaslat", "--workspace", str(tmp_path))
    assert "no predictor file" in cli.run(*arguments, status=1).stderr


def test_a_damaged_store_is_one_sentence(cli: Any, tmp_path: Path) -> None:
    folder = _run_folder(tmp_path / "runs" / "a")
    (folder / "search.sqlite").write_bytes(b"no database" * 1000)
    error = cli.run("report", str(folder), "--workspace", str(tmp_path), status=1).stderr
    assert "as the store of a search" in error


def test_only_an_unfinished_run_of_the_same_request_is_gone_on_with(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = _run_folder(tmp_path / "runs" / "a")
    request = {"accuracy": "supernet"}
    found = unfinished_run(workspace, request)
    assert found is not None and found.folder == folder
    assert unfinished_run(workspace, {"accuracy": "other"}) is None
    for ended in ("time", "stopped"):  # with a result, but not all samples done
        (folder / "result.json").write_text(json.dumps({"ended": ended}))
        found = unfinished_run(workspace, request)
        assert found is not None and found.folder == folder
    (folder / "result.json").write_text('{"ended": "samples"}')
    assert unfinished_run(workspace, request) is None
