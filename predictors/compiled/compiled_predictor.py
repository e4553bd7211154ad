"""Predicts latencies of token rows from tables: one lookup and one sum per part of a network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnaslat.arrays import Floats
from mnaslat.predictors.compiled.protocol import Compilable, CompiledFunction
from mnaslat.predictors.compiled.space_layers import PartForms, space_layers
from mnaslat.space import Decision, SearchSpace

_MAX_VALUES = 32_000_000  # in the table of one part: 256 MB
# Per chunk, so that a chunk's arrays stay in the processor's cache.
_TOKENS_AT_ONCE = 43_000
_FEATURES_AT_ONCE = 65_000


@dataclass(frozen=True)
class PartTable:
    """The features of every form of one part.

    Attributes:
        decisions: Positions of the decisions that the part depends on.
        sizes: Numbers of choices of these decisions.
        values: Shape ``(product of sizes, features)``, the last decision running fastest.
    """

    decisions: tuple[int, ...]
    sizes: tuple[int, ...]
    values: Floats


@dataclass(frozen=True)
class SpaceTables:
    """The features of all networks of a space, and the function from features to latency.

    Attributes:
        parts: Tables whose rows add up to the features of a network.
        offset_ms: Without a function, the latency is the only feature plus this.
        function: From features to latency; None if linear.
    """

    parts: tuple[PartTable, ...]
    offset_ms: float
    function: CompiledFunction | None

    @classmethod
    def of(cls, predictor: Compilable, space: SearchSpace) -> "SpaceTables":
        """Tabulate the features of a space.

        Raises:
            ValueError: If a part's table would be too large, or the space's ``parts`` are wrong.
        """
        listed = space_layers(space, predictor.configuration.precision)
        features = np.asarray(predictor.additive_features(listed.graphs), dtype=np.float64)
        linear = predictor.linear_form()
        if linear is not None:
            features = features @ linear[0][:, None]
        tables = [_table(part, features, space) for part in listed.parts]
        if linear is not None:
            return cls(_merged(tables), float(linear[1]), None)
        largest = np.sum([np.abs(table.values).max(axis=0) for table in tables], axis=0)
        function = predictor.feature_function(largest)
        read = [
            replace(table, values=table.values.take(function.columns, axis=1)) for table in tables
        ]
        return cls(_merged(read), 0.0, function)

    @property
    def n_features(self) -> int:
        """Number of columns of every table."""
        return int(self.parts[0].values.shape[1])

    def latency_ms(self, features: Floats) -> Floats:
        """Predict milliseconds, shape ``(n,)``, from summed features, shape ``(n, features)``."""
        if self.function is None:
            return np.asarray(features[:, 0] + self.offset_ms)
        return self.function.latency_ms(features)

    def slopes(self, features: Floats) -> Floats:
        """Return the derivative of the latency by each feature, shape ``(n, features)``."""
        return np.ones_like(features) if self.function is None else self.function.slopes(features)


def _merged(tables: Sequence[PartTable]) -> tuple[PartTable, ...]:
    """Add each table whose decisions are a subset of another table's to that table."""
    kept: list[PartTable] = []
    for table in sorted(tables, key=lambda each: len(each.decisions), reverse=True):
        for number, larger in enumerate(kept):
            if set(table.decisions) <= set(larger.decisions):
                kept[number] = replace(
                    larger, values=larger.values + table.values[_rows(table, larger)]
                )
                break
        else:
            kept.append(table)
    return tuple(kept)


def _rows(table: PartTable, larger: PartTable) -> NDArray[np.intp]:
    """Return the row of a table for each row of one that depends on more decisions."""
    tokens = np.indices(larger.sizes).reshape(len(larger.sizes), -1)
    rows = np.zeros(len(larger.values), dtype=np.intp)
    for decision, size in zip(table.decisions, table.sizes, strict=True):
        rows = rows * size + tokens[larger.decisions.index(decision)]
    return rows


def _table(part: PartForms, features: Floats, space: SearchSpace) -> PartTable:
    if len(part.layers) * features.shape[1] > _MAX_VALUES:
        raise ValueError(
            f"Part {part.name} of space {space.name} has {len(part.layers):,} forms of "
            f"{features.shape[1]} features, too many to tabulate. Cut it into parts that depend on "
            "fewer decisions."
        )
    values = np.zeros((len(part.layers), features.shape[1]))
    for column in part.layers.T:
        there = column >= 0
        values[there] += features[column[there]]
    sizes = tuple(int(space.n_choices[position]) for position in part.decisions)
    return PartTable(part.decisions, sizes, values)


class CompiledPredictor:
    """Predicts latencies of rows of tokens of one space, at millions of rows a second.

    Every part of a network depends on few decisions, so its features are tabulated, and those of a
    network are the sum of one row per table. Made by ``predictor.compile(space)``; safe to call
    from several threads.
    """

    def __init__(self, predictor: Compilable, space: SearchSpace) -> None:
        self.space_name = space.name
        self.decisions: tuple[Decision, ...] = space.decisions
        self._tables = SpaceTables.of(predictor, space)
        n_decisions = len(space.decisions)
        self._n_at_once = max(
            1, min(_TOKENS_AT_ONCE // n_decisions, _FEATURES_AT_ONCE // self._tables.n_features)
        )
        self._bounds = np.tile(space.n_choices.astype(np.uint64), (self._n_at_once, 1))
        # tokens @ places = rows of the tables. Exact: whole numbers below 2^24.
        self._places = np.zeros((n_decisions, len(self._tables.parts)), dtype=np.float32)
        for column, part in enumerate(self._tables.parts):
            for number, position in enumerate(part.decisions):
                self._places[position, column] = math.prod(part.sizes[number + 1 :])

    def __call__(self, tokens: ArrayLike) -> Floats:
        """Predict the latency of each row of tokens.

        Args:
            tokens: Whole numbers, shape ``(n, decisions)``.

        Returns:
            Milliseconds, shape ``(n,)``.

        Raises:
            ValueError: If the shape is wrong, or a token is no whole number or out of range.
        """
        rows = np.asarray(tokens)
        if rows.ndim != 2 or rows.shape[1] != len(self.decisions):
            raise ValueError(
                f"Space {self.space_name} needs rows of {len(self.decisions)} tokens, shape "
                f"(n, {len(self.decisions)}), got shape {rows.shape}."
            )
        if not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"Tokens are whole numbers, got an array of {rows.dtype}.")
        latency_ms = np.empty(len(rows))
        work = _Work.of(min(self._n_at_once, len(rows)), *self._places.shape, self._tables)
        for start in range(0, len(rows), self._n_at_once):
            chunk = rows[start : start + self._n_at_once]
            features = self._features(chunk, start, work)
            latency_ms[start : start + len(chunk)] = self._tables.latency_ms(features)
        return latency_ms

    def _features(self, chunk: NDArray[np.integer], start: int, work: "_Work") -> Floats:
        n = len(chunk)
        whole = np.ascontiguousarray(chunk, dtype=np.int64).view(np.uint64)  # below 0: very large
        outside = np.greater_equal(whole, self._bounds[:n], out=work.outside[:n])
        if outside.any():
            self._refuse(chunk, start, outside)
        work.tokens[:n] = whole
        np.matmul(work.tokens[:n], self._places, out=work.found[:n])
        work.rows[:, :n] = work.found[:n].T
        total, term = work.total[:n], work.term[:n]
        total.fill(0.0)
        for part, row in zip(self._tables.parts, work.rows, strict=True):
            # All indices are in range; "clip" avoids the copy that "raise" makes.
            part.values.take(row[:n], axis=0, out=term, mode="clip")
            total += term
        return total

    def _refuse(self, chunk: NDArray[np.integer], start: int, outside: NDArray[np.bool_]) -> None:
        row, position = (int(index) for index in np.argwhere(outside)[0])
        decision = self.decisions[position]
        raise ValueError(
            f"Token {position} ({decision.name}) of row {start + row} is {chunk[row, position]}, "
            f"but must lie in 0..{len(decision.choices) - 1}."
        )


@dataclass(frozen=True)
class _Work:
    """Buffers that all chunks of a call share; allocating them anew would double the time."""

    outside: NDArray[np.bool_]
    tokens: NDArray[np.float32]
    found: NDArray[np.float32]
    rows: NDArray[np.intp]
    term: Floats
    total: Floats

    @classmethod
    def of(cls, n: int, n_decisions: int, n_parts: int, tables: SpaceTables) -> "_Work":
        return cls(
            outside=np.empty((n, n_decisions), dtype=np.bool_),
            tokens=np.empty((n, n_decisions), dtype=np.float32),
            found=np.empty((n, n_parts), dtype=np.float32),
            rows=np.empty((n_parts, n), dtype=np.intp),
            term=np.empty((n, tables.n_features)),
            total=np.empty((n, tables.n_features)),
        )
