"""The measurements of a workspace, in SQLite.

Each round is committed as soon as it is known, so that a sweep killed at any moment loses at most
the models being timed at that moment. Schema versions: 1, the first; 2, statistics of rounds whose
raw runs are not reported, and the journal of events; 3, how many rounds an event repeated; 4,
without architectures and memory, whose columns stay unused in older files.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnaslat.data.circumstances import Circumstances, read_circumstances
from mnaslat.data.measurement import Configuration, Measurement, Round, Statistics, Subject
from mnaslat.errors import WorkspaceError

_PATIENCE_S = 30.0  # with other processes that write
_SCHEMA_VERSION = 4
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS configurations (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content TEXT NOT NULL, created REAL NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS subjects (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, signature TEXT NOT NULL UNIQUE
)""",
    """CREATE TABLE IF NOT EXISTS rounds (
    configuration INTEGER NOT NULL REFERENCES configurations(id),
    subject INTEGER NOT NULL REFERENCES subjects(id),
    number INTEGER NOT NULL,
    n_runs INTEGER NOT NULL, first_ms REAL NOT NULL, min_ms REAL NOT NULL, max_ms REAL NOT NULL,
    mean_ms REAL NOT NULL, std_ms REAL NOT NULL, median_ms REAL,
    init_ms REAL NOT NULL,
    runs_ms BLOB NOT NULL, warmup_ms BLOB NOT NULL,  -- float32, little-endian; empty: not reported
    circumstances TEXT NOT NULL, measured REAL NOT NULL,
    PRIMARY KEY (configuration, subject, number)
)""",
    """CREATE TABLE IF NOT EXISTS failures (
    configuration INTEGER NOT NULL REFERENCES configurations(id),
    subject INTEGER NOT NULL REFERENCES subjects(id),
    reason TEXT NOT NULL, happened REAL NOT NULL,
    PRIMARY KEY (configuration, subject)
)""",
    """CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, configuration INTEGER NOT NULL REFERENCES configurations(id),
    happened REAL NOT NULL, text TEXT NOT NULL, n_repeated INTEGER NOT NULL DEFAULT 0
)""",
)


@dataclass(frozen=True)
class Event:
    """Something that happened while measuring: a wait, a lost connection, a repeated round."""

    happened: float  # seconds since 1970
    text: str
    n_repeated: int = 0  # rounds that were measured again because of it


class Store:
    """Measurements on disk. Safe to open from several processes at once.

    Raises:
        WorkspaceError: If the file cannot be opened, written, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE_S)
        try:
            with self._errors():
                self._prepare()
        except WorkspaceError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def configurations(self) -> list[Configuration]:
        """All configurations, the one measured in last at the end."""
        rows = self._read(
            "SELECT content FROM configurations c ORDER BY coalesce((SELECT max(measured) FROM "
            "rounds WHERE configuration = c.id), c.created)"
        )
        return [Configuration.from_json(json.loads(row[0])) for row in rows]

    def add_round(
        self,
        configuration: Configuration,
        kind: Subject,
        signature: str,
        measured: Round,
    ) -> int:
        """Commit one round of a layer or network; returns its number, counted from 1."""
        with self._errors(), self._connection as connection:
            owner = self._configuration_id(configuration)
            subject = self._subject_id(kind, signature)
            number: int = connection.execute(
                "SELECT coalesce(max(number), 0) + 1 FROM rounds "
                "WHERE configuration = ? AND subject = ?",
                (owner, subject),
            ).fetchone()[0]
            _insert_round(connection, owner, subject, number, measured, time.time())
            connection.execute(
                "DELETE FROM failures WHERE configuration = ? AND subject = ?", (owner, subject)
            )
        return number

    def add_failure(
        self, configuration: Configuration, kind: Subject, signature: str, reason: str
    ) -> None:
        """Mark a layer or network as one that the runtime cannot run."""
        with self._errors(), self._connection as connection:
            connection.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)",
                (
                    self._configuration_id(configuration),
                    self._subject_id(kind, signature),
                    reason,
                    time.time(),
                ),
            )

    def failures(self, configuration: Configuration, kind: Subject) -> dict[str, str]:
        """Reasons by signature."""
        rows = self._read(
            "SELECT signature, reason FROM failures f JOIN subjects s ON s.id = f.subject "
            "JOIN configurations c ON c.id = f.configuration WHERE c.key = ? AND s.kind = ?",
            (configuration.key, kind),
        )
        return {str(row[0]): str(row[1]) for row in rows}

    def add_event(self, configuration: Configuration, text: str, n_repeated: int = 0) -> None:
        """Note something in the journal of a configuration."""
        with self._errors(), self._connection as connection:
            connection.execute(
                "INSERT INTO events (configuration, happened, text, n_repeated) "
                "VALUES (?, ?, ?, ?)",
                (self._configuration_id(configuration), time.time(), text, n_repeated),
            )

    def events(self, configuration: Configuration) -> list[Event]:
        """The journal of a configuration, oldest first."""
        rows = self._read(
            "SELECT happened, text, n_repeated FROM events e "
            "JOIN configurations c ON c.id = e.configuration WHERE c.key = ? ORDER BY e.id",
            (configuration.key,),
        )
        return [Event(float(happened), str(text), int(n)) for happened, text, n in rows]

    def measurements(self, configuration: Configuration, kind: Subject) -> dict[str, Measurement]:
        """Everything measured in one configuration, by signature, in the order of measuring."""
        rows = self._read(
            "SELECT s.signature, r.min_ms, r.n_runs FROM rounds r "
            "JOIN subjects s ON s.id = r.subject JOIN configurations c ON c.id = r.configuration "
            "WHERE c.key = ? AND s.kind = ? ORDER BY r.measured, r.number",
            (configuration.key, kind),
        )
        collected: dict[str, list[tuple[float, int]]] = {}
        for signature, min_ms, n_runs in rows:
            collected.setdefault(signature, []).append((min_ms, n_runs))
        return {
            signature: Measurement(
                signature=signature,
                round_min_ms=tuple(entry[0] for entry in entries),
                n_runs=sum(entry[1] for entry in entries),
            )
            for signature, entries in collected.items()
        }

    def circumstances(self, configuration: Configuration) -> list[Circumstances]:
        """The circumstances of all rounds, in the order of measuring."""
        rows = self._read(
            "SELECT circumstances FROM rounds r JOIN configurations c ON c.id = r.configuration "
            "WHERE c.key = ? ORDER BY r.measured, r.number",
            (configuration.key,),
        )
        return [read_circumstances(json.loads(row[0])) for row in rows]

    def distinct_circumstances(
        self, configuration: Configuration, names: Sequence[str]
    ) -> list[Circumstances]:
        """Some circumstances of the rounds that have any of them, each combination once."""
        columns = ", ".join("json_extract(circumstances, ?)" for _ in names)
        places = ", ".join(str(place + 1) for place in range(len(names)))
        rows = self._read(
            f"SELECT {columns} FROM rounds r JOIN configurations c ON c.id = r.configuration "
            f"WHERE c.key = ? GROUP BY {places} ORDER BY min(r.measured), min(r.number)",
            (*(f"$.{name}" for name in names), configuration.key),
        )
        combinations = (
            {name: str(text) for name, text in zip(names, row, strict=True) if text is not None}
            for row in rows
        )
        return [read_circumstances(each) for each in combinations if each]

    def rounds(self, configuration: Configuration, signature: str) -> list[Round]:
        """The raw rounds of one layer or network, with their circumstances."""
        rows = self._read(
            "SELECT n_runs, first_ms, min_ms, max_ms, mean_ms, std_ms, median_ms, runs_ms, "
            "warmup_ms, init_ms, circumstances FROM rounds r "
            "JOIN subjects s ON s.id = r.subject JOIN configurations c ON c.id = r.configuration "
            "WHERE c.key = ? AND s.signature = ? ORDER BY r.number",
            (configuration.key, signature),
        )
        return [
            Round(
                statistics=Statistics(
                    **dict(zip(_STATISTICS, row[: len(_STATISTICS)], strict=True))
                ),
                runs_ms=np.frombuffer(row[-4], "<f4"),
                warmup_ms=np.frombuffer(row[-3], "<f4"),
                init_ms=row[-2],
                circumstances=read_circumstances(json.loads(row[-1])),
            )
            for row in rows
        ]

    def _prepare(self) -> None:
        connection = self._connection
        _use_write_ahead_log(connection)
        # A committed round survives a power cut too; the commit overlaps the next measurement.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if _version(connection) == _SCHEMA_VERSION:
            return
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            version = _version(connection)  # another process may have been first
            if version > _SCHEMA_VERSION:
                raise WorkspaceError(
                    f"{self.path} was written by a newer mnaslat (schema {version}). Upgrade "
                    "mnaslat or use another --workspace."
                )
            if version == 1:
                connection.execute("ALTER TABLE rounds RENAME TO rounds_1")
            for statement in _SCHEMA:
                connection.execute(statement)
            if version == 1:
                _move_rounds_of_version_1(connection)
            if version == 2:
                connection.execute(
                    "ALTER TABLE events ADD COLUMN n_repeated INTEGER NOT NULL DEFAULT 0"
                )
            connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    def _configuration_id(self, configuration: Configuration) -> int:
        self._connection.execute(
            "INSERT OR IGNORE INTO configurations (key, content, created) VALUES (?, ?, ?)",
            (configuration.key, json.dumps(asdict(configuration), sort_keys=True), time.time()),
        )
        row = self._connection.execute(
            "SELECT id FROM configurations WHERE key = ?", (configuration.key,)
        ).fetchone()
        return int(row[0])

    def _subject_id(self, kind: Subject, signature: str) -> int:
        self._connection.execute(
            "INSERT OR IGNORE INTO subjects (kind, signature) VALUES (?, ?)", (kind, signature)
        )
        row = self._connection.execute(
            "SELECT id FROM subjects WHERE signature = ?", (signature,)
        ).fetchone()
        return int(row[0])

    def _read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
            raise WorkspaceError(
                f"Cannot use the measurements in {self.path}: {error}. Check that the folder is "
                "writable and the disk has room; what was committed before is kept."
            ) from error


_STATISTICS = ("n_runs", "first_ms", "min_ms", "max_ms", "mean_ms", "std_ms", "median_ms")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself where another process switches a new file at this moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _insert_round(
    connection: sqlite3.Connection,
    configuration: int,
    subject: int,
    number: int,
    measured: Round,
    when: float,
) -> None:
    values = {
        "configuration": configuration,
        "subject": subject,
        "number": number,
        **{name: getattr(measured.statistics, name) for name in _STATISTICS},
        "init_ms": measured.init_ms,
        "runs_ms": measured.runs_ms.astype("<f4").tobytes(),
        "warmup_ms": measured.warmup_ms.astype("<f4").tobytes(),
        "circumstances": json.dumps(dict(measured.circumstances), sort_keys=True),
        "measured": when,
    }
    connection.execute(
        f"INSERT INTO rounds ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
        tuple(values.values()),
    )


def _move_rounds_of_version_1(connection: sqlite3.Connection) -> None:
    """Version 1 had raw runs of every round, and their minimum and median only."""
    rows = connection.execute(
        "SELECT configuration, subject, number, runs_ms, warmup_ms, init_ms, circumstances, "
        "measured FROM rounds_1"
    )
    for configuration, subject, number, runs, warmup, init_ms, circumstances, when in rows:
        measured = Round.of_runs(
            np.frombuffer(runs, "<f4"),
            warmup_ms=np.frombuffer(warmup, "<f4"),
            init_ms=init_ms,
            circumstances=read_circumstances(json.loads(circumstances)),
        )
        _insert_round(connection, configuration, subject, number, measured, when)
    connection.execute("DROP TABLE rounds_1")
