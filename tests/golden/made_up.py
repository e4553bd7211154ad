"""What the golden files were made with: networks, a made-up device, short searches.

Nothing here may change what comes out: the files hold the results of the code of before.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.predictors import (
    CalibratedPredictor,
    CostModel,
    KernelModel,
    TablePredictor,
    load_predictor,
    load_pretrained,
    measured_networks,
)
from mnaslat.search import RewardSettings, Search, SearchProblem, SearchSettings
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.tokens import tokens_text
from mnaslat.space import SearchSpace, load_space
from mnaslat.zoo import load_network

FOLDER = Path(__file__).resolve().parent
PREDICTORS = FOLDER / "predictors"
EVERY = 4  # network of a shipped predictor has its interval compared
CALIBRATED = PREDICTORS / "calibrated-table.mnaslat"
SPACE = load_space("accel-nasbench", resolution=32, n_classes=10)

# --- networks

_SPACES = ("mnasnet", "mnasnet-paper", "accel-nasbench", "nas-bench-macro")
_MEASURED = ("ghostnet", "hrnet_w18_small_v1", "preresnet10", "regnety002", "squeezenet_v1_1")


def networks(precision: Precision) -> dict[str, Graph]:
    """Published networks, a sampled row of every space, and networks of other families."""
    architectures = {
        "mnasnet-a1@0.35, 96 pixels, 10 classes": load_network(
            "mnasnet-a1@0.35", resolution=96, n_classes=10
        ),
        "mobilenet-v2@1.4": load_network("mobilenet-v2@1.4"),
    }
    for name in _SPACES:
        space = load_space(name)
        architectures[f"a row of {name}"] = space.decode(
            space.sample(1, np.random.default_rng(1))[0]
        )
    found = {name: lower(each, precision) for name, each in architectures.items()}
    measured = measured_networks()
    for name in _MEASURED:
        words = measured[name].signature.split(" ", 1)[1]
        found[name] = Graph.parse(f"{precision} {words}")
    return found


def predictions(
    predictor: Any, graphs: Mapping[str, Graph], *, every: int = 1
) -> dict[str, list[float]]:
    """By network: the latency and the bounds of its 90 % interval, in milliseconds.

    The latency alone where the predictor has no intervals.

    Args:
        predictor: Fitted.
        graphs: By name.
        every: The interval of every n-th network only: intervals take most of the time.
    """
    latency_ms = predictor.predict_ms(list(graphs.values()))
    found = {name: [float(each)] for name, each in zip(graphs, latency_ms, strict=True)}
    if isinstance(predictor, CalibratedPredictor | CostModel):
        names = list(graphs)[::every]
        bounds_ms = predictor.predict_interval_ms([graphs[name] for name in names], 0.9)
        for name, low_ms, high_ms in zip(names, *bounds_ms, strict=True):
            found[name] += [float(low_ms), float(high_ms)]
    return found


# --- a made-up device


def _configuration(precision: Precision) -> Configuration:
    return Configuration(device="made-up", fingerprint="made-up CPU", precision=precision)


def layer_ms(layer: Graph) -> float:
    """Made-up latency of a layer."""
    return 0.01 + layer.madds / 4e6 + layer.n_params / 5e6 + 0.002 * (len(layer.signature) % 7)


def network_ms(graph: Graph) -> float:
    """Made-up latency of a network: more than its layers take, by what they do not say."""
    layers_ms = sum(map(layer_ms, graph.layer_graphs()))
    return 0.3 + 1.2 * layers_ms * (1.0 + 0.04 * math.sin(graph.madds / 7e4))


def _table(space: SearchSpace, *, every: int) -> LatencyTable:
    layers = [Graph.parse(each) for each in sorted(space.layer_frequencies())[::every]]
    return LatencyTable(_configuration("fp32"), {each.signature: _row(each) for each in layers})


def _row(layer: Graph) -> Row:
    return Row(layer_ms(layer), spread=0.01, n_rounds=3)


def sampled(space: SearchSpace, n: int, seed: int, precision: Precision = "fp32") -> list[Graph]:
    """Random networks of a space."""
    rows = space.sample(n, np.random.default_rng(seed))
    return [lower(space.decode(row), precision) for row in rows]


def new_predictors() -> dict[str, Any]:
    """One fitted predictor of each kind that a file can hold, by the name of its file."""
    table = TablePredictor(_table(SPACE, every=3))
    graphs = sampled(SPACE, 16, 5)
    measured_ms = [network_ms(each) for each in graphs]
    calibrated = CalibratedPredictor(table).fit(graphs, measured_ms)
    fp16 = sampled(SPACE, 16, 6, "fp16")
    cost_fp16 = CostModel((), _configuration("fp16")).fit(fp16, [network_ms(each) for each in fp16])
    cost = CostModel((), _configuration("fp32")).fit(graphs, measured_ms)
    others = sampled(SPACE, 12, 7)
    return {
        "table": table,
        "kernel-model": table.fitted_kernel_model,
        "calibrated-table": calibrated,
        "cost-model-fp16": cost_fp16,
        "calibrated-cost-model": CalibratedPredictor(cost).fit(
            others, [0.2 + 1.1 * network_ms(each) for each in others]
        ),
    }


def asked_of(predictor: Any) -> dict[str, Graph]:
    """Networks for a predictor of `new_predictors`; single layers for a kernel model."""
    if isinstance(predictor, KernelModel):
        layers = sorted(SPACE.layer_frequencies())[1::14]
        return {each: Graph.parse(each) for each in layers}
    graphs = sampled(SPACE, 12, 8, predictor.configuration.precision)
    return {f"row {index}": graph for index, graph in enumerate(graphs)}


def fits() -> dict[str, dict[str, list[float]]]:
    """Predictions of predictors fitted now, by what was fitted."""
    graphs = sampled(SPACE, 14, 9)
    measured_ms = [network_ms(each) for each in graphs]
    calibrated = load_predictor(CALIBRATED)
    assert isinstance(calibrated, CalibratedPredictor)
    fitted = {
        "calibrated table, calibrated again": calibrated.recalibrated(graphs, measured_ms),
        "cost model with a prior": CostModel(
            (load_pretrained("pixel4-cpu1-fp32"),), _configuration("fp32")
        ).fit(graphs, measured_ms),
    }
    return {name: predictions(each, asked_of(each)) for name, each in fitted.items()}


# --- searches

_BASE = SearchSettings(
    reward=RewardSettings.hard(2.2),
    n_samples=80,
    validate_every=1,
    validate_top=2,
    validate_uncertain=1,
    n_final_validations=6,
)
SEARCHES: dict[str, SearchSettings] = {
    "ppo": replace(_BASE, n_samples=75),
    "ppo, seed 7, soft reward": replace(
        _BASE, n_samples=40, seed=7, reward=RewardSettings.soft(2.2)
    ),
    "ppo without a surrogate": replace(_BASE, surrogate=False),
    "ppo, the paper's": replace(_BASE, preset="paper"),
    "ppo over a range": replace(_BASE, target_ms_range=(1.9, 2.6), n_targets=3),
    "random": replace(_BASE, searcher="random", n_samples=60),
    "random, upper end": replace(_BASE, searcher="random", n_samples=60, latency="upper"),
    "evolution": replace(_BASE, searcher="evolution", n_samples=160, validate_every=3),
}


# Searches by a model's guesses. On processors that round differently they go apart in the end; so
# many evaluations are the same everywhere.
CHAOTIC = {"ppo": 25, "ppo, seed 7, soft reward": 25}


def arithmetic() -> str:
    """A digest of how this processor rounds what searchers compute."""
    with _one_thread():
        x = torch.linspace(-3.0, 3.0, 64 * 48, dtype=torch.float64).reshape(64, 48)
        square = torch.exp(-(x @ x.t()) / 500.0) + 64.0 * torch.eye(64, dtype=torch.float64)
        factor = torch.linalg.cholesky(square)
        numbers = [
            torch.softmax(x, 1), torch.log(square.abs()), torch.tanh(x), factor,
            torch.linalg.solve_triangular(factor, x, upper=False), torch.cholesky_solve(x, factor),
            torch.randn(64, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
            torch.softmax(x.float(), 1), x.float() @ x.float().t(),
        ]  # fmt: skip
    return hashlib.sha256(b"".join(each.numpy().tobytes() for each in numbers)).hexdigest()[:16]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the command line does
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class MadeUpAccuracy:
    """Higher for dearer choices, some worth more than others; a few networks fail."""

    description = "made up"
    noise = 0.0

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """One after the other."""
        for index, candidate in enumerate(candidates):
            row = np.array(candidate.tokens)
            if row.sum() % 23 == 0:
                yield index, CandidateResult(accuracy=None, failure="it diverged")
                continue
            worth = float((row * np.linspace(1.5, 0.5, len(row))).sum())
            yield index, CandidateResult(accuracy=0.4 + 0.5 * math.tanh(worth / 40.0))


class MadeUpDevice:
    """Measures `network_ms`."""

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies of networks."""
        return np.array([network_ms(lower(each)) for each in architectures])


def search(settings: SearchSettings, folder: Path) -> dict[str, Any]:
    """Search on the made-up device, and give all that the run found out, in order."""
    predictor = load_predictor(CALIBRATED)
    assert isinstance(predictor, CalibratedPredictor)
    problem = SearchProblem(
        space=SPACE, accuracy=MadeUpAccuracy(), predictor=predictor, validator=MadeUpDevice()
    )
    with _one_thread(), Search(problem, settings, folder) as running:
        result = running.run()
    return {
        **found_in(folder),
        "winners": [tokens_text(winner.candidate.tokens) for winner in result.winners],
        "front": [tokens_text(candidate.tokens) for candidate in result.front],
    }


def found_in(folder: Path) -> dict[str, Any]:
    """The evaluations and validations of a run, in order.

    An evaluation is its tokens, then target, accuracy, predicted latency, the latency that the
    reward was given, and reward. A validation is its tokens, why and after which round it was
    measured, then the latency predicted before, measured, and predicted after.
    """
    store = SearchStore(folder / "search.sqlite", read_only=True)
    try:
        return {
            "evaluations": [
                [
                    tokens_text(each.tokens),
                    each.target_ms,
                    each.accuracy,
                    each.predicted_ms,
                    each.latency_ms,
                    each.reward,
                ]
                for each in store.evaluations()
            ],
            "validations": [
                [
                    tokens_text(each.tokens),
                    each.why,
                    each.round,
                    each.predicted_ms,
                    each.measured_ms,
                    each.predicted_after_ms,
                ]
                for each in store.validations()
            ],
        }
    finally:
        store.close()
