"""The folder with a user's measurements, predictors and runs."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnaslat.data.file_lock import exclusive
from mnaslat.data.measurement_store import Store
from mnaslat.errors import WorkspaceError

DEFAULT = Path("mnaslat-workspace")


class Workspace:
    """Where things lie: ``measurements.sqlite``, ``predictors/``, ``runs/``.

    Raises:
        WorkspaceError: If the folder cannot be made or written.
    """

    def __init__(self, path: str | os.PathLike[str] = DEFAULT) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(
                f"Cannot make the workspace {path}: {error.strerror}. Choose a folder you can "
                "write with --workspace."
            ) from None
        if not os.access(path, os.W_OK):
            raise WorkspaceError(
                f"The workspace {path} is read-only. Choose a folder you can write with "
                "--workspace."
            )

    def store(self) -> Store:
        """The measurements."""
        return Store(self.path / "measurements.sqlite")

    @property
    def predictors(self) -> Path:
        """Folder of predictor files."""
        return self.path / "predictors"

    @property
    def runs(self) -> Path:
        """Folder of search runs."""
        return self.path / "runs"

    def newest_predictor(self) -> Path | None:
        """The predictor file written last, if there is one."""
        return _newest(self.predictors, "*.mnaslat")

    def newest_run(self) -> Path | None:
        """The run folder changed last, if there is one."""
        return _newest(self.runs, "*/run.json", parent=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a name in this workspace, such as a device while it is measured on.

        The system releases it when the process ends, however it ends.

        Raises:
            WorkspaceBusy: If another process holds it.
        """
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        path = self.path / "locks" / f"{safe}.lock"
        with exclusive(path, name, f"use another workspace than {self.path}"):
            yield


def _newest(folder: Path, pattern: str, parent: bool = False) -> Path | None:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        return None
    return found[-1].parent if parent else found[-1]
