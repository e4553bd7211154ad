"""A file that one process holds at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnaslat.errors import WorkspaceBusy, WorkspaceError


@contextmanager
def exclusive(path: Path, what: str, instead: str) -> Iterator[None]:
    """Hold a lock file; the system releases it when the process ends, however it ends.

    Args:
        path: Of the file; its folder is made.
        what: What is held, for the message.
        instead: What else the user can do, for the message.

    Raises:
        WorkspaceBusy: If another process holds it.
        WorkspaceError: If the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise WorkspaceError(
            f"Cannot write {path}: {error.strerror}. Check that the folder is writable and the "
            "disk has room."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise WorkspaceBusy(
                f"{what} is in use by {owner}. Wait until it is done or {instead}."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                file.truncate(0)
