"""Lets one process at a time hold a lock file."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mnaslat.errors import WorkspaceBusy, WorkspaceError


@contextmanager
def exclusive(path: Path, what: str, instead: str) -> Iterator[None]:
    """Hold a lock file; the system releases it when the process ends, even if it is killed.

    Args:
        path: Of the file; its folder is made. A file beside it names the process that holds it.
        what: What is held, for the message.
        instead: What else the user can do, for the message.

    Raises:
        WorkspaceBusy: If another process holds it.
        WorkspaceError: If the file cannot be made.
    """
    lock, owner = FileLock(path, timeout=0), path.with_name(f"{path.name}.owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise WorkspaceBusy(
            f"{what} is in use by {_owner(owner)}. Wait until it is done or {instead}."
        ) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WorkspaceError(
            f"Cannot write {path}: {reason}. Check that the folder is writable and the disk has "
            "room."
        ) from None
    try:
        with contextlib.suppress(OSError):  # only for the message
            owner.write_text(f"process {os.getpid()}")
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    try:
        return path.read_text()[:40].strip() or "another process"
    except (OSError, ValueError):
        return "another process"
