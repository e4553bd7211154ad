"""The folder in which a user's programs keep what can be fetched or made again."""

import os
from pathlib import Path

from mnaslat.errors import WorkspaceError


def user_cache_folder() -> Path:
    """This package's part of it: under ``XDG_CACHE_HOME``, else ``~/.cache``.

    Raises:
        WorkspaceError: If this user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        caches = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:
        raise WorkspaceError(
            "There is no place to keep files: this user has no home folder. Set XDG_CACHE_HOME to "
            "a folder."
        ) from None
    return caches / "mnaslat"
