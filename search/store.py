"""What a run has found out, in an SQLite file in its folder.

Every row is on the disk before the method that writes it returns: a run killed at any moment loses
at most what was being evaluated. Tokens are stored as comma-separated whole numbers.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mnaslat.data.locking import exclusive
from mnaslat.errors import SearchError

STORE_VERSION = 1  # 1: first published form

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accuracies (tokens TEXT PRIMARY KEY, accuracy REAL NOT NULL);
CREATE TABLE IF NOT EXISTS evaluations (
    update_number INTEGER, index_in_update INTEGER, tokens TEXT NOT NULL, accuracy REAL NOT NULL,
    predicted_ms REAL NOT NULL, reward REAL NOT NULL,
    PRIMARY KEY (update_number, index_in_update));
CREATE TABLE IF NOT EXISTS validations (
    tokens TEXT PRIMARY KEY, round INTEGER NOT NULL, predicted_ms REAL NOT NULL,
    measured_ms REAL NOT NULL, predicted_after_ms REAL);
CREATE TABLE IF NOT EXISTS updates (
    update_number INTEGER PRIMARY KEY, mean_reward REAL NOT NULL, best_reward REAL NOT NULL,
    loss REAL NOT NULL, entropy REAL NOT NULL, clip_fraction REAL NOT NULL, kl REAL NOT NULL,
    grad_norm REAL NOT NULL, controller_s REAL NOT NULL, seconds REAL NOT NULL);
"""


@dataclass(frozen=True)
class Evaluation:
    """One sampled network and what it was worth."""

    update_number: int
    index_in_update: int
    tokens: str
    accuracy: float
    predicted_ms: float  # by the newest calibration: rewritten when past rewards are rescored
    reward: float  # of accuracy and predicted_ms


@dataclass(frozen=True)
class Validation:
    """One network measured on the device."""

    tokens: str
    round: int  # the update after which it was measured; above the last one: at the end
    predicted_ms: float  # before the measurement was known
    measured_ms: float
    predicted_after_ms: float | None = None  # after the re-calibration; None: interrupted before


@dataclass(frozen=True)
class UpdateRecord:
    """One line of the run's log; `UpdateLog` in ppo.py says what the learning's figures mean."""

    update_number: int
    mean_reward: float  # of the networks sampled in this update
    best_reward: float
    loss: float
    entropy: float
    clip_fraction: float
    kl: float
    grad_norm: float
    controller_s: float  # spent on sampling and on the update
    seconds: float  # of the whole update, evaluations included


class SearchStore:
    """The store of one run; creates the file where there is none.

    Args:
        path: The file.
        read_only: Reads beside a process that is searching; else the run is held against others.

    Raises:
        SearchError: If the file is no such store.
        WorkspaceBusy: If another process is searching in that folder.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._held = ExitStack()
        if not read_only:
            run = f"The run in {path.parent}"
            lock = path.with_suffix(".lock")
            self._held.enter_context(exclusive(lock, run, "use another run folder"))
        try:
            self._db = sqlite3.connect(path, factory=_Connection)
            self._held.callback(self._db.close)
            self._db.path = path
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > STORE_VERSION:
                raise SearchError(
                    f"{path} was written by a newer mnaslat. Upgrade it, or start another run."
                )
            if read_only:
                self._db.execute("PRAGMA query_only=ON")
                return
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # committed means on the disk
            with self._db:
                self._db.executescript(_SCHEMA)
                self._db.execute(f"PRAGMA user_version={STORE_VERSION}")
        except BaseException:
            self._held.close()
            raise

    def close(self) -> None:
        """Let go of the file and of the lock."""
        self._held.close()

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Write what the run is, or check that it is the same run.

        Raises:
            SearchError: If the store was made by another run; names what differs.
        """
        given = {key: json.dumps(value, sort_keys=True) for key, value in identity.items()}
        with self._db:
            known = dict(self._db.execute("SELECT key, value FROM identity"))
            if not known:
                self._db.executemany("INSERT INTO identity VALUES (?, ?)", given.items())
                return
        for key in sorted(known.keys() | given.keys()):
            if known.get(key) != given.get(key):
                raise SearchError(
                    f"The run in {self._path.parent} was started with another {key}: "
                    f"{known.get(key)}, not {given.get(key)}. Go on with the same one, or use "
                    "another run folder."
                )

    def accuracy(self, tokens: str) -> float | None:
        """A stored accuracy; None if the network was not evaluated yet."""
        row = self._db.execute("SELECT accuracy FROM accuracies WHERE tokens = ?", (tokens,))
        found = row.fetchone()
        return None if found is None else float(found[0])

    def add_accuracy(self, tokens: str, accuracy: float) -> None:
        """Keep the accuracy of one network."""
        with self._db:
            self._db.execute("INSERT INTO accuracies VALUES (?, ?)", (tokens, accuracy))

    def write_evaluations(self, evaluations: Iterable[Evaluation]) -> None:
        """Add evaluations, replacing those of the same update and index."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?)",
                map(astuple, evaluations),
            )

    def evaluations(self) -> list[Evaluation]:
        """All evaluations in order."""
        rows = self._db.execute("SELECT * FROM evaluations ORDER BY 1, 2")
        return [Evaluation(*row) for row in rows]

    def best_evaluation(self) -> Evaluation:
        """The evaluation with the highest reward, the first of equals.

        Raises:
            SearchError: If there is none yet.
        """
        rows = self._db.execute("SELECT * FROM evaluations ORDER BY reward DESC, 1, 2 LIMIT 1")
        row = rows.fetchone()
        if row is None:
            raise SearchError(f"{self._path} holds no evaluation yet: run the search first.")
        return Evaluation(*row)

    def write_validations(self, validations: Iterable[Validation]) -> None:
        """Add validations, replacing those of the same network."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO validations VALUES (?, ?, ?, ?, ?)",
                map(astuple, validations),
            )

    def validations(self) -> list[Validation]:
        """All validations, by round."""
        rows = self._db.execute("SELECT * FROM validations ORDER BY round, tokens")
        return [Validation(*row) for row in rows]

    def write_update(self, record: UpdateRecord) -> None:
        """Add one line of the log, replacing that of the same update."""
        marks = ", ".join("?" for _ in fields(record))
        with self._db:
            self._db.execute(f"INSERT OR REPLACE INTO updates VALUES ({marks})", astuple(record))

    def updates(self) -> list[UpdateRecord]:
        """The log in order."""
        rows = self._db.execute("SELECT * FROM updates ORDER BY update_number")
        return [UpdateRecord(*row) for row in rows]

    def forget_updates_from(self, update_number: int) -> None:
        """Drop evaluations and log of updates that were not finished; they are made anew."""
        with self._db:
            for table in ("evaluations", "updates"):
                self._db.execute(f"DELETE FROM {table} WHERE update_number >= ?", (update_number,))


def tokens_text(tokens: Sequence[int]) -> str:
    """Tokens as they are stored."""
    return ",".join(str(int(token)) for token in tokens)


class _Connection(sqlite3.Connection):
    """A connection whose errors say which file and what to do."""

    path = Path()

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        with self._errors():
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        with self._errors():
            return super().executemany(*arguments)

    def __exit__(self, *arguments: Any) -> Literal[False]:
        with self._errors():
            return super().__exit__(*arguments)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SearchError(
                f"Cannot use {self.path} as the store of a search: {error}. Check that the disk "
                "has room; if the file is damaged, start another run."
            ) from error
