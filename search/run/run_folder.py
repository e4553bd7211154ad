"""Opens the folder of a run."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from mnaslat.errors import MnaslatError, SearchError
from mnaslat.predictors.network_predictor import NetworkPredictor, open_predictor
from mnaslat.search.decoder import Decoder
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.candidates import EvaluatedCandidate, candidates_of
from mnaslat.search.run.result import SearchResult, is_finished
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.run.space_options import SpaceOptions
from mnaslat.search.settings import SearchSettings
from mnaslat.space import SearchSpace, space_names

FORMAT = 2  # 1: first published form; 2: options of several searchers


@dataclass(frozen=True)
class SearchRun:
    """A run folder: ``run.json`` with the options, the predictor it was started with, results."""

    folder: Path
    request: Mapping[str, Any]  # the options of the user; the same request resumes the run
    settings: SearchSettings
    space_options: SpaceOptions
    trusted_space: str = ""  # a space in a Python file that may be run
    result: SearchResult | None = None  # of a search in this process; else read result.json
    failure: MnaslatError | None = None  # what ended that search before its time

    def __repr__(self) -> str:
        state = "finished" if self.finished else "unfinished"
        return f"SearchRun({self.folder}, {state})"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the folder, and the result if there is one."""
        found = {} if self.result is None else self.result.to_json()
        return {"run": str(self.folder), **found}

    def with_space(self, space: SearchSpace) -> "SearchRun":
        """Return this run with its space given, so that no file has to be run for it."""
        run = replace(self, trusted_space=self.space_options.space)
        run.__dict__["space"] = space
        return run

    @property
    def finished(self) -> bool:
        """Whether the search has done all its samples and written its result."""
        return is_finished(self.folder)

    @property
    def predictor_path(self) -> Path:
        """The predictor that the run was started with; a copy, so that it stays the same."""
        return self.folder / "predictor.mnaslat"

    @cached_property
    def predictor(self) -> NetworkPredictor:
        """The predictor that the run was started with."""
        return open_predictor(self.predictor_path)

    @cached_property
    def space(self) -> SearchSpace:
        """The space that is searched.

        Raises:
            SearchError: If it is in a Python file that the user has not named: reading somebody's
                run must not run their code.
        """
        name = self.space_options.space
        if name not in space_names() and name != self.trusted_space:
            raise SearchError(
                f"The run in {self.folder} searches a space from a Python file. If you trust the "
                f"file, allow it to be run with --space {name}"
            )
        try:
            return self.space_options.load()
        except (ValueError, TypeError) as error:
            raise SearchError(
                f"The settings of the run in {self.folder} are damaged: {error}"
            ) from None

    def store(self) -> SearchStore:
        """Open the run's store, to be read only."""
        path = self.folder / "search.sqlite"
        if not path.exists():
            raise SearchError(f"The run in {self.folder} has not begun: start it again.")
        return SearchStore(path, read_only=True)

    def candidates(self) -> list[EvaluatedCandidate]:
        """Every network evaluated so far, the one with the highest reward first."""
        store = self.store()
        try:
            return candidates_of(
                store.evaluations(),
                store.validations(),
                Decoder(self.space),
                exact=store.accuracy_is_exact,
            )
        except ValueError as error:  # tokens that are no row of the space
            raise SearchError(
                f"The store of the run in {self.folder} is damaged: {error}"
            ) from None
        finally:
            store.close()


def run_record(
    request: Mapping[str, Any], settings: SearchSettings, space_options: SpaceOptions
) -> dict[str, Any]:
    """Return the content of ``run.json``."""
    described = {**asdict(settings), **asdict(space_options)}
    return {"format": FORMAT, "request": dict(request), "settings": described}


def read(folder: str | PathLike[str]) -> SearchRun:
    """Open the folder of a run.

    Raises:
        SearchError: If it is no such folder.
    """
    folder = Path(folder)
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"it has format {content['format']!r}, not {FORMAT}")
        settings = dict(content["settings"])
        names = {each.name for each in fields(SpaceOptions)} & settings.keys()
        space_options = SpaceOptions(**{name: settings.pop(name) for name in names})
        reward = RewardSettings(**settings.pop("reward"))
        if settings.get("target_ms_range") is not None:
            settings["target_ms_range"] = tuple(settings["target_ms_range"])
        return SearchRun(
            folder,
            dict(content["request"]),
            SearchSettings(reward=reward, **settings),
            space_options,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SearchError(f"{folder} is not the folder of a search run: {error}.") from None
