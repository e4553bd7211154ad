"""Reads accuracies from a CSV file."""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import Candidate, CandidateResult, checked_accuracy
from mnaslat.search.tokens import TokenKey, tokens_row, tokens_text
from mnaslat.space import Choice, Decision, SearchSpace


class AccuracyTable:
    """Accuracies of networks of a space, read from a CSV file.

    The column ``accuracy`` holds fractions in [0, 1]. Which network a row is about stands either in
    the column ``tokens``: comma-separated whole numbers, quoted (``"0,1,3"``), one per decision of
    the space; or in one column for each decision, called as ``mnaslat space`` shows it
    (``block1.kernel``), with the choice made (``5``). Other columns are ignored.

    Attributes:
        name: Of the file, with the start of its content's SHA-256.
        accuracy: By network.

    Raises:
        SearchError: If the file cannot be read, lacks a column, has a row that is no point of the
            space, holds a network twice or an accuracy outside [0, 1].
    """

    def __init__(self, path: str | PathLike[str], space: SearchSpace) -> None:
        self._space, path = space, Path(path)
        try:
            content = path.read_bytes()
            # Lines are split as csv wants them: a quoted cell may hold a line break.
            reader = csv.DictReader(
                content.decode("utf-8-sig").splitlines(keepends=True), strict=True
            )
            rows = [(reader.line_num, row) for row in reader]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SearchError(f"Cannot read accuracies from {path}: {error}.") from error
        self._by_tokens = self._checked_columns(path, reader.fieldnames or ())
        if not rows:
            raise SearchError(f"{path} has no rows. Add one for each network.")
        self.path = path
        self.name = f"{path.name} sha256:{hashlib.sha256(content).hexdigest()[:16]}"
        self.accuracy: dict[Architecture, float] = {}
        for number, row in rows:
            self._add(f"{path}, row {number}", row)

    def rows(self) -> tuple[Tokens, Floats]:
        """Tokens, shape ``(n, decisions)``, and accuracies, shape ``(n,)``."""
        # Not the rows of the file: other tokens can stand for the same network.
        tokens = np.array([self._space.encode(architecture) for architecture in self.accuracy])
        return tokens, np.array(list(self.accuracy.values()))

    def _checked_columns(self, path: Path, columns: Sequence[str]) -> bool:
        """Whether networks are given as tokens."""
        names = [decision.name for decision in self._space.decisions]
        missing = [name for name in names if name not in columns]
        by_tokens = "tokens" in columns
        if "accuracy" in columns and (by_tokens or not missing):
            return by_tokens
        if "accuracy" in columns and len(missing) < len(names):
            raise SearchError(
                f"{path} has no column {missing[0]}, but other decisions of space "
                f"{self._space.name}. Add all of them, or the column tokens."
            )
        raise SearchError(
            f"{path}: expected the columns tokens and accuracy, or accuracy and one for each "
            f"decision ({names[0]}, ...; `mnaslat space {self._space.name}` lists them)."
        )

    def _add(self, where: str, row: Mapping[str | None, str | None]) -> None:
        accuracy = row.get("accuracy")
        if accuracy is None:
            raise SearchError(f"{where} is too short: it has no accuracy.")
        # csv files what has no column under None.
        if None in row:
            raise SearchError(f'{where} is too long. Quote the tokens, as in "0,1,3".')
        tokens = (self._given_tokens if self._by_tokens else self._chosen_tokens)(where, row)
        try:
            architecture = self._space.decode(tokens)
        except ValueError as error:
            raise SearchError(f"{where}: tokens {row.get('tokens')!r}: {error}") from None
        # Other tokens can stand for the same network where a small width makes choices equal.
        if architecture in self.accuracy:
            text = tokens_text(tokens)
            raise SearchError(f"{where}: the network {text} is in the file twice. Keep one row.")
        self.accuracy[architecture] = checked_accuracy(accuracy, f"{where}: accuracy")

    def _given_tokens(self, where: str, row: Mapping[str | None, str | None]) -> TokenKey:
        text = row.get("tokens") or ""
        try:
            return tokens_row(text)
        except ValueError as error:
            raise SearchError(f"{where}: tokens {text!r}: {error}") from None

    def _chosen_tokens(self, where: str, row: Mapping[str | None, str | None]) -> TokenKey:
        return tuple(
            _token(decision, row.get(decision.name) or "", where)
            for decision in self._space.decisions
        )


def _token(decision: Decision, cell: str, where: str) -> int:
    for token, choice in enumerate(decision.choices):
        if _means(cell.strip(), choice):
            return token
    choices = ", ".join(map(str, decision.choices))
    raise SearchError(f"{where}: {decision.name} is {cell!r}, but only {choices} can be chosen.")


def _means(cell: str, choice: Choice) -> bool:
    """Whether a cell names a choice; 5.0 is 5."""
    if isinstance(choice, str):
        return cell == choice
    try:
        return float(cell) == choice
    except ValueError:
        return False


class TableAccuracy:
    """Accuracies as they stand in a table; a network that is not in it fails.

    Raises:
        SearchError: As ``AccuracyTable``.
    """

    noise = 0.0  # the table is the truth

    def __init__(self, path: str | PathLike[str], space: SearchSpace) -> None:
        self._table = AccuracyTable(path, space)

    @property
    def description(self) -> str:
        """The file's name and content hash."""
        return f"table {self._table.name}"

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Look each network up."""
        for index, candidate in enumerate(candidates):
            accuracy = self._table.accuracy.get(candidate.architecture)
            failure = "" if accuracy is not None else self._missing
            yield index, CandidateResult(accuracy=accuracy, failure=failure)

    @property
    def _missing(self) -> str:
        """The same text for all: a search counts equal reasons and reports each once."""
        path = self._table.path
        return (
            f"{path} has no row for it; add the row, or let a model of the table predict it: "
            f"table-surrogate:{path}"
        )
