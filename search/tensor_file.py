"""Saves and loads dictionaries of tensors without running code from the file."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mnaslat.errors import SearchError
from mnaslat.files import replace_file


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace a checkpoint; after a crash or a power cut the old or the new one is there."""
    content = io.BytesIO()  # torch itself meets a full disk with an error of no known type
    torch.save(dict(state), content)
    # Two searches of one workspace may save the same supernet.
    replace_file(path, content.getvalue())


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
