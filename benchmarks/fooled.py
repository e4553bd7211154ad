"""A search whose predictor is 30 % too optimistic about one kind of layer, on this computer.

The predictor is a real one: a table of this computer's layers and a correction by whole networks.
Then every layer with a 5x5 kernel is priced at 0.7 of what was measured, and the networks that the
correction was fitted to have 3x3 kernels alone, so that nothing in it knows better. Accuracies are
those of Accel-NASBench, where larger kernels help: the search is drawn to what looks too cheap.

With validation the search measures as ``mnaslat search`` does; without it, it has the predictor
alone. The answers of all searches are then measured once more, in turns and in a store of their
own: figures are of these measurements, which no search has seen.

The same searches with the predictor as it was calibrated, and no validation, say what of a miss is
the optimism's. Takes about a quarter of an hour on one core. Measurements and runs stay in
``bench-workspace``, so that an interrupted run goes on; delete ``bench-workspace/fooled`` for a
fresh one.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
import torch
from _arrays import Floats
from _judges import data_folder, load_judge
from _results import Result, write_results
from _trials import code_digest

from mnaslat import Architecture, calibration_networks, measure_networks, profile_space
from mnaslat.data import LatencyTable, Workspace
from mnaslat.predictors import CalibratedPredictor, TablePredictor
from mnaslat.profiling import HostDevice
from mnaslat.search import RewardSettings, Search, SearchProblem, SearchSettings
from mnaslat.space import SearchSpace, load_space

# What validation does was settled with others (docs/decisions.md).
SEEDS = (50, 51, 52, 53, 54)
_FOLDER = Path(__file__).resolve().parent.parent / "bench-workspace" / "fooled"
_RESOLUTION = 128  # a network then takes milliseconds
_OPTIMISM = 0.7  # of what was measured
_KIND = "dwconv5x5"  # as it stands in the signature of a layer
_N_CALIBRATION = 20
_N_SAMPLES = 2000
_N_PROBES = 1000  # networks, half of which keep the target
_ALLOWED = 0.05  # of the target, to both sides
_WORST, _LEAST = (f"distance from the target, {which}" for which in ("worst", "least"))


class _Measured:
    """Measures on this computer, into a workspace.

    Args:
        folder: Of the workspace; what it has already is read from it.
    """

    def __init__(self, folder: Path) -> None:
        self._workspace = Workspace(folder)

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies in milliseconds, shape ``(n,)``."""
        found = measure_networks(HostDevice(), architectures, self._workspace)
        return np.array(found.latency_ms)


def predictors(space: SearchSpace) -> tuple[CalibratedPredictor, CalibratedPredictor]:
    """As ``mnaslat calibrate`` would make it, and the optimistic one."""
    workspace, device = Workspace(_FOLDER / "predictor"), HostDevice()
    table = profile_space(device, space, workspace).table
    rows = {
        signature: replace(row, latency_ms=_OPTIMISM * row.latency_ms)
        if _KIND in signature
        else row
        for signature, row in table.rows.items()
    }
    drawn = calibration_networks(space, "fp32", _N_CALIBRATION, 0)
    plain = [_with_small_kernels(space, each) for each in drawn]
    measured_ms = _Measured(_FOLDER / "predictor").measure([*drawn, *plain])
    honest = CalibratedPredictor(TablePredictor(table))
    optimist = CalibratedPredictor(TablePredictor(LatencyTable(table.configuration, rows)))
    honest.fit(drawn, measured_ms[: len(drawn)])
    optimist.fit(plain, measured_ms[len(drawn) :])
    return honest, optimist


def _with_small_kernels(space: SearchSpace, architecture: Architecture) -> Architecture:
    row = space.encode(architecture)
    for place, decision in enumerate(space.decisions):
        if decision.name.endswith(".kernel"):
            row[place] = decision.choices.index(3)
    return space.decode(row)


@dataclass(frozen=True)
class _Way:
    """How a target is searched for."""

    name: str  # of its runs' folders
    task: str
    predictor: CalibratedPredictor
    validated: bool
    metric: str  # of the seeds' distances from the target
    goal: float | None
    better: Literal["lower", "higher"]


def searched(
    space: SearchSpace, way: _Way, target_ms: float, seed: int
) -> tuple[Architecture, float | None, str]:
    """The answer of a search, its latency if that measured it, and what it says about itself."""
    # Runs of other code are other runs.
    folder = _FOLDER / f"{way.name}-{_N_SAMPLES}-{seed}-{code_digest()[:8]}"
    judge = replace(load_judge("anb"), space=space)
    problem = SearchProblem(
        space=space,
        accuracy=judge.problem().accuracy,
        predictor=way.predictor,
        validator=_Measured(folder) if way.validated else None,
    )
    settings = SearchSettings(
        reward=RewardSettings.hard(target_ms),
        n_samples=_N_SAMPLES,
        seed=seed,
    )
    with Search(problem, settings, folder / "run") as search:
        result = search.run()
    winner = result.winner
    n_large = sum(block.first.kernel == 5 for block in winner.architecture.blocks)
    reported = f"{winner.accuracy:.4f}, {n_large} blocks 5x5"
    if way.validated:
        reported += f", {len(result.validations)} networks measured"
    print(f"  {way.name}, seed {seed}: {reported}, {result.seconds:.0f} s", flush=True)
    return winner.architecture, winner.measured_ms, reported


def fooled() -> list[Result]:
    """Searches with and without validation, judged by measurements of their own."""
    space = load_space("accel-nasbench", resolution=_RESOLUTION)
    honest, optimist = predictors(space)
    probes = space.sample(_N_PROBES, np.random.default_rng(0))
    target_ms = float(np.median(honest.compile(space)(probes)))
    print(f"target {target_ms:.3f} ms; {honest.correction}; {honest.held_out}", flush=True)
    optimistic = f"5x5 layers at {_OPTIMISM} of their latency"
    ways = (  # fmt: skip
        _Way(
            "validated", f"{optimistic}, with validation", optimist, True, _WORST, _ALLOWED, "lower"
        ),
        _Way(
            "trusting", f"{optimistic}, no validation", optimist, False, _LEAST, _ALLOWED, "higher"
        ),
        _Way(
            "honest",
            "the predictor as calibrated, no validation",
            honest,
            False,
            _WORST,
            None,
            "lower",
        ),
    )
    answers = [[searched(space, way, target_ms, seed) for seed in SEEDS] for way in ways]
    shutil.rmtree(_FOLDER / "judged", ignore_errors=True)
    networks = [network for row in answers for network, *_ in row]
    judged_ms = _Measured(_FOLDER / "judged").measure(networks).reshape(len(ways), -1)
    results = []
    for way, row, latency_ms in zip(ways, answers, judged_ms, strict=True):
        off = np.abs(latency_ms / target_ms - 1.0)
        by_seed = ", ".join(f"{each / target_ms - 1.0:+.1%}" for each in latency_ms)
        reported = "; ".join(each for *_, each in row)
        note = f"by seed {by_seed} of {target_ms:.3f} ms; ANB accuracy {reported}"
        value = float(off.min() if way.metric == _LEAST else off.max())
        results.append(Result(way.task, way.metric, value, way.goal, way.better, SEEDS, note))
    repeated = [
        abs(again_ms / chosen_ms - 1.0)
        for (_, chosen_ms, _), again_ms in zip(answers[0], judged_ms[0], strict=True)
        if chosen_ms is not None
    ]
    note = "the measurement that an answer was chosen by, against the later one"
    results.append(Result(ways[0].task, "repeatability, mean", fmean(repeated), None, "lower",
                          SEEDS, note))  # fmt: skip
    return results


def main() -> None:
    """Run everything and write the results."""
    if not data_folder().is_dir():
        print(f"No data in {data_folder()}; benchmarks/results/fooled.* stay as they are.")
        return
    torch.set_num_threads(1)
    write_results("fooled", fooled())


if __name__ == "__main__":
    main()
