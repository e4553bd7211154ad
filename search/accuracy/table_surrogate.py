"""Predicts the accuracy of every network of a space from those in a CSV file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from mnaslat.arrays import Floats, Ints, Tokens
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.pairwise_ridge import PairRidge, n_pair_features
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.accuracy.table import AccuracyTable
from mnaslat.space import SearchSpace

Predict = Callable[[Tokens], Floats]
Fit = Callable[[Tokens, Floats, Tokens], Predict]

_N_FOLDS = 5
_MIN_ROWS = 4 * _N_FOLDS
_MAX_CELLS = 100_000_000  # of the ridge's features: 0.8 GB
_STRENGTHS = (1.0, 10.0)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeldOutAccuracy:
    """Errors of a model on networks of its table that it was not fitted to."""

    mae: float  # fractions of accuracy, as rmse
    rmse: float
    r2: float
    kendall: float  # rank correlation, tau-b

    def __str__(self) -> str:
        return (
            f"held-out MAE {self.mae:.4f}, RMSE {self.rmse:.4f}, R2 {self.r2:.3f}, "
            f"Kendall tau {self.kendall:.3f}"
        )


class TableSurrogateAccuracy:
    """Predicts the accuracy of every network of the space with a model fitted to a table.

    Ridges on choices and their pairs compete with boosted trees; the smallest cross-validated
    squared error decides. Networks of the table are predicted too: a search
    would otherwise pick those whose single training run came out too high.

    Args:
        path: Of the table.
        space: Its networks.
        seed: Of the folds.
        progress: Called with (models fitted, models to fit); thousands of rows take half a minute.

    Attributes:
        model: Name of the model that was chosen.
        held_out: Its errors by cross-validation in five folds.

    Raises:
        SearchError: As ``AccuracyTable``, or if the table has fewer than 20 rows.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        space: SearchSpace,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        table = AccuracyTable(path, space)
        self._space, self._table_name = space, table.name
        tokens, accuracy = table.rows()
        self._n_rows = len(accuracy)
        if self._n_rows < _MIN_ROWS:
            raise SearchError(
                f"{path} has {self._n_rows} networks; a model of it needs {_MIN_ROWS}. Add rows, "
                "or use them as they are: table:FILE.csv."
            )
        folds = np.random.default_rng(seed).permutation(self._n_rows) % _N_FOLDS
        self.model, self.held_out, fit = _best_model(
            tokens, accuracy, space.n_choices, folds, progress or _say_nothing
        )
        self._predict = fit(tokens, accuracy, space.n_choices)

    @property
    def description(self) -> str:
        """Names the table, the model and its held-out errors."""
        return (
            f"table-surrogate {self._table_name}, {self.model} of {self._n_rows} networks, "
            f"{self.held_out}"
        )

    @property
    def noise(self) -> float:
        """The held-out root mean squared error: how far a table's accuracy is from the model."""
        return self.held_out.rmse

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Predict with the model, clipped to [0, 1]."""
        if not candidates:
            return
        # The row that a network is read back as, whose tokens the model was fitted to: other rows
        # can stand for the same network.
        tokens = np.array([self._space.encode(candidate.architecture) for candidate in candidates])
        for index, accuracy in enumerate(np.clip(self._predict(tokens), 0.0, 1.0)):
            yield index, CandidateResult(accuracy=float(accuracy))


def _best_model(
    tokens: Tokens,
    accuracy: Floats,
    n_choices: Tokens,
    folds: Ints,
    progress: Progress,
) -> tuple[str, HeldOutAccuracy, Fit]:
    models = _models(len(accuracy), n_choices)
    judged: list[tuple[str, HeldOutAccuracy, Fit]] = []
    for name, fit in models.items():
        predicted = np.empty(len(accuracy))
        for fold in range(_N_FOLDS):
            out = folds == fold
            predict = fit(tokens[~out], accuracy[~out], n_choices)
            predicted[out] = np.clip(predict(tokens[out]), 0.0, 1.0)
            progress(len(judged) * _N_FOLDS + fold + 1, len(models) * _N_FOLDS)
        judged.append((name, _errors(predicted, accuracy), fit))
    return min(judged, key=lambda each: each[1].rmse)


def _say_nothing(_done: int, _of: int) -> None:
    pass


def _errors(predicted: Floats, accuracy: Floats) -> HeldOutAccuracy:
    from scipy.stats import kendalltau

    wrong = predicted - accuracy
    variance = float(accuracy.var())
    return HeldOutAccuracy(
        mae=float(np.abs(wrong).mean()),
        rmse=float(np.sqrt((wrong**2).mean())),
        r2=1.0 - float((wrong**2).mean()) / variance if variance else float("nan"),
        kendall=float(kendalltau(predicted, accuracy).statistic),
    )


def _models(n_rows: int, n_choices: Tokens) -> Mapping[str, Fit]:
    models: dict[str, Fit] = {"boosted trees": _fit_trees}
    if n_rows * n_pair_features(n_choices) <= _MAX_CELLS:
        for strength in _STRENGTHS:
            models[f"ridge on pairs of choices ({strength:g})"] = _ridge(strength)
    return models


def _ridge(strength: float) -> Fit:
    def fit(tokens: Tokens, accuracy: Floats, n_choices: Tokens) -> Predict:
        return PairRidge.fit(tokens, accuracy, n_choices, strength=strength).predict

    return fit


def _fit_trees(tokens: Tokens, accuracy: Floats, n_choices: Tokens) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=600,
        learning_rate=0.1,
        max_leaf_nodes=6,
        min_samples_leaf=5,
        early_stopping=False,
        random_state=0,
    ).fit(tokens, accuracy)
    return lambda rows: np.asarray(model.predict(rows), dtype=np.float64)
