"""Searched on Pixel 1: one run for a range of targets, and published networks beside its front.

Accuracy is that of the judge ``anb`` (ImageNet after the 16 epochs of Accel-NASBench, not a full
training). Latency is predicted: a cost model fitted to all layers and whole networks measured with
TF Lite on a Pixel 1; no network found was measured there.

The published networks are drawn as near as the space allows: the nearest choice of every decision.
Lost is the expansion of 3 (MnasNet-A1's block 3, B1's blocks 2 and 3: 4 here), the fourth layer of
block 4 (A1 and MobileNetV2), and all filters, which the space fixes: it has 40, 80, 112, 192 where
MobileNetV2 has 32, 64, 96, 160; 192 where A1 has 160; 112 where B1 has 96. MobileNetV2's ReLU6
is a ReLU. So they are slower than the published ones, and are judged at the latency they have here.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from _arrays import Tokens
from _judges import Judge, data_folder, load_judge
from _pixel1 import pixel1_predictor
from _results import Result, write_results
from _svg import Point, Stair, front_drawing

from mnaslat import load_network, lower
from mnaslat.predictors import CostModel
from mnaslat.search import (
    EvaluatedCandidate,
    RewardSettings,
    Search,
    SearchProblem,
    SearchSettings,
)
from mnaslat.space import SearchSpace

SEEDS = tuple(range(30, 40))
TARGET_MS = 75.0
RANGE_MS = (30.0, 110.0)  # the space reaches from 14 to 244 ms
PUBLISHED = {
    "mnasnet-a1": "MnasNet-A1's blocks",
    "mnasnet-b1": "MnasNet-B1's blocks",
    "mobilenet-v2": "MobileNetV2's blocks",
}
_N = 2000
_COVERAGE = 0.9
_DRAWING = Path(__file__).resolve().parent / "results" / "pixel1_front.svg"

Front = Sequence[EvaluatedCandidate]


def pixel1_front() -> tuple[list[Result], str]:
    """Search with every seed and compare; the figures and their drawing."""
    torch.set_num_threads(1)
    predictor = pixel1_predictor(data_folder() / "pixel1")
    judge, trees = load_judge("anb"), load_judge("anb-trees")
    space = judge.space
    rows = {name: nearest_row(space, name) for name in PUBLISHED}
    latency_ms = predictor.compile(space)(np.stack(list(rows.values())))
    references = {
        name: Point(PUBLISHED[name], float(each_ms), float(judge.accuracy(rows[name][None])[0]))
        for name, each_ms in zip(rows, latency_ms, strict=True)
    }
    fronts = [_front(judge, predictor, seed) for seed in SEEDS]
    results = []
    for name, reference in references.items():
        found = [_best_within(front, reference.latency_ms) for front in fronts]
        results += _compared(trees, predictor, name, rows[name], reference, found)
    answers = [_best_within(front, TARGET_MS) for front in fronts]
    results.append(_answer(predictor, references, answers))
    return results, _drawn(fronts, answers, references)


def nearest_row(space: SearchSpace, name: str) -> Tokens:
    """Tokens of a published network: the nearest choice of every decision."""
    wanted = space.read(load_network(name))
    row = [
        min(
            range(len(decision.choices)),
            key=lambda place: abs(float(decision.choices[place]) - float(wanted[decision.name])),
        )
        for decision in space.decisions
    ]
    return np.array(row, dtype=np.int64)


def _front(judge: Judge, predictor: CostModel, seed: int) -> Front:
    problem = SearchProblem(
        space=judge.space, accuracy=judge.problem().accuracy, predictor=predictor
    )
    settings = SearchSettings(
        reward=RewardSettings.hard(TARGET_MS),
        target_ms_range=RANGE_MS,
        n_samples=_N,
        seed=seed,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Search(problem, settings, Path(folder) / "run") as search,
    ):
        return search.run().front


def _best_within(front: Front, latency_ms: float) -> EvaluatedCandidate:
    """The most accurate: of a front, the slowest that is fast enough."""
    return [each for each in front if each.latency_ms <= latency_ms][-1]


def _compared(
    trees: Judge,
    predictor: CostModel,
    name: str,
    row: Tokens,
    reference: Point,
    found: Sequence[EvaluatedCandidate],
) -> list[Result]:
    published_ms = float(predictor.predict([lower(load_network(name))])[0])
    accuracy = [each.accuracy for each in found]
    task = f"Pixel 1, as fast as {reference.label} ({reference.latency_ms:.1f} ms)"
    note = (
        f"+-{stdev(accuracy):.2g}; worst {min(accuracy):.4f}; goal: the blocks' own; latencies "
        f"are predicted (the published network: {published_ms:.1f} ms)"
    )
    by_trees = trees.accuracy(np.array([each.tokens for each in found]))
    gain = by_trees - float(trees.accuracy(row[None])[0])
    return [
        Result(task, "ANB accuracy found", fmean(accuracy), reference.accuracy, "higher", SEEDS,
               note),
        Result(task, "gain by boosted trees", float(gain.mean()), 0.0, "higher", SEEDS,
               f"the same networks, by another model than searched with; worst {gain.min():+.4f}"),
    ]  # fmt: skip


def _answer(
    predictor: CostModel, references: Mapping[str, Point], answers: Sequence[EvaluatedCandidate]
) -> Result:
    accuracy = [each.accuracy for each in answers]
    bounds = predictor.predict_interval_ms([each.architecture for each in answers], _COVERAGE)
    low, high = (np.median(each / [answer.latency_ms for answer in answers]) for each in bounds)
    note = (
        f"+-{stdev(accuracy):.2g}; worst {min(accuracy):.4f}; {answers[0].latency_ms:.1f} ms "
        f"predicted with seed {SEEDS[0]}; {_COVERAGE:.0%} intervals from {low - 1:+.1%} to "
        f"{high - 1:+.1%}; goal: the best of the blocks above, which are slower"
    )
    best = max(each.accuracy for each in references.values())
    return Result(f"Pixel 1, {TARGET_MS:g} ms, of one run for {RANGE_MS[0]:g}:{RANGE_MS[1]:g}",
                  "ANB accuracy found", fmean(accuracy), best, "higher", SEEDS, note)  # fmt: skip


def _drawn(
    fronts: Sequence[Front], answers: Sequence[EvaluatedCandidate], references: Mapping[str, Point]
) -> str:
    stairs = []
    for seed, front in zip(SEEDS, fronts, strict=True):
        shown = [each for each in front if RANGE_MS[0] <= each.latency_ms <= RANGE_MS[1]]
        label = f"found with {_N:,} evaluations, seed {seed}" if seed == SEEDS[0] else ""
        latency_ms = [each.latency_ms for each in shown]
        stairs.append(Stair(latency_ms, [each.accuracy for each in shown], label))
    best = answers[0]
    label = f"{best.accuracy:.1%} in {best.latency_ms:.1f} ms, for {TARGET_MS:g} ms"
    return front_drawing(
        stairs,
        list(references.values()),
        Point(label, best.latency_ms, best.accuracy),
        x_title="latency on a Pixel 1, predicted (ms)",
        y_title="accuracy by Accel-NASBench",
    )


def main() -> None:
    """Run everything, draw it and write the results."""
    if not data_folder().is_dir():
        print(f"No data in {data_folder()}; benchmarks/results/pixel1_front.* stay as they are.")
        return
    results, drawing = pixel1_front()
    write_results("pixel1_front", results)
    _DRAWING.write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
