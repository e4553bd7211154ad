"""Starts, finds and opens the search runs of a workspace."""

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from mnaslat.data.workspace import Workspace
from mnaslat.errors import SearchError
from mnaslat.files import replace_file
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.predictors.storage.files import save_predictor
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.latency.reachable import check_targets
from mnaslat.search.run.run_folder import SearchRun, read, run_record
from mnaslat.search.run.space_options import SpaceOptions
from mnaslat.search.settings import SearchSettings
from mnaslat.space import SearchSpace


def open_run(
    name_or_folder: str | PathLike[str] | None,
    workspace: Workspace,
    *,
    space: SearchSpace | str | None = None,
) -> SearchRun:
    """Open a run by its name or folder; without one the workspace's newest.

    Args:
        name_or_folder: As given to ``--run``, or a path.
        workspace: Where runs are kept.
        space: The space of the run, or its text ``FILE.py:FUNCTION`` if you trust that file. A
            run that somebody else made is never a reason to run code.

    Raises:
        SearchError: If there is none, or it cannot be read.
    """
    folder = workspace.newest_run() if name_or_folder is None else Path(name_or_folder)
    if folder is None:
        raise SearchError(
            f"There is no search run in workspace {workspace.path} yet. Start one with `mnaslat "
            "search`."
        )
    if not folder.exists() and (workspace.runs / folder).exists():
        folder = workspace.runs / folder
    run = read(folder)
    if isinstance(space, SearchSpace):
        return run.with_space(space)
    return replace(run, trusted_space=space or "")


def list_runs(workspace: Workspace) -> list[SearchRun]:
    """Return the runs of a workspace that can be read, the newest first."""
    return list(_readable(workspace))


def unfinished_run(workspace: Workspace, request: Mapping[str, Any]) -> SearchRun | None:
    """Return the newest unfinished run that was started with the same request."""
    for run in _readable(workspace):
        if not run.finished and run.request == request:
            return replace(run, trusted_space=run.space_options.space)  # the user has just named it
    return None


def _readable(workspace: Workspace) -> Iterator[SearchRun]:
    for path in sorted(workspace.runs.glob("*/run.json"), reverse=True):
        with contextlib.suppress(SearchError):  # damaged, or of another version
            yield read(path.parent)


def new_run(
    workspace: Workspace,
    name: str,
    request: Mapping[str, Any],
    settings: SearchSettings,
    predictor: NetworkPredictor | Path,
    space: SearchSpace,
) -> SearchRun:
    """Make a run folder; ``run.json`` is written last, so that a folder with one is whole.

    Args:
        workspace: Where runs are kept.
        name: Of the folder; empty makes one from the time.
        request: What the user asked for; the same request resumes the run.
        settings: Of the search.
        predictor: Saved, or copied from its file, into the run.
        space: To be searched.

    Raises:
        SearchError: If the folder holds a run already, or the target is out of reach.
    """
    folder = _new_folder(workspace.runs, re.sub(r"[^\w-]", "_", name), request)
    space_options = SpaceOptions.of(space)
    run = SearchRun(folder, request, settings, space_options, trusted_space=space.name)
    if isinstance(predictor, Path):
        run.predictor_path.write_bytes(predictor.read_bytes())
    else:
        save_predictor(predictor, run.predictor_path)
    try:  # before run.json exists, so that a failed start leaves nothing to resume
        latencies = Latencies(run.predictor, space, settings.latency)
        check_targets(settings.target_range_ms, latencies, space)
    except SearchError:
        run.predictor_path.unlink()
        with contextlib.suppress(OSError):  # something else of the user's may be there
            folder.rmdir()
        raise
    content = run_record(request, settings, space_options)
    replace_file(folder / "run.json", (json.dumps(content, indent=1) + "\n").encode())
    return run


def _new_folder(runs: Path, name: str, request: Mapping[str, Any]) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    if name:
        folder = runs / name
        if (folder / "run.json").exists():
            raise SearchError(
                f"There is a run in {folder} already{_difference(folder, request)}. Choose another "
                "--run, or none."
            )
        folder.mkdir(exist_ok=True)
        return folder
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = runs / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir()  # fails if another search has just made it
        except FileExistsError:
            continue
        return folder
    raise SearchError(f"Cannot make a new run folder in {runs}. Name one with --run.")


def _difference(folder: Path, request: Mapping[str, Any]) -> str:
    """Say how a request differs from that of a run in a folder."""
    try:
        known = read(folder).request
    except SearchError:
        return ", of another version or damaged"
    for name in sorted(known.keys() | request.keys()):
        if known.get(name) != request.get(name):
            was, now = known.get(name), request.get(name)
            return f", started with another {name.replace('_', '-')} ({was}, not {now})"
    return ", and it is finished"
