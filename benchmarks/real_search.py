"""A whole search on this computer, from its latencies to networks trained in full.

The MnasNet space at a small width on Fashion-MNIST: a predictor is measured, children are trained
alone for a little, the best are measured, and the winner is trained in full beside MobileNetV2 and
MnasNet-A1, which are made at least as slow as it is and are trained by the same recipe. The test
images are looked at once, at the very end.

Takes about an hour and a half on two idle cores. What is done stays in ``bench-workspace``, so that
an interrupted run goes on; delete the folder for a fresh one.
"""

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _command import mnaslat_command
from _results import Result, write_results
from _widths import nearest_not_faster, widths_of

import mnaslat
from mnaslat import Architecture, MeasuredNetworks, calibration_networks, measure_networks
from mnaslat.data import Workspace, load_images
from mnaslat.predictors import CostModel, save_predictor
from mnaslat.profiling import HostDevice
from mnaslat.search import (
    ProxyAccuracy,
    TrainingSettings,
    accuracy_source,
    decoded_candidates,
    rank_correlation,
    train,
)
from mnaslat.space import SearchSpace

WORKSPACE = Path(__file__).resolve().parents[1] / "bench-workspace" / "real"
RESOLUTION, WIDTH, N_CLASSES = 28, 0.35, 10  # of the images; of the space
IMAGES = "fashion-mnist"
N_CALIBRATION, CALIBRATION_SEED = 60, 11  # random networks that the predictor is fitted to
# Two passes over few images, in batches of 64: what that leaves to chance is among the results.
# A batch of 32 or a higher rate makes chance larger (docs/decisions.md).
CHILD = f"proxy:{IMAGES},n_epochs=2,n_train=12000,batch_size=64,dropout=0,n_workers=2"
N_CHILDREN, SEARCH_SEED = 100, 0
SEARCH_TIME = "40m"  # it ends with fewer children then
VALIDATE_EVERY = 2  # rounds of 20 children
TARGET_NETWORK = "mnasnet-a1"  # the target is what this takes at the width of the space
PEERS = ("mobilenet-v2", "mnasnet-a1")
# The defaults on all images, which are augmented; batches as the children had them.
RECIPE = TrainingSettings(n_epochs=5, batch_size=64, augment=True)
SEEDS = (0, 1, 2)
N_ROUNDS = 6  # of the final measurement, all networks in turns
N_RANKED, N_NOISE_SEEDS = 8, 4
_RANKED_SEED = 20_261  # of the random networks that two seeds rank


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A network trained in full, with all that is known about it."""

    name: str
    architecture: Architecture
    latency_ms: float
    rounds_ms: tuple[float, ...]
    accuracies: tuple[float, ...]  # on the test images, by seed

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.accuracies)

    def __str__(self) -> str:
        graph = mnaslat.lower(self.architecture)
        return (
            f"{self.name} {self.accuracy:.4f} +-{statistics.stdev(self.accuracies):.4f}, "
            f"{1e3 * self.latency_ms:.1f} us, {graph.madds / 1e6:.2f} M multiply-adds, "
            f"{graph.n_params / 1e3:.0f} k weights"
        )


def space() -> SearchSpace:
    """What is searched."""
    return mnaslat.load_space("mnasnet", width=WIDTH, resolution=RESOLUTION, n_classes=N_CLASSES)


def measured(architectures: Sequence[Architecture], part: str = "") -> MeasuredNetworks:
    """Latencies on this computer; ``part`` keeps them apart from those of other parts."""
    workspace = Workspace(WORKSPACE / part)
    rounds = N_ROUNDS if part else None
    return measure_networks(HostDevice(), architectures, workspace, n_rounds=rounds)


def make_predictor() -> Mapping[str, Any]:
    """Measure random networks and fit a cost model; returns its file and held-out errors.

    The sum of layers ranks worse here (docs/decisions.md).
    """
    networks = calibration_networks(space(), "fp32", N_CALIBRATION, CALIBRATION_SEED)
    known = measured(networks)
    model = CostModel((), HostDevice().configuration("fp32"))
    model.fit([mnaslat.lower(each) for each in networks], known.latency_ms)
    assert model.held_out is not None
    file = WORKSPACE / "predictors" / f"networks-{N_CALIBRATION}.mnaslat"
    save_predictor(model, file)
    disagreement = [sorted(rounds)[1] / min(rounds) - 1.0 for rounds in known.round_min_ms]
    return {
        "predictor": str(file),
        "disagreement": statistics.median(disagreement),
        "range_ms": [min(known.latency_ms), max(known.latency_ms)],
        **asdict(model.held_out),
    }


def search(predictor: str, target_ms: float) -> Mapping[str, Any]:
    """The search; its ``result.json``."""
    key = f"{CHILD} {N_CHILDREN} {SEARCH_SEED} {target_ms!r}"
    run = f"real-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    folder = WORKSPACE / "runs" / run
    if not _ended(folder):
        mnaslat_command(
            WORKSPACE, "search", "--predictor", predictor, "--target-ms", repr(target_ms),
            "--accuracy", CHILD, "--samples", str(N_CHILDREN), "--seed", str(SEARCH_SEED),
            "--validate-every", str(VALIDATE_EVERY), "--width", str(WIDTH),
            "--resolution", str(RESOLUTION), "--classes", str(N_CLASSES), "--run", run,
            "--max-time", SEARCH_TIME,
        )  # fmt: skip
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found | {"architecture": json.loads((folder / "winner.json").read_text())}


def _ended(folder: Path) -> bool:
    """Whether the search came to its end, by itself."""
    file = folder / "result.json"
    return file.exists() and json.loads(file.read_text())["ended"] != "stopped"


def child_agreement() -> Mapping[str, Any]:
    """Random networks trained as children with two seeds each: deviation and rank correlation."""
    rows = space().sample(N_RANKED, np.random.default_rng(_RANKED_SEED))
    sources = [accuracy_source(CHILD, space(), folder=WORKSPACE, seed=seed) for seed in (0, 1)]
    agreement = rank_correlation(sources, decoded_candidates(space(), rows))
    for source in sources:
        assert isinstance(source, ProxyAccuracy)
        source.close()
    first, second = agreement.accuracy
    return {
        "accuracy": agreement.accuracy.tolist(),
        "spearman": float(agreement.spearman[0, 1]),
        "noise": float(np.sqrt(((first - second) ** 2).mean() / 2.0)),
        "spread": float(agreement.accuracy.mean(0).std(ddof=1)),
    }


def winner_noise(winner: Architecture) -> float:
    """Deviation of the winner's accuracy as a child."""
    source = accuracy_source(CHILD, space(), folder=WORKSPACE)
    assert isinstance(source, ProxyAccuracy)
    noise = source.measure_noise(winner, N_NOISE_SEEDS)
    source.close()
    return noise


@dataclass(frozen=True, kw_only=True)
class Training:
    """One network trained in full from one seed."""

    architecture: Architecture
    seed: int

    @property
    def file(self) -> Path:
        """Where its accuracy stays; beside it its checkpoint, while it is trained."""
        key = f"{json.dumps(self.architecture.to_json())} {self.settings.description}"
        return WORKSPACE / "trainings" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"

    @property
    def settings(self) -> TrainingSettings:
        """How it is trained."""
        return replace(RECIPE, seed=self.seed)


def test_accuracies(trainings: Sequence[Training]) -> list[float]:
    """Test accuracy of each network; two are trained at a time, on a core each."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        return list(workers.map(_test_accuracy, trainings))


def _test_accuracy(training: Training) -> float:
    file = training.file
    if not file.exists():
        torch.set_num_threads(1)
        file.parent.mkdir(parents=True, exist_ok=True)
        images = load_images(IMAGES, RESOLUTION)
        checkpoint = file.with_suffix(".pt")
        trained = train(training.architecture, images, training.settings, checkpoint=checkpoint)
        file.write_text(json.dumps({"test_accuracy": trained.test_accuracy(images)}))
        print(f"  trained {file.stem} from seed {training.seed}: {file.read_text()}", flush=True)
    return float(json.loads(file.read_text())["test_accuracy"])


def contest(winner: Architecture) -> list[Contestant]:
    """The winner and its peers: scaled, measured in turns, and trained in full."""

    def latencies(architectures: Sequence[Architecture]) -> Sequence[float]:
        return measured(architectures, "widths").latency_ms

    networks = {"the winner": winner}
    for name in PEERS:
        scaled = nearest_not_faster(
            widths_of(name, RESOLUTION, N_CLASSES), latencies([winner])[0], latencies
        )
        networks[scaled.name] = scaled.architecture
    final = measured(list(networks.values()), "final")
    trainings = [
        Training(architecture=each, seed=seed) for seed in SEEDS for each in networks.values()
    ]
    accuracies = np.reshape(test_accuracies(trainings), (len(SEEDS), len(networks)))
    return [
        Contestant(
            name=name,
            architecture=architecture,
            latency_ms=final.latency_ms[place],
            rounds_ms=final.round_min_ms[place],
            accuracies=tuple(accuracies[:, place].tolist()),
        )
        for place, (name, architecture) in enumerate(networks.items())
    ]


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What was found before, or is now and stays, while the settings above are the same."""
    key = json.dumps([CHILD, N_CHILDREN, N_CALIBRATION, N_RANKED, N_NOISE_SEEDS])
    file = WORKSPACE / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"
    if not file.exists():
        found = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    return json.loads(file.read_text())


def rows(
    predictor: Mapping[str, Any],
    found: Mapping[str, Any],
    agreement: Mapping[str, Any],
    noise: float,
    contestants: Sequence[Contestant],
) -> list[Result]:
    """What is claimed, and what it was made of."""
    winner, *peers = contestants
    results = []
    for peer in peers:
        differences = np.subtract(winner.accuracies, peer.accuracies)
        results += [
            Result(
                f"the winner and {peer.name}, both trained in full",
                "difference of test accuracies",
                float(differences.mean()),
                0.0,
                "higher",
                SEEDS,
                f"+-{differences.std(ddof=1):.4f} between seeds; {winner}; {peer}",
            ),
            Result(
                f"{peer.name} and the winner",
                "latency ratio, measured in turns",
                peer.latency_ms / winner.latency_ms,
                None,
                note="filters come in eights: the next narrower one is faster than the winner",
            ),
        ]
    for each in contestants:
        spread = max(each.rounds_ms) / min(each.rounds_ms) - 1.0
        results.append(
            Result(
                f"{each.name}, {RECIPE.n_epochs} epochs of all images",
                "test accuracy",
                each.accuracy,
                None,
                "higher",
                SEEDS,
                f"{', '.join(f'{accuracy:.4f}' for accuracy in each.accuracies)}; "
                f"{1e3 * each.latency_ms:.1f} us; slowest of {len(each.rounds_ms)} rounds "
                f"+{spread:.1%}; {' '.join(str(block) for block in each.architecture.blocks)}",
            )
        )
    target_ms = found["settings"]["reward"]["target_ms"]
    errors = [abs(row["predicted_ms"] / row["measured_ms"] - 1.0) for row in found["validations"]]
    after = [
        abs(row["predicted_after_ms"] / row["measured_ms"] - 1.0) for row in found["validations"]
    ]
    best = found["winner"]
    seeds = (SEARCH_SEED,)
    return [
        *results,
        Result(
            "the winner in the search",
            "measured latency / target",
            best["measured_ms"] / target_ms,
            1.0,
            "lower",
            seeds,
            f"target {1e3 * target_ms:.1f} us, what {TARGET_NETWORK}@{WIDTH} takes; predicted "
            f"{1e3 * best['predicted_ms']:.1f} us before it was measured; accuracy as a child "
            f"{best['accuracy']:.4f}, expected without noise {best['expected_accuracy']:.4f}",
        ),
        Result(
            f"{len(errors)} networks measured during the search",
            "median error of the prediction made before",
            statistics.median(errors),
            None,
            "lower",
            seeds,
            f"after the predictor had learned from them {statistics.median(after):.4f}",
        ),
        Result(
            "the predictor, before the search",
            "mean error on networks left out",
            predictor["mape"],
            None,
            "lower",
            seeds,
            f"{N_CALIBRATION} random networks measured, {1e3 * predictor['range_ms'][0]:.0f} to "
            f"{1e3 * predictor['range_ms'][1]:.0f} us; their two fastest rounds differ by "
            f"{predictor['disagreement']:.1%} (median); Spearman {predictor['spearman']:.3f}",
        ),
        Result(
            "the search",
            "children trained",
            found["n_networks"],
            None,
            "higher",
            seeds,
            f"{found['n_samples']} evaluations, {found['n_failed']} failed; the end came for its "
            f"{found['ended']}",
        ),
        Result(
            "the search",
            "minutes of a worker for the children",
            found["accuracy_s"] / 60,
            None,
            "lower",
            seeds,
            f"two workers on cores that had other work too; {CHILD}",
        ),
        Result(
            f"{N_RANKED} random networks as children, two seeds",
            "Spearman",
            agreement["spearman"],
            None,
            "higher",
            (0, 1),
            f"their accuracies differ by {agreement['spread']:.3f} (deviation)",
        ),
        Result(
            f"{N_RANKED} random networks as children, two seeds",
            "deviation of an accuracy",
            agreement["noise"],
            None,
            "lower",
            (0, 1),
        ),
        Result(
            f"the winner as a child, {N_NOISE_SEEDS} seeds",
            "deviation of its accuracy",
            noise,
            None,
            "lower",
            tuple(range(N_NOISE_SEEDS)),
        ),
    ]


def main() -> None:
    """Everything in order; only what is missing is done."""
    torch.set_num_threads(1)
    predictor = kept("predictor", make_predictor)
    reference = mnaslat.load_network(
        f"{TARGET_NETWORK}@{WIDTH}", resolution=RESOLUTION, n_classes=N_CLASSES
    )
    target_ms = kept("target", lambda: measured([reference]).latency_ms[0])
    found = search(predictor["predictor"], target_ms)
    winner = Architecture.from_json(found["architecture"])
    contestants = contest(winner)
    agreement = kept("agreement", child_agreement)
    noise = kept("noise", lambda: winner_noise(winner))
    write_results("real_search", rows(predictor, found, agreement, noise, contestants))


if __name__ == "__main__":
    main()
