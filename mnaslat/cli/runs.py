"""Search runs in a workspace: started, found again, read."""

import contextlib
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
from mnaslat.predictors import save_predictor
from mnaslat.search.candidates import Candidate, candidates_of
from mnaslat.search.latencies import Latencies
from mnaslat.search.records import tokens_row
from mnaslat.search.result import is_finished
from mnaslat.search.reward import RewardSettings
from mnaslat.search.settings import SearchSettings
from mnaslat.search.store import SearchStore
from mnaslat.search.targets import check_targets
from mnaslat.space import SearchSpace, space_names

_FORMAT = 2  # 1: first published form; 2: options of several searchers


@dataclass(frozen=True)
class Run:
    """A run folder: ``run.json`` with the options, the predictor it was started with, results."""

    folder: Path
    request: Mapping[str, Any]  # what the user asked for; the same request goes on with the run
    settings: SearchSettings
    trusted_space: str = ""  # a space in a Python file that may be run

    @property
    def finished(self) -> bool:
        """Whether the search has done all its samples and written its result."""
        return is_finished(self.folder)

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
        try:
            return candidates_of(
                store.evaluations(),
                store.validations(),
                self.space,
                architecture=self._architecture,
                exact=store.accuracy_is_exact,
            )
        finally:
            store.close()

    def _architecture(self, tokens: str) -> Architecture:
        try:
            return self.space.decode(tokens_row(tokens))
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
        SearchError: If the folder holds a run already, or the target is out of reach.
    """
    folder = _new_folder(workspace.runs, re.sub(r"[^\w-]", "_", name), request)
    run = Run(folder, request, settings, trusted_space=settings.space)
    if predictor.exists():
        run.predictor_path.write_bytes(predictor.read_bytes())
    else:  # one of those that come with the package, by its name
        save_predictor(open_predictor(predictor), run.predictor_path)
    try:  # before there is a run that could be gone on with
        latencies = Latencies(run.predictor, run.space, settings.latency)
        check_targets(settings.target_range_ms, latencies, run.space)
    except SearchError:
        run.predictor_path.unlink()
        with contextlib.suppress(OSError):  # something else of the user's may be there
            folder.rmdir()
        raise
    content = {"format": _FORMAT, "request": dict(request), "settings": asdict(settings)}
    partial = folder / "run.json.partial"
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / "run.json")
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
    """How a request differs from that of a run in a folder."""
    try:
        known = _read(folder).request
    except SearchError:
        return ", of another version or damaged"
    for name in sorted(known.keys() | request.keys()):
        if known.get(name) != request.get(name):
            was, now = known.get(name), request.get(name)
            return f", started with another {name.replace('_', '-')} ({was}, not {now})"
    return ", and it is finished"


def _read(folder: Path) -> Run:
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"it has format {content['format']!r}, not {_FORMAT}")
        settings = dict(content["settings"])
        reward = RewardSettings(**settings.pop("reward"))
        if settings.get("target_ms_range") is not None:
            settings["target_ms_range"] = tuple(settings["target_ms_range"])
        return Run(folder, dict(content["request"]), SearchSettings(reward=reward, **settings))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SearchError(f"{folder} is not the folder of a search run: {error}.") from None
