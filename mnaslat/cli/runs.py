"""Search runs in a workspace: started, found again, read."""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mnaslat.architecture import Architecture
from mnaslat.cli.predictors import WholePredictor, open_predictor
from mnaslat.data.workspace import Workspace
from mnaslat.errors import SearchError
from mnaslat.search.result import Candidate, candidates_of
from mnaslat.search.reward import RewardSettings
from mnaslat.search.settings import SearchSettings
from mnaslat.search.store import SearchStore
from mnaslat.space import SearchSpace, space_names

_FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run folder: ``run.json`` with the options, the predictor it was started with, results."""

    folder: Path
    request: Mapping[str, Any]  # what the user asked for; the same request goes on with the run
    settings: SearchSettings
    trusted_space: str = ""  # a space in a Python file that may be run

    @property
    def finished(self) -> bool:
        """Whether the search has ended and written its result."""
        return (self.folder / "result.json").exists()

    @property
    def predictor_path(self) -> Path:
        """The predictor that the run was started with; a copy, so that it stays the same."""
        return self.folder / "predictor.mnaslat"

    @cached_property
    def predictor(self) -> WholePredictor:
        """The predictor that the run was started with."""
        return open_predictor(self.predictor_path)

    @cached_property
    def space(self) -> SearchSpace:
        """The space that is searched.

        Raises:
            SearchError: If it is in a Python file that the user has not named: reading somebody's
                run must not run their code.
        """
        name = self.settings.space
        if name not in space_names() and name != self.trusted_space:
            raise SearchError(
                f"The run in {self.folder} searches a space from a Python file. If you trust the "
                f"file, allow it to be run with --space {name}"
            )
        try:
            return self.settings.load_space()
        except (ValueError, TypeError) as error:
            raise SearchError(
                f"The settings of the run in {self.folder} are damaged: {error}"
            ) from None

    def store(self) -> SearchStore:
        """What the run has found out so far, to be read only."""
        path = self.folder / "search.sqlite"
        if not path.exists():
            raise SearchError(f"The run in {self.folder} has not begun: start it again.")
        return SearchStore(path, read_only=True)

    def candidates(self) -> list[Candidate]:
        """Every network evaluated so far, the one with the highest reward first."""
        store = self.store()
        evaluations, validations = store.evaluations(), store.validations()
        store.close()
        found = candidates_of(evaluations, validations, self._architecture)
        return sorted(found, key=lambda each: -each.reward)

    def _architecture(self, tokens: str) -> Architecture:
        try:
            return self.space.decode([int(token) for token in tokens.split(",")])
        except (ValueError, AttributeError) as error:
            raise SearchError(
                f"The store of the run in {self.folder} is damaged: {error}"
            ) from None


def find_run(workspace: Workspace, folder: Path | None, trusted_space: str = "") -> Run:
    """The run in a folder, else the workspace's newest.

    Raises:
        SearchError: If there is none, or it cannot be read.
    """
    found = folder or workspace.newest_run()
    if found is None:
        raise SearchError(
            f"There is no search run in workspace {workspace.path} yet. Start one with `mnaslat "
            "search`."
        )
    if not found.exists() and (workspace.runs / found).exists():
        found = workspace.runs / found  # a run's name, as given to --run
    return replace(_read(found), trusted_space=trusted_space)


def unfinished_run(workspace: Workspace, request: Mapping[str, Any]) -> Run | None:
    """The newest unfinished run that was started with the same request."""
    for path in sorted(workspace.runs.glob("*/run.json"), reverse=True):
        try:
            run = _read(path.parent)
        except SearchError:  # damaged or of another version: no reason not to start a new one
            continue
        if not run.finished and run.request == request:
            return replace(run, trusted_space=run.settings.space)  # the user has just named it
    return None


def new_run(
    workspace: Workspace,
    name: str,
    request: Mapping[str, Any],
    settings: SearchSettings,
    predictor: Path,
) -> Run:
    """Make a run folder; ``run.json`` is written last, so that a folder with one is whole.

    Args:
        workspace: Where runs are kept.
        name: Of the folder; empty makes one from the time.
        request: What the user asked for; the same request goes on with the run.
        settings: Of the search.
        predictor: File that is copied into the run.

    Raises:
        SearchError: If the folder holds a run already.
    """
    folder = _new_folder(workspace.runs, re.sub(r"[^\w-]", "_", name))
    run = Run(folder, request, settings, trusted_space=settings.space)
    run.predictor_path.write_bytes(predictor.read_bytes())
    content = {"format": _FORMAT, "request": dict(request), "settings": asdict(settings)}
    partial = folder / "run.json.partial"
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / "run.json")
    return run


def _new_folder(runs: Path, name: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    if name:
        folder = runs / name
        if (folder / "run.json").exists():
            raise SearchError(
                f"There is a run in {folder} already, started with other options. Choose another "
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


def _read(folder: Path) -> Run:
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"it has format {content['format']!r}, not {_FORMAT}")
        settings = dict(content["settings"])
        reward = RewardSettings(**settings.pop("reward"))
        return Run(folder, dict(content["request"]), SearchSettings(reward=reward, **settings))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SearchError(f"{folder} is not the folder of a search run: {error}.") from None
