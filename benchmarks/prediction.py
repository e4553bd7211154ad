"""Held-out errors of the predictors on measurements of real devices; how fast they are.

10f: ten random folds over networks. LFO: leave one family of networks out. The networks predicted
are in no fit and no choice; for a new phone that holds for the phones of the priors too. Reads
``shared/data`` beside the checkout; without it, nothing is written. Takes about ten minutes on one
core.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from _compiling import compiling
from _elsewhere import accelerator, fbnet, pixel1
from _gpu_ops import op_prior
from _phones import DATA, PHONES, Column, families_of, read_columns
from _results import Result, write_results
from numpy.typing import NDArray

import mnaslat
from mnaslat.graph import Graph
from mnaslat.network import Network
from mnaslat.predictors import CostModel, Evaluation, HeldOut, evaluate, prediction_errors
from mnaslat.predictors.base import Floats
from mnaslat.predictors.shipped import load_pretrained, measured_networks

Groups = Sequence[NDArray[np.intp]]

SEEDS = (0, 1, 2)
_KINDS = {"big core fp32": "cpu1-fp32", "int8": "cpu1-int8", "GPU": "gpu-fp32"}
_GOALS = {"big core fp32": (0.018, 0.035), "int8": (0.022, 0.05), "GPU": (0.04, 0.065)}


@dataclass(frozen=True)
class Phones:
    """The four phones' measurements."""

    folder: Path
    columns: dict[str, Column]
    networks: dict[str, Graph]

    def of_kind(self, kind: str) -> list[Column]:
        """One column a phone."""
        return [self.columns[f"{phone}-{_KINDS[kind]}"] for phone in PHONES]

    def several_cores(self) -> list[list[Column]]:
        """All fp32 columns of more than one core, by phone."""
        return [
            [
                column
                for column in self.columns.values()
                if column.configuration.device == phone
                and column.configuration.threads > 1
                and column.configuration.precision == "fp32"
            ]
            for phone in PHONES
        ]


def judged(phones: Phones, column: Column, seed: int, with_families: bool) -> Evaluation:
    """By ``mnaslat.predictors.evaluate``."""
    model = CostModel(configuration=column.configuration)
    families = families_of(column.models) if with_families else None
    graphs = column.graphs(phones.networks)
    return evaluate(model, graphs, column.latency_ms, families, seed=seed)


def _mean(of: Callable[[HeldOut], float], found: Sequence[HeldOut]) -> float:
    return fmean(map(of, found))


def _by_phone(found: Sequence[float]) -> str:
    return "by phone " + ", ".join(f"{each:.2%}" for each in found)


def many_networks(phones: Phones) -> list[Result]:
    """About ninety measured networks; the intervals of the same fits."""
    results, intervals = [], []
    for kind, (goal, new_goal) in _GOALS.items():
        columns = phones.of_kind(kind)
        known, new = [], []
        for seed in SEEDS:
            for column in columns:
                evaluation = judged(phones, column, seed, seed == SEEDS[0])
                known.append(evaluation.random)
                if evaluation.new_family is not None:
                    new.append(evaluation.new_family)
        for name, found, limit, seeds in (
            ("10f", known, goal, SEEDS),
            ("LFO", new, new_goal, ()),
        ):
            mapes = [
                fmean(each.errors.mape for each in found[place :: len(columns)])
                for place in range(len(columns))
            ]
            task = f"{kind}, {name}"
            note = _by_phone(mapes)
            results.append(Result(task, "MAPE", fmean(mapes), limit, "lower", seeds, note))
            if kind == "big core fp32":
                within = _mean(lambda each: each.errors.within_10, found)
                least = 0.99 if name == "10f" else 0.95
                results.append(Result(task, "within 10 %", within, least, "higher", seeds))
            intervals += _intervals(kind, name, found, seeds)
    return results + intervals


def _intervals(
    kind: str, name: str, found: Sequence[HeldOut], seeds: Sequence[int]
) -> list[Result]:
    coverage = _mean(lambda each: each.coverage, found)
    half_width = _mean(lambda each: each.half_width, found)
    whose = "seen families" if name == "10f" else "an unseen family"
    task = f"90 % intervals, {kind}, {whose}"
    note = f"median half width {half_width:.2%}"
    results = [
        Result(task, "covered, at least", coverage, 0.87, "higher", seeds, note),
        Result(task, "covered, at most", coverage, 0.94, "lower", seeds, note),
    ]
    if kind == "big core fp32":
        widest = 0.06 if name == "10f" else 0.11
        results.append(Result(task, "median half width", half_width, widest, "lower", seeds))
    return results


def several_cores(phones: Phones) -> list[Result]:
    """All core sets of more than one core."""
    known, new = [], []
    for columns in phones.several_cores():
        evaluations = [judged(phones, column, 0, True) for column in columns]
        known.append(fmean(each.random.errors.mape for each in evaluations))
        new.append(fmean(each.new_family.errors.mape for each in evaluations if each.new_family))
    n = sum(map(len, phones.several_cores()))
    return [
        Result(f"several cores fp32, {name}", "MAPE", fmean(found), goal, "lower", (0,),
               f"{n} core sets, also slow ones; {_by_phone(found)}")
        for name, found, goal in (("10f", known, 0.033), ("LFO", new, 0.065))
    ]  # fmt: skip


def _ten_folds(n: int, seed: int) -> Groups:
    order = np.random.default_rng(seed).permutation(n)
    return [np.sort(order[start::10]) for start in range(10)]


def _family_folds(models: Sequence[str]) -> Groups:
    families = np.array(families_of(models))
    return [np.flatnonzero(families == family) for family in dict.fromkeys(families)]


def gpu_with_ops(phones: Phones) -> list[Result]:
    """GPU latencies with the table of single operators of the networks fitted to."""
    columns = phones.of_kind("GPU")
    results = []
    for name, goal in (("10f", 0.04), ("LFO", 0.065)):
        mapes = []
        for column in columns:
            graphs = column.graphs(phones.networks)
            n = len(graphs)
            groups = _ten_folds(n, 0) if name == "10f" else _family_folds(column.models)
            predicted_ms = np.empty(n)
            for group in groups:
                kept = np.setdiff1d(np.arange(n), group)
                models = {column.models[index] for index in kept}
                prior = op_prior(phones.folder, column.configuration, models)
                model = CostModel((prior,), column.configuration)
                model.fit([graphs[index] for index in kept], column.latency_ms[kept])
                predicted_ms[group] = model.predict([graphs[index] for index in group])
            mapes.append(prediction_errors(predicted_ms, column.latency_ms).mape)
        note = f"the table as a prior, dropped where it misleads; {_by_phone(mapes)}"
        results.append(
            Result(f"GPU with per-op table, {name}", "MAPE", fmean(mapes), goal, "lower",
                   (0,) if name == "10f" else (), note)
        )  # fmt: skip
    return results


def new_phone(phones: Phones) -> list[Result]:
    """Few networks of a phone, the other three phones as priors."""
    results = []
    for kind, n, name, goal in (
        ("big core fp32", 5, "10f", 0.04),
        ("big core fp32", 10, "10f", 0.03),
        ("big core fp32", 20, "10f", 0.023),
        ("big core fp32", 10, "LFO", 0.045),
        ("int8", 10, "10f", 0.03),
        ("GPU", 10, "10f", 0.065),
    ):
        columns = phones.of_kind(kind)
        models = columns[0].models
        assert all(column.models == models for column in columns)
        graphs = columns[0].graphs(phones.networks)
        groups = _ten_folds(len(models), 0) if name == "10f" else _family_folds(models)
        predicted_ms = np.empty((len(columns), len(models)))
        for group in groups:
            kept = np.setdiff1d(np.arange(len(models)), group)
            predicted_ms[:, group] = _few(columns, graphs, kept, group, n)
        mapes = [
            prediction_errors(predicted, column.latency_ms).mape
            for predicted, column in zip(predicted_ms, columns, strict=True)
        ]
        task = f"new phone, {n} suggested networks, {kind}, {name}"
        seeds = (0,) if name == "10f" else ()
        note = f"priors have not seen the networks predicted; {_by_phone(mapes)}"
        results.append(Result(task, "MAPE", fmean(mapes), goal, "lower", seeds, note))
    return results


def _few(
    columns: Sequence[Column],
    graphs: Sequence[Graph],
    kept: NDArray[np.intp],
    group: NDArray[np.intp],
    n: int,
) -> Floats:
    """Predictions for each phone, shape ``(phones, len(group))``."""
    candidates = [graphs[index] for index in kept]
    known = [
        CostModel(configuration=column.configuration).fit(candidates, column.latency_ms[kept])
        for column in columns
    ]
    found = []
    for place, column in enumerate(columns):
        model = CostModel([*known[:place], *known[place + 1 :]], column.configuration)
        chosen = kept[model.suggest_calibration(candidates, n)]
        model.fit([graphs[index] for index in chosen], column.latency_ms[chosen])
        found.append(model.predict([graphs[index] for index in group]))
    return np.array(found)


def corrupted(phones: Phones) -> list[Result]:
    """Three cells in a hundred read 3 to 8 times too high; judged by the true ones."""
    results = []
    for kind in _KINDS:
        for name in ("10f", "LFO"):
            clean, dirty = [], []
            for column in phones.of_kind(kind):
                n = len(column.models)
                rng = np.random.default_rng(0)
                planted = column.latency_ms.copy()
                planted[rng.permutation(n)[: round(0.03 * n)]] *= rng.uniform(3.0, 8.0)
                groups = _ten_folds(n, 0) if name == "10f" else _family_folds(column.models)
                clean.append(_held_out(phones, column, column.latency_ms, groups))
                dirty.append(_held_out(phones, column, planted, groups))
            task = f"3 % of cells 3 to 8 times too high, {kind}, {name}"
            worst = max(np.array(dirty) / np.array(clean))
            note = f"worst phone {worst:.3f}"
            ratio = fmean(dirty) / fmean(clean)
            results.append(Result(task, "MAPE / clean MAPE", ratio, 1.2, "lower", (0,), note))
    return results


def _held_out(phones: Phones, column: Column, fitted_ms: Floats, groups: Groups) -> float:
    graphs = column.graphs(phones.networks)
    predicted_ms = np.empty(len(graphs))
    for group in groups:
        kept = np.setdiff1d(np.arange(len(graphs)), group)
        model = CostModel(configuration=column.configuration)
        model.fit([graphs[index] for index in kept], fitted_ms[kept])
        predicted_ms[group] = model.predict([graphs[index] for index in group])
    return prediction_errors(predicted_ms, column.latency_ms).mape


def speed(phones: Phones) -> list[Result]:
    """One fit, one prediction, one import."""
    column = phones.columns["pixel4-cpu1-fp32"]
    fits = []
    for _ in range(3):
        # Parsed again: layers remember their features.
        graphs = [Graph.parse(graph.signature) for graph in column.graphs(phones.networks)]
        started = time.perf_counter()
        model = CostModel(configuration=column.configuration).fit(graphs, column.latency_ms)
        fits.append(time.perf_counter() - started)
    network = mnaslat.load_network("mnasnet-a1")
    for predictor in (model, load_pretrained(column.name)):
        predictor.predict_ms(network)
    times_ms = []
    space = mnaslat.load_space("mnasnet")
    for row in space.sample(200, np.random.default_rng(0)):
        network = space.decode(row)  # never met before, nor most of its layers
        started = time.perf_counter()
        model.predict_ms(network)
        times_ms.append(1e3 * (time.perf_counter() - started))
    module = Network(mnaslat.lower(mnaslat.load_network("mobilenet-v2")))
    started = time.perf_counter()
    graph = mnaslat.graph_from_torch(module)
    import_s = time.perf_counter() - started
    note = f"{graph.madds / 1e6:.1f} M multiply-adds; the first import of the process"
    return [
        Result("fit of CostModel on 102 networks", "s, slowest of 3", max(fits), 5, "lower"),
        Result("predict_ms of an architecture", "ms, median of 200 others after the first",
               float(np.median(times_ms)), 1, "lower"),
        Result("graph_from_torch of MobileNetV2", "s", import_s, 1.5, "lower", (), note),
    ]  # fmt: skip


@cache
def _folder() -> Path:
    return Path(os.environ.get("MNASLAT_DATA", DATA))


def main() -> None:
    """Run everything and write the results."""
    torch.set_num_threads(1)
    if not _folder().is_dir():
        print(f"No measurements in {_folder()}; benchmarks/results/prediction.* stay as they are.")
        return
    folder = _folder() / "phones_full_models"
    phones = Phones(folder, read_columns(folder), measured_networks())
    results = speed(phones)
    for part in (many_networks, several_cores, gpu_with_ops, new_phone, corrupted):
        found = part(phones)
        for result in found:
            print(f"{result.task}, {result.metric}: {result.value:.4g}", flush=True)
        results += found
    results += pixel1(_folder() / "pixel1")
    results += fbnet(_folder() / "fbnet_phones")
    results += accelerator(_folder() / "accel_nasbench")
    write_results("prediction", results + compiling())


if __name__ == "__main__":
    main()
