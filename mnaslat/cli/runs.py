"""Search runs in a workspace: started, found again, read."""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mnaslat.data.workspace import Workspace
from mnaslat.errors import SearchError
from mnaslat.predictors import CalibratedPredictor, load_predictor
from mnaslat.search.result import Candidate
from mnaslat.search.reward import RewardSettings
from mnaslat.search.settings import SearchSettings
from mnaslat.search.store import SearchStore
from mnaslat.space import SearchSpace

_FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run folder: ``run.json`` with the options, the predictor it was started with, results."""

    folder: Path
    options: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the search has ended and written its result."""
        return (self.folder / "result.json").exists()

    @property
    def predictor_path(self) -> Path:
        """The predictor that the run was started with; a copy, so that it stays the same."""
        return self.folder / "predictor.mnaslat"

    @cached_property
    def predictor(self) -> CalibratedPredictor:
        """The predictor that the run was started with."""
        return load_predictor(self.predictor_path)

    @cached_property
    def settings(self) -> SearchSettings:
        """The settings of the search."""
        content = dict(self.options["settings"])
        return SearchSettings(reward=RewardSettings(**content.pop("reward")), **content)

    @cached_property
    def space(self) -> SearchSpace:
        """The space that is searched."""
        return self.settings.load_space()

    def store(self) -> SearchStore:
        """What the run has found out so far, to be read only."""
        path = self.folder / "search.sqlite"
        if not path.exists():
            raise SearchError(f"The run in {self.folder} has not begun: start it again.")
        return SearchStore(path, read_only=True)

    def best_candidates(self, n: int) -> list[Candidate]:
        """The ``n`` networks with the highest reward."""
        store = self.store()
        evaluations = sorted(store.evaluations(), key=lambda each: -each.reward)
        measured = {each.tokens: each.measured_ms for each in store.validations()}
        store.close()
        newest = {each.tokens: each for each in reversed(evaluations)}
        best = sorted(newest.values(), key=lambda each: -each.reward)[:n]
        return [
            Candidate(
                tokens=each.tokens,
                architecture=self.space.decode([int(token) for token in each.tokens.split(",")]),
                accuracy=each.accuracy,
                reward=each.reward,
                predicted_ms=each.predicted_ms,
                measured_ms=measured.get(each.tokens),
            )
            for each in best
        ]


def find_run(workspace: Workspace, folder: Path | None) -> Run:
    """The run in a folder, else the workspace's newest.

    Raises:
        SearchError: If there is none.
    """
    found = folder or workspace.newest_run()
    if found is None:
        raise SearchError(
            f"There is no search run in workspace {workspace.path} yet. Start one with `mnaslat "
            "search`."
        )
    return _read(found)


def unfinished_run(workspace: Workspace, request: Mapping[str, Any]) -> Run | None:
    """The newest unfinished run that was started with the same request."""
    for path in sorted(workspace.runs.glob("*/run.json"), reverse=True):
        run = _read(path.parent)
        if not run.finished and run.options["request"] == dict(request):
            return run
    return None


def new_run(
    workspace: Workspace,
    name: str,
    request: Mapping[str, Any],
    settings: Mapping[str, Any],
    predictor: Path,
) -> Run:
    """Make a run folder; ``run.json`` is written last, so that a folder with one is whole.

    Args:
        workspace: Where runs are kept.
        name: Of the folder; empty makes one from the time.
        request: What the user asked for; the same request goes on with the run.
        settings: Of the search, as plain data.
        predictor: File that is copied into the run.

    Raises:
        SearchError: If the folder holds a run already.
    """
    folder = workspace.runs / (re.sub(r"[^\w.-]", "_", name) or time.strftime("%Y%m%d-%H%M%S"))
    if (folder / "run.json").exists():
        raise SearchError(
            f"There is a run in {folder} already, started with other options. Choose another "
            "--run, or none."
        )
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, {"format": _FORMAT, "request": dict(request), "settings": dict(settings)})
    run.predictor_path.write_bytes(predictor.read_bytes())
    partial = folder / "run.json.partial"
    partial.write_text(json.dumps(run.options, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / "run.json")
    return run


def _read(folder: Path) -> Run:
    path = folder / "run.json"
    try:
        options = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SearchError(f"{folder} is not the folder of a search run: {error}.") from None
    if not isinstance(options, dict) or options.get("format") != _FORMAT:
        raise SearchError(
            f"The run in {folder} was made by another version of mnaslat. Start a new one."
        )
    return Run(folder, options)
