"""Stores what a run has evaluated and measured, in an SQLite file in its folder.

Writes reach the disk with ``commit``, all of them or none: a run killed at any moment resumes from
its last commit. The run commits a result as soon as evaluating it again would cost more than a
commit does, a few milliseconds. Tokens are stored as comma-separated whole numbers.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from mnaslat.data.file_lock import exclusive
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import CandidateResult
from mnaslat.search.run.records import Evaluation, RoundRecord, Validation
from mnaslat.search.tokens import TokenKey, tokens_row, tokens_text

STORE_VERSION = 2  # 1: first published form; 2: evaluations may fail, episodes have targets

# Key of the identity that may differ: the format in it changes if runs cannot be resumed.
MADE_BY = "mnaslat version"
# Key of the identity. Without it, as in older runs, an accuracy counts as exact.
EXACT_ACCURACY = "accuracy source without noise"

_SYNCHRONOUS = "FULL"  # committed means on the disk

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS children (
    tokens TEXT PRIMARY KEY, accuracy REAL, cost_s REAL NOT NULL, failure TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS evaluations (
    round INTEGER, index_in_round INTEGER, tokens TEXT NOT NULL, target_ms REAL NOT NULL,
    accuracy REAL, predicted_ms REAL NOT NULL, latency_ms REAL NOT NULL, reward REAL,
    PRIMARY KEY (round, index_in_round));
CREATE TABLE IF NOT EXISTS measurements (tokens TEXT PRIMARY KEY, measured_ms REAL NOT NULL);
CREATE TABLE IF NOT EXISTS validations (
    tokens TEXT PRIMARY KEY, round INTEGER NOT NULL, predicted_ms REAL NOT NULL,
    measured_ms REAL NOT NULL, predicted_after_ms REAL NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rounds (
    round INTEGER PRIMARY KEY, n_new INTEGER NOT NULL, n_failed INTEGER NOT NULL,
    mean_reward REAL, best_reward REAL, searcher_s REAL NOT NULL,
    seconds REAL NOT NULL, log TEXT NOT NULL);
"""


class SearchStore:
    """The store of one run; creates the file where there is none.

    Args:
        path: The file.
        read_only: Reads beside a process that is searching; else the run is locked.

    Raises:
        SearchError: If the file is no such store, or one of another version.
        WorkspaceBusy: If another process is searching in that folder.
    """

    def __init__(self, path: str | PathLike[str], *, read_only: bool = False) -> None:
        self._path = path = Path(path)
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
            if version not in (0, STORE_VERSION):  # 0: just made
                raise SearchError(
                    f"{path} was written by {'a newer' if version > STORE_VERSION else 'an older'} "
                    "mnaslat. Read it with that version, or start another run."
                )
            if read_only:
                self._db.execute("PRAGMA query_only=ON")
                return
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={_SYNCHRONOUS}")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={STORE_VERSION}")
        except BaseException:
            self._held.close()
            raise

    def close(self) -> None:
        """Release the file and the lock; what was not committed is lost."""
        self._held.close()

    def commit(self) -> None:
        """Write to the disk all that was added so far."""
        self._db.commit()

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Write the identity of the run, or check that it is the same run.

        Raises:
            SearchError: If the store was made by another run; names what differs.
        """
        given = {key: json.dumps(value, sort_keys=True) for key, value in identity.items()}
        known = dict(self._db.execute("SELECT key, value FROM identity"))
        if not known:
            self._db.executemany("INSERT INTO identity VALUES (?, ?)", given.items())
            self._db.commit()
            return
        for key in sorted((known.keys() | given.keys()) - {MADE_BY}):
            if known.get(key) != given.get(key):
                raise SearchError(
                    f"The run in {self._path.parent} was started with another {key}: "
                    f"{known.get(key)}, not {given.get(key)}. Use the same one, or use "
                    "another run folder."
                )

    @property
    def accuracy_is_exact(self) -> bool:
        """Whether the run's accuracies have no noise."""
        query = "SELECT value FROM identity WHERE key = ?"
        row = self._db.execute(query, (EXACT_ACCURACY,)).fetchone()
        return row is None or row[0] == "true"

    def results(self) -> dict[TokenKey, CandidateResult]:
        """Read every result of the accuracy source, by tokens."""
        rows = self._db.execute("SELECT tokens, accuracy, cost_s, failure FROM children")
        return {
            self._key(tokens): CandidateResult(accuracy=accuracy, cost_s=cost_s, failure=failure)
            for tokens, accuracy, cost_s, failure in rows
        }

    def add_result(self, tokens: TokenKey, result: CandidateResult) -> None:
        """Write one result of the accuracy source."""
        row = (tokens_text(tokens), result.accuracy, result.cost_s, result.failure)
        self._db.execute("INSERT INTO children VALUES (?, ?, ?, ?)", row)

    def forget_results(self, tokens: Iterable[TokenKey]) -> None:
        """Delete results, so that they are evaluated again."""
        rows = [(tokens_text(each),) for each in tokens]
        self._db.executemany("DELETE FROM children WHERE tokens = ?", rows)

    def write_evaluations(self, evaluations: Iterable[Evaluation]) -> None:
        """Add evaluations, replacing those of the same round and index."""
        self._db.executemany(
            "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [_stored(each) for each in evaluations],
        )

    def evaluations(self) -> list[Evaluation]:
        """Read all evaluations in order."""
        rows = self._db.execute("SELECT * FROM evaluations ORDER BY 1, 2")
        return [
            Evaluation(round_, index, self._key(tokens), *row)
            for round_, index, tokens, *row in rows
        ]

    def measured_ms(self) -> dict[TokenKey, float]:
        """Read every measured latency, by tokens."""
        rows = self._db.execute("SELECT tokens, measured_ms FROM measurements")
        return {self._key(tokens): measured_ms for tokens, measured_ms in rows}

    def add_measurements(self, measured_ms: Mapping[TokenKey, float]) -> None:
        """Write measured latencies."""
        rows = [(tokens_text(tokens), latency_ms) for tokens, latency_ms in measured_ms.items()]
        self._db.executemany("INSERT INTO measurements VALUES (?, ?)", rows)

    def write_validations(self, validations: Iterable[Validation]) -> None:
        """Add validations, replacing those of the same network."""
        self._db.executemany(
            "INSERT OR REPLACE INTO validations VALUES (?, ?, ?, ?, ?, ?)",
            [_stored(each) for each in validations],
        )

    def validations(self) -> list[Validation]:
        """Read all validations, by round."""
        rows = self._db.execute("SELECT * FROM validations ORDER BY round, tokens")
        return [Validation(self._key(tokens), *row) for tokens, *row in rows]

    def write_round(self, record: RoundRecord) -> None:
        """Add one line of the log, replacing that of the same round."""
        row = astuple(replace(record, log={}))[:-1]
        log = json.dumps(dict(record.log))
        self._db.execute(
            "INSERT OR REPLACE INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, log)
        )

    def rounds(self) -> list[RoundRecord]:
        """Read the log in order."""
        rows = self._db.execute("SELECT * FROM rounds ORDER BY round")
        names = [each.name for each in fields(RoundRecord)]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [RoundRecord(**{**row, "log": json.loads(row["log"])}) for row in found]

    def forget_rounds_from(self, number: int) -> None:
        """Delete rounds that are done anew; results and measurements stay."""
        for table in ("evaluations", "validations", "rounds"):
            self._db.execute(f"DELETE FROM {table} WHERE round >= ?", (number,))
        self._db.commit()

    def _key(self, text: str) -> TokenKey:
        try:
            return tokens_row(text)
        except (ValueError, AttributeError) as error:
            raise SearchError(
                f"The store of the run in {self._path.parent} is damaged: {error}"
            ) from None


def _stored(row: Evaluation | Validation) -> tuple[Any, ...]:
    """A row as its table holds it: tokens as text."""
    return tuple(tokens_text(each) if isinstance(each, tuple) else each for each in astuple(row))


class _Connection(sqlite3.Connection):
    """A connection whose errors say which file and what to do."""

    path = Path()

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        with self._errors():
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        with self._errors():
            return super().executemany(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        with self._errors():
            return super().executescript(*arguments)

    def commit(self) -> None:
        with self._errors():
            super().commit()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SearchError(
                f"Cannot use {self.path} as the store of a search: {error}. Check that the disk "
                "has room; if the file is damaged, start another run."
            ) from error
