"""A phone of which few networks are measured, the other three phones as priors."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from _arrays import Floats
from _phones import Column, Phones, by_phone, groups_of
from _results import Result
from numpy.typing import NDArray

from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, prediction_errors

_OURS = "suggested networks"
_GOALS = {
    ("big core fp32", "10f"): {5: 0.04, 10: 0.03, 20: 0.023},
    ("big core fp32", "LFO"): {10: 0.045},
    ("int8", "10f"): {10: 0.03},
    ("GPU", "10f"): {10: 0.065},
}
_N_COMPARED = 10  # networks, where simpler ways are tried too


def new_phone(phones: Phones) -> list[Result]:
    """Neither the phone nor its priors have seen the networks that are predicted."""
    results = []
    for (kind, name), goals in _GOALS.items():
        columns = phones.of_kind(kind)
        models = columns[0].models
        assert all(column.models == models for column in columns)
        graphs = columns[0].graphs(phones.networks)
        found: dict[tuple[int, str], Floats] = {}
        for group in groups_of(models, name):
            kept = np.setdiff1d(np.arange(len(models)), group)
            for case, predicted_ms in _few(columns, graphs, kept, group, list(goals)).items():
                everything = found.setdefault(case, np.empty((len(columns), len(models))))
                everything[:, group] = predicted_ms
        for (n, way), predicted_ms in found.items():
            mapes = [
                prediction_errors(predicted, column.latency_ms).mape
                for predicted, column in zip(predicted_ms, columns, strict=True)
            ]
            goal = goals[n] if way == _OURS else None
            seeds = (0,) if name == "10f" else ()
            task = f"new phone, {n} {way}, {kind}, {name}"
            note = by_phone(mapes)
            results.append(Result(task, "MAPE", fmean(mapes), goal, "lower", seeds, note))
    return results


def _few(
    columns: Sequence[Column],
    graphs: Sequence[Graph],
    kept: NDArray[np.intp],
    group: NDArray[np.intp],
    numbers: Sequence[int],
) -> dict[tuple[int, str], Floats]:
    """Predictions for each phone, shape ``(phones, len(group))``, by number and way."""
    candidates = [graphs[index] for index in kept]
    asked = [graphs[index] for index in group]
    known = [
        CostModel(configuration=column.configuration).fit(candidates, column.latency_ms[kept])
        for column in columns
    ]
    found: dict[tuple[int, str], list[Floats]] = {}
    for place, column in enumerate(columns):
        priors = [*known[:place], *known[place + 1 :]]

        def fitted(
            chosen: NDArray[np.intp], priors: Sequence[CostModel], column: Column = column
        ) -> Floats:
            model = CostModel(priors, column.configuration)
            model.fit([graphs[index] for index in chosen], column.latency_ms[chosen])
            return model.predict(asked)

        for n in numbers:
            unfitted = CostModel(priors, column.configuration)
            chosen = kept[unfitted.suggest_calibration(candidates, n)]
            ways = {_OURS: fitted(chosen, priors)}
            if n == _N_COMPARED:
                drawn = np.random.default_rng((place, int(group[0]))).permutation(kept)[:n]
                measured = [graphs[index] for index in chosen]
                scale = float(np.median(column.latency_ms[chosen] / _mean_ms(priors, measured)))
                ways["random networks"] = fitted(drawn, priors)
                ways["suggested networks without priors"] = fitted(chosen, ())
                ways["suggested networks, the priors' mean times one scale"] = scale * _mean_ms(
                    priors, asked
                )
            for way, predicted_ms in ways.items():
                found.setdefault((n, way), []).append(predicted_ms)
    return {case: np.array(each) for case, each in found.items()}


def _mean_ms(models: Sequence[CostModel], graphs: Sequence[Graph]) -> Floats:
    """Geometric mean of what models predict."""
    log_ms = np.mean([np.log(model.predict(graphs)) for model in models], axis=0)
    return np.asarray(np.exp(log_ms), dtype=np.float64)
