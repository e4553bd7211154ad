"""Evaluates predictors: errors and intervals on networks left out of the fit."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.files import json_value
from mnaslat.graph import Graph
from mnaslat.html_table import html_table
from mnaslat.predictors.base import checked_latency_ms
from mnaslat.predictors.estimator import Estimator


@dataclass(frozen=True)
class Errors:
    """Errors of predictions on networks that the predictor was not fitted to."""

    n: int
    mape: float  # mean absolute error relative to the measured latency, a fraction
    within_5: float  # fraction of networks predicted within 5 %
    within_10: float
    spearman: float  # rank correlation; NaN for fewer than three networks
    bias: float  # mean signed relative error; above 0 predicts too slow

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``; NaN becomes None."""
        return _plain(asdict(self))

    def _repr_html_(self) -> str:
        return html_table(_ERROR_COLUMNS, [_error_row("all", self)])


def prediction_errors(predicted_ms: Floats, measured_ms: Floats) -> Errors:
    """Compare predicted with measured latencies.

    Args:
        predicted_ms: Shape ``(n,)``.
        measured_ms: Shape ``(n,)``, all positive.

    Raises:
        ValueError: If the shapes differ, are empty, or a measurement is not positive.

    >>> prediction_errors(np.array([1.0, 2.2]), np.array([1.0, 2.0])).mape
    0.05
    """
    if predicted_ms.shape != measured_ms.shape or predicted_ms.size == 0:
        raise ValueError(f"Shapes must agree, got {predicted_ms.shape} and {measured_ms.shape}.")
    if not (np.isfinite(measured_ms) & (measured_ms > 0)).all():
        raise ValueError("Measured latencies must be positive.")
    relative = np.round(predicted_ms / measured_ms - 1.0, 12)  # 1.05 is within 5 % of 1
    return Errors(
        n=int(relative.size),
        mape=round(float(np.abs(relative).mean()), 12),
        within_5=float((np.abs(relative) <= 0.05).mean()),
        within_10=float((np.abs(relative) <= 0.10).mean()),
        spearman=_spearman(predicted_ms, measured_ms),
        bias=float(relative.mean()),
    )


@dataclass(frozen=True)
class HeldOut:
    """Errors and intervals of a group of networks, each predicted by a fit without it."""

    errors: Errors
    kendall: float  # rank correlation, tau-b; NaN for fewer than three networks
    coverage: float  # fraction of measured latencies inside their interval; NaN: no intervals
    half_width: float  # median half width of the intervals, relative to the prediction; NaN: none

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``; NaN becomes None."""
        values: dict[str, Any] = {**asdict(self.errors), **asdict(self)}
        del values["errors"]
        return _plain(values)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Held-out errors of a predictor.

    ``random`` is optimistic if networks have near copies among the others; ``new_family`` estimates
    the error on a kind of network that was never measured. ``by_fold`` and ``by_family`` break the
    errors down; groups of one or two networks are unreliable.
    """

    random: HeldOut  # random folds
    by_fold: tuple[HeldOut, ...]
    new_family: HeldOut | None  # one family left out at a time; None: no families were named
    by_family: Mapping[str, HeldOut]  # of ``new_family``

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``; NaN becomes None."""
        return {
            "random": self.random.to_json(),
            "by_fold": [each.to_json() for each in self.by_fold],
            "new_family": None if self.new_family is None else self.new_family.to_json(),
            "by_family": {name: each.to_json() for name, each in self.by_family.items()},
        }

    def __repr__(self) -> str:
        """Show the main figures; the groups are counted."""
        new = "None" if self.new_family is None else f"{self.new_family.errors.mape:.2%}"
        return (
            f"Evaluation(n={self.random.errors.n}, random_mape={self.random.errors.mape:.2%}, "
            f"new_family_mape={new}, n_folds={len(self.by_fold)}, n_families={len(self.by_family)})"
        )

    def _repr_html_(self) -> str:
        groups = [("random", self.random)]
        if self.new_family is not None:
            groups.append(("new family", self.new_family))
        groups += [(f"family {name}", each) for name, each in self.by_family.items()]
        columns = (*_ERROR_COLUMNS, "interval coverage")
        rows = [(*_error_row(name, each.errors), _percent(each.coverage)) for name, each in groups]
        return html_table(columns, rows)


_ERROR_COLUMNS = (
    "networks",
    "number",
    "mean error",
    "within 5 %",
    "within 10 %",
    "rank correlation",
    "bias",
)


def _error_row(name: str, errors: Errors) -> tuple[object, ...]:
    return (
        name,
        errors.n,
        _percent(errors.mape),
        _percent(errors.within_5),
        _percent(errors.within_10),
        None if math.isnan(errors.spearman) else f"{errors.spearman:.3f}",
        _percent(errors.bias),
    )


def _percent(fraction: float) -> str | None:
    return None if math.isnan(fraction) else f"{fraction:.1%}"


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json_value(dict(values))
    return plain


class _WithIntervals(Protocol):
    def predict_interval_ms(
        self, networks: Sequence[Graph], coverage: float
    ) -> tuple[Floats, Floats]: ...


def evaluate(
    model: Estimator,
    graphs: Sequence[Graph],
    latency_ms: Sequence[float] | Floats,
    families: Sequence[Hashable] | None = None,
    *,
    n_folds: int = 10,
    seed: int = 0,
    coverage: float = 0.9,
) -> Evaluation:
    """Cross-validate a predictor: fit it without some networks, and compute its errors on those.

    Only the arguments of the given model are used; the model is not changed.

    Args:
        model: Any predictor of this package.
        graphs: Networks, at least as many as folds.
        latency_ms: Measured, shape ``(n,)``.
        families: A name for each network; networks of one name are left out together. With fewer
            than two families nothing is left out by family.
        n_folds: Number of random folds.
        seed: Seed of the folds.
        coverage: Coverage of the intervals, if the predictor has them.

    Raises:
        ValueError: If there are fewer networks than folds, latencies or families do not fit, or too
            few networks remain for a fit.
    """
    measured_ms = checked_latency_ms(latency_ms, len(graphs), "An evaluation")
    if not 2 <= n_folds <= len(graphs):
        raise ValueError(
            f"n_folds must lie between 2 and the number of networks, {len(graphs)}, got {n_folds}."
        )
    order = np.random.default_rng(seed).permutation(len(graphs))
    folds = [np.sort(order[start::n_folds]) for start in range(n_folds)]
    random = _Predicted.without(model, graphs, measured_ms, folds, coverage)
    by_fold = tuple(random.held_out(fold) for fold in folds)
    everything = np.arange(len(graphs))
    if families is None or len(set(families)) < 2:
        return Evaluation(
            random=random.held_out(everything), by_fold=by_fold, new_family=None, by_family={}
        )
    if len(families) != len(graphs):
        raise ValueError(f"Name a family for each of {len(graphs)} networks, got {len(families)}.")
    members = {
        str(family): np.array([index for index, each in enumerate(families) if each == family])
        for family in Counter(families)
    }
    new = _Predicted.without(model, graphs, measured_ms, list(members.values()), coverage)
    return Evaluation(
        random=random.held_out(everything),
        by_fold=by_fold,
        new_family=new.held_out(everything),
        by_family={family: new.held_out(inside) for family, inside in members.items()},
    )


@dataclass(frozen=True, eq=False)
class _Predicted:
    """Predictions of every network by a fit without its group."""

    predicted_ms: Floats
    low_ms: Floats
    high_ms: Floats
    measured_ms: Floats

    @classmethod
    def without(
        cls,
        model: Estimator,
        graphs: Sequence[Graph],
        measured_ms: Floats,
        groups: Sequence[NDArray[np.intp]],
        coverage: float,
    ) -> "_Predicted":
        predicted_ms, low_ms, high_ms = (np.full(len(graphs), np.nan) for _ in range(3))
        for group in groups:
            kept = np.setdiff1d(np.arange(len(graphs)), group)
            fitted: Any = type(model)(**model.get_params())
            fitted.fit([graphs[index] for index in kept], measured_ms[kept])
            left_out = [graphs[index] for index in group]
            predicted_ms[group] = fitted.predict(left_out)
            if hasattr(fitted, "predict_interval_ms"):
                with_intervals: _WithIntervals = fitted
                bounds = with_intervals.predict_interval_ms(left_out, coverage)
                low_ms[group], high_ms[group] = bounds
        return cls(predicted_ms, low_ms, high_ms, measured_ms)

    def held_out(self, inside: NDArray[np.intp]) -> HeldOut:
        predicted_ms, measured_ms = self.predicted_ms[inside], self.measured_ms[inside]
        low_ms, high_ms = self.low_ms[inside], self.high_ms[inside]
        known = not np.isnan(low_ms).any()
        covered = (low_ms <= measured_ms) & (measured_ms <= high_ms)
        half_widths = (high_ms - low_ms) / (2.0 * predicted_ms)
        return HeldOut(
            errors=prediction_errors(predicted_ms, measured_ms),
            kendall=_kendall(predicted_ms, measured_ms),
            coverage=float(covered.mean()) if known else math.nan,
            half_width=float(np.median(half_widths)) if known else math.nan,
        )


def _spearman(first: Floats, second: Floats) -> float:
    from scipy.stats import spearmanr

    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def _kendall(first: Floats, second: Floats) -> float:
    from scipy.stats import kendalltau

    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(kendalltau(first, second).statistic)
