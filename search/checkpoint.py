"""Tensors and plain values in a file that is whole at any moment and runs no code when read."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnaslat.errors import SearchError
from mnaslat.search.searcher import Searcher, Seen

_FORMAT = 2  # of a searcher's checkpoint


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace a checkpoint; after a crash or a power cut the old or the new one is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # torch itself meets a full disk with an error of no known type
    torch.save(dict(state), content)
    # Two searches of one workspace may save the same supernet: each writes a file of its own.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        SearchError: If the file cannot be read or is no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file surfaces as almost any exception: OSError, pickle's, zip's, KeyError, ...
    except Exception as error:
        raise SearchError(
            f"{path} is damaged or no checkpoint ({type(error).__name__}). Delete it to start "
            "that part anew."
        ) from error
    if not isinstance(state, dict):
        raise SearchError(f"{path} is no checkpoint. Delete it to start that part anew.")
    return state


@dataclass(frozen=True)
class SearcherState:
    """What a searcher was after some rounds."""

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
        """What was saved last, if anything.

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

    def restore(self, searcher: Searcher, saved: SearcherState, seen: Seen) -> None:
        """Let a searcher be as it was; ``seen`` is what was seen then.

        Raises:
            SearchError: If it is another searcher's state.
        """
        try:
            searcher.restore(saved.state, seen)
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            raise self._misfit(error) from error

    def _misfit(self, error: Exception) -> SearchError:
        return SearchError(f"{self._path} does not fit this run ({error}). Start another run.")
