"""What a supernet's accuracies are worth as a ranking, beside children trained from scratch.

The MnasNet space at width 0.35 on Fashion-MNIST, the same random networks for all: the supernet
with two seeds, and each network alone with two seeds. No source can agree with the trained children
better than they do among themselves.
"""

import argparse
import time
from collections.abc import Iterator, Sequence

import numpy as np
from _results import Result, write_results

from mnaslat.data import load_images
from mnaslat.search import (
    AccuracySource,
    Agreement,
    Candidate,
    CandidateResult,
    ProxyAccuracy,
    ProxySettings,
    SupernetAccuracy,
    SupernetSettings,
    TrainingSettings,
    decoded_candidates,
    rank_correlation,
)
from mnaslat.space import load_space

SEEDS = (0, 1)
IMAGES = "fashion-mnist"
GOAL = 0.7  # a correlation that a search can live on


def compared(
    resolution: int,
    n_networks: int,
    n_steps: int,
    training: TrainingSettings,
    n_workers: int | None,
) -> tuple[Agreement, list[float]]:
    """The supernets first, then the children trained alone; and the seconds each source took."""
    space = load_space("mnasnet", width=0.35, resolution=resolution, n_classes=10)
    rows = space.sample(n_networks, np.random.default_rng(20_260))
    images = load_images(IMAGES, resolution)
    sources: list[AccuracySource] = []
    for seed in SEEDS:
        settings = SupernetSettings(
            resolution=resolution, width=1.0, n_steps=n_steps, n_validation=None, seed=seed
        )
        sources.append(SupernetAccuracy(space, images, settings))
    for seed in SEEDS:
        sources.append(
            ProxyAccuracy(
                IMAGES,
                resolution,
                ProxySettings(
                    training=TrainingSettings(**{**vars(training), "seed": seed}),
                    n_workers=n_workers,
                ),
            )
        )
    timed = [
        _Timed(source, f"{index + 1} of {len(sources)}") for index, source in enumerate(sources)
    ]
    agreement = rank_correlation(timed, decoded_candidates(space, rows))
    return agreement, [source.seconds for source in timed]


class _Timed:
    """A source that prints what it says and remembers how long it took."""

    def __init__(self, source: AccuracySource, name: str) -> None:
        self._source, self._name = source, name
        self.description, self.noise, self.seconds = source.description, source.noise, 0.0

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        started = time.perf_counter()
        for index, result in self._source.evaluate(candidates):
            self.seconds = time.perf_counter() - started
            print(f"source {self._name}: network {index}: {result}", flush=True)
            yield index, result


def main() -> None:
    """Compare, and write the correlations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=28)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.03)
    parser.add_argument("--workers", type=int, default=None)
    given = parser.parse_args()
    training = TrainingSettings(
        n_epochs=given.epochs,
        n_train=given.train,
        batch_size=given.batch,
        learning_rate=given.rate,
        dropout=0.0,
        augment=False,
    )
    agreement, seconds = compared(
        given.resolution, given.networks, given.steps, training, given.workers
    )
    n = agreement.accuracy.shape[1]
    note = (
        f"{n} networks at {given.resolution} px; supernet {given.steps} steps; alone "
        f"{given.epochs} epochs of {given.train} images; seconds {[round(s) for s in seconds]}"
    )
    alone = [2, 3]
    means = agreement.accuracy.mean(1)
    write_results(
        "supernet",
        [
            Result(
                "supernet and children alone",
                "Spearman, mean of two supernets",
                float(np.mean([agreement.with_mean_of(source, alone) for source in (0, 1)])),
                GOAL,
                "higher",
                SEEDS,
                note,
            ),
            Result(
                "supernet, seed and seed",
                "Spearman",
                float(agreement.spearman[0, 1]),
                GOAL,
                "higher",
                SEEDS,
            ),
            Result(
                "children alone, seed and seed",
                "Spearman: no source can do much better",
                float(agreement.spearman[2, 3]),
                GOAL,
                "higher",
                SEEDS,
            ),
            Result(
                "children alone", "mean accuracy", float(means[alone].mean()), 0.7, "higher", SEEDS
            ),
            Result("supernet", "mean accuracy", float(means[:2].mean()), 0.6, "higher", SEEDS),
        ],
    )


if __name__ == "__main__":
    main()
