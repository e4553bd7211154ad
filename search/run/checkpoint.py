"""Saves and loads the searcher of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnaslat.errors import SearchError
from mnaslat.search.searchers.base import Observations, Searcher
from mnaslat.search.tensor_file import load_checkpoint, save_checkpoint

_FORMAT = 2  # of a searcher's checkpoint


@dataclass(frozen=True)
class SearcherState:
    """The state of a searcher after some rounds."""

    n_rounds_done: int
    state: Mapping[str, Any]


class SearcherCheckpoint:
    """The searcher of a run in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, n_rounds_done: int, searcher: Searcher) -> None:
        """Replace what was saved before; only between two rounds."""
        state = {"format": _FORMAT, "n_rounds_done": n_rounds_done, "searcher": searcher.state()}
        save_checkpoint(self._path, state)

    def load(self) -> SearcherState | None:
        """Load what was saved last, if anything.

        Raises:
            SearchError: If the file is damaged or of another version.
        """
        if not self._path.exists():
            return None
        state = load_checkpoint(self._path)
        if state.get("format") != _FORMAT:
            raise SearchError(f"{self._path} is of another version of this package.")
        try:
            return SearcherState(int(state["n_rounds_done"]), dict(state["searcher"]))
        except (KeyError, ValueError, TypeError) as error:
            raise self._misfit(error) from error

    def restore(self, searcher: Searcher, saved: SearcherState, observations: Observations) -> None:
        """Restore a searcher; ``observations`` are those of then.

        Raises:
            SearchError: If it is another searcher's state.
        """
        try:
            searcher.restore(saved.state, observations)
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise self._misfit(error) from error

    def _misfit(self, error: Exception) -> SearchError:
        return SearchError(f"{self._path} does not fit this run ({error}). Start another run.")
