"""A search whose predictor is 30 % too optimistic about one kind of layer, on this computer.

The predictor is a real one: a table of this computer's layers and a correction by whole networks.
Then every layer with a 5x5 kernel is priced at 0.7 of what was measured, and the networks that the
correction was fitted to have 3x3 kernels alone, so that nothing in it knows better. Accuracies are
those of Accel-NASBench, where larger kernels help: the search is drawn to what looks too cheap.

With validation the search measures as ``mnaslat search`` does; without it, it has the predictor
alone. The answers of all searches are then measured once more, in turns and in a store of their
own: figures are of these measurements, which no search has seen.

Takes about a quarter of an hour on one core. Measurements and runs stay in ``bench-workspace``, so
that an interrupted run goes on; delete ``bench-workspace/fooled`` for a fresh one.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from _judges import data_folder, load_judge
from _results import Result, write_results

from mnaslat.architecture import Architecture
from mnaslat.cli.setup import calibration_networks, measure_networks, profile_space, read_table
from mnaslat.data.table import LatencyTable
from mnaslat.data.workspace import Workspace
from mnaslat.predictors import CalibratedPredictor, TablePredictor, prediction_errors
from mnaslat.predictors.base import Floats
from mnaslat.profiling.host import HostDevice
from mnaslat.search.problem import SearchProblem
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run import Search
from mnaslat.search.settings import SearchSettings
from mnaslat.space import SearchSpace, load_space

SEEDS = (30, 31, 32)
_FOLDER = Path(__file__).resolve().parent.parent / "bench-workspace" / "fooled"
_RESOLUTION = 128  # a network then takes milliseconds
_OPTIMISM = 0.7  # of what was measured
_KIND = "dwconv5x5"  # as it stands in the signature of a layer
_N_CALIBRATION = 20
_N_SAMPLES = 1000
_N_PROBES = 1000  # networks, half of which keep the target
_ALLOWED = 0.05  # of the target, to both sides


class _Measured:
    """Measures on this computer, into a workspace.

    Args:
        folder: Of the workspace; what it has already is read from it.
    """

    def __init__(self, folder: Path) -> None:
        self._workspace = Workspace(folder)

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies in milliseconds, shape ``(n,)``."""
        found = measure_networks(self._workspace, HostDevice(), architectures, quiet=True)
        return np.array(found.latency_ms)


def predictors(space: SearchSpace) -> tuple[CalibratedPredictor, CalibratedPredictor]:
    """As ``mnaslat calibrate`` would make it, and the optimistic one."""
    workspace, device = Workspace(_FOLDER / "predictor"), HostDevice()
    profile_space(workspace, device, space)
    table = read_table(workspace, device, "fp32")
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


def searched(
    space: SearchSpace,
    optimist: CalibratedPredictor,
    target_ms: float,
    seed: int,
    *,
    validated: bool,
) -> tuple[Architecture, str]:
    """The answer of a search, and what it says about itself."""
    folder = _FOLDER / f"{'validated' if validated else 'trusting'}-{seed}"
    judge = replace(load_judge("anb"), space=space)
    problem = SearchProblem(
        space=space,
        accuracy=judge.problem().accuracy,
        predictor=optimist,
        validator=_Measured(folder) if validated else None,
    )
    settings = SearchSettings(
        reward=RewardSettings.hard(target_ms),
        space=space.name,
        resolution=_RESOLUTION,
        n_samples=_N_SAMPLES,
        seed=seed,
    )
    with Search(problem, settings, folder / "run") as search:
        result = search.run()
    winner = result.winner
    n_large = sum(block.first.kernel == 5 for block in winner.architecture.blocks)
    told = f"seed {seed}: accuracy {winner.accuracy:.4f}, {n_large} of 7 blocks 5x5, "
    told += f"{winner.predicted_ms:.3f} ms predicted"
    if winner.measured_ms is not None:
        told += f", {winner.measured_ms:.3f} ms measured, {len(result.validations)} validated"
        for row in result.validations:
            print(f"    {row.round:3d} {row.why:9} {row.predicted_ms:.3f} {row.measured_ms:.3f} "
                  f"{row.predicted_after_ms:.3f}")  # fmt: skip
    print(f"  {told}, {result.seconds:.0f} s", flush=True)
    return winner.architecture, told


def fooled() -> list[Result]:
    """Searches with and without validation, judged by measurements of their own."""
    space = load_space("accel-nasbench", resolution=_RESOLUTION)
    honest, optimist = predictors(space)
    probes = space.sample(_N_PROBES, np.random.default_rng(0))
    target_ms = float(np.median(honest.compile(space)(probes)))
    print(f"target {target_ms:.3f} ms; {honest.correction}; {honest.held_out}", flush=True)
    ways = (True, False)
    answers = [
        [searched(space, optimist, target_ms, seed, validated=way) for seed in SEEDS]
        for way in ways
    ]
    shutil.rmtree(_FOLDER / "judged", ignore_errors=True)
    networks = [network for row in answers for network, _ in row]
    judged_ms = _Measured(_FOLDER / "judged").measure(networks)
    honest_errors = prediction_errors(honest.predict_ms(networks), judged_ms)
    optimist_errors = prediction_errors(optimist.predict_ms(networks), judged_ms)
    where = f"{space.name} at {_RESOLUTION} px, {_N_SAMPLES:,} evaluations"
    results = []
    for way, row, latency_ms in zip(ways, answers, judged_ms.reshape(2, -1), strict=True):
        off = np.abs(latency_ms / target_ms - 1.0)
        signed = ", ".join(f"{each / target_ms - 1.0:+.1%}" for each in latency_ms)
        task = f"5x5 layers at 0.7 of their latency, {'with' if way else 'no'} validation"
        note = f"by seed {signed} of {target_ms:.3f} ms; {where}"
        results.append(
            Result(task, "distance from the target, worst" if way else
                   "distance from the target, least", float(off.max() if way else off.min()),
                   _ALLOWED, "lower" if way else "higher", SEEDS, note)
        )  # fmt: skip
        results.append(Result(task, "distance from the target, mean", fmean(off), seeds=SEEDS,
                              note="; ".join(told for _, told in row)))  # fmt: skip
    for name, errors in (("as calibrated", honest_errors), ("made optimistic", optimist_errors)):
        results.append(Result(f"the predictor {name}, on all answers", "MAPE", errors.mape))
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
