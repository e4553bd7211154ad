"""What simple methods reach on the same networks, left out in the same way, to hold ours against.

Linear ones are sums of amounts with non-negative costs, fitted to the relative error.
"""

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
from _arrays import Floats
from _phones import KINDS, Column, Groups, Phones, by_phone, groups_of
from _results import Result

from mnaslat.data import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, prediction_errors, term_matrix

_RIDGE = 1e-3  # of costs that the measurements leave open
_LEAST_MS = 1e-3  # a sum of amounts that were in no network measured is 0


def simple_methods(phones: Phones) -> list[Result]:
    """Ours without what it learns beside the terms, and three linear methods."""
    results = []
    for kind in KINDS:
        columns = phones.of_kind(kind)
        graphs = columns[0].graphs(phones.networks)
        assert all(column.models == columns[0].models for column in columns)
        for method, amounts in (
            ("affine in multiply-adds", _affine(graphs)),
            ("one scale for each kind of op", _by_kind(graphs)),
            ("non-negative least squares on our terms", _terms(graphs, columns[0].configuration)),
            ("CostModel with misfit=0 and layer_misfit=0", None),
        ):
            for name in ("10f", "LFO"):
                groups = groups_of(columns[0].models, name)
                mapes = [_mape(column, graphs, amounts, groups) for column in columns]
                task = f"{kind}, {name}, {method}"
                results.append(Result(task, "MAPE", fmean(mapes), note=by_phone(mapes)))
    return results


def non_negative_costs(amounts: Floats, latency_ms: Floats) -> Floats:
    """Costs of amounts, by the relative error, shape ``(amounts,)``.

    Args:
        amounts: Shape ``(n, amounts)``.
        latency_ms: Shape ``(n,)``.
    """
    from scipy.optimize import nnls

    weighted = amounts / latency_ms[:, None]
    size = np.maximum(weighted.max(axis=0), 1e-12)
    n, n_amounts = weighted.shape
    rows = np.vstack([weighted / size, _RIDGE * np.sqrt(n) * np.eye(n_amounts)])
    target = np.concatenate([np.ones(n), np.zeros(n_amounts)])
    costs: Floats = nnls(rows, target, maxiter=50_000)[0] / size
    return costs


def left_out_ms(
    fit: Callable[[np.ndarray], Callable[[np.ndarray], Floats]], n: int, groups: Groups
) -> Floats:
    """Predictions of each network by a fit without its group, shape ``(n,)``.

    Args:
        fit: Takes the places of networks; what it returns predicts those at other places.
        n: Networks.
        groups: Places that are left out together.
    """
    predicted_ms = np.empty(n)
    for group in groups:
        predicted_ms[group] = fit(np.setdiff1d(np.arange(n), group))(group)
    return predicted_ms


def _mape(column: Column, graphs: Sequence[Graph], amounts: Floats | None, groups: Groups) -> float:
    def plain(kept: np.ndarray) -> Callable[[np.ndarray], Floats]:
        model = CostModel(configuration=column.configuration, misfit=0.0, layer_misfit=0.0)
        model.fit([graphs[index] for index in kept], column.latency_ms[kept])
        return lambda asked: model.predict([graphs[index] for index in asked])

    def linear(kept: np.ndarray) -> Callable[[np.ndarray], Floats]:
        assert amounts is not None
        costs = non_negative_costs(amounts[kept], column.latency_ms[kept])
        return lambda asked: np.maximum(amounts[asked] @ costs, _LEAST_MS)

    fit = plain if amounts is None else linear
    predicted_ms = left_out_ms(fit, len(graphs), groups)
    return prediction_errors(predicted_ms, column.latency_ms).mape


def _affine(graphs: Sequence[Graph]) -> Floats:
    return np.array([[1.0, graph.madds / 1e6] for graph in graphs])


def _by_kind(graphs: Sequence[Graph]) -> Floats:
    """A constant, and of each kind the multiply-adds, or the elements written if it has none."""
    places: dict[tuple[str, bool], int] = {}
    rows = []
    for graph in graphs:
        row: dict[int, float] = {}
        for layer in graph.layers:
            for shaped in layer.shaped_ops:
                kind = (shaped.op.kind, shaped.op.groups > 1)
                place = places.setdefault(kind, len(places) + 1)
                amount = shaped.madds or int(np.prod(shaped.output))
                row[place] = row.get(place, 0.0) + amount / 1e6
        rows.append(row)
    amounts = np.zeros((len(graphs), len(places) + 1))
    amounts[:, 0] = 1.0
    for number, row in enumerate(rows):
        amounts[number, list(row)] = list(row.values())
    return amounts


def _terms(graphs: Sequence[Graph], configuration: Configuration) -> Floats:
    return term_matrix(graphs, configuration)
