"""Evaluates candidates with one weight-sharing network, trained once for the whole search space.

A candidate uses the leading channels of weights that all share. Each step trains the largest
candidate, the smallest and some drawn at random, their gradients added (the sandwich rule: Yu and
Huang, ICCV 2019, arXiv:1903.05134); the others learn from the outputs of the largest. Before a
candidate is evaluated, its batch-norm statistics are computed anew and its classifier is solved for
in closed form, because shared ones fit none. The accuracies are below those of candidates trained
alone, and after minutes of training they rank poorly (``docs/decisions.md``, "The supernet"): where
the ranking matters, train the candidates (`mnaslat.search.ProxyAccuracy`), or measure how well it
ranks (`mnaslat.search.rank_correlation`).
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name
from torch import Tensor

from mnaslat.architecture import Architecture
from mnaslat.arrays import Tokens
from mnaslat.data.images.image_set import Images, ImageSet
from mnaslat.errors import SearchError
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.network import run_graph
from mnaslat.search.accuracy.candidate_size import candidate_size
from mnaslat.search.accuracy.shared_weights import SupernetWeights, shared_shapes
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.tensor_file import load_checkpoint, save_checkpoint
from mnaslat.space import SearchSpace

_FORMAT = 2  # 1: one random candidate a step
_WARMUP = 0.1  # of the steps; without it the first ones throw the start near the identity away
_BATCH = 100  # images evaluated at once; more of them leave the processor's cache


@dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """Settings of the supernet and its training."""

    resolution: int | None = None  # pixels; None: the network's own up to 64, else 32
    width: float | None = None  # of the network's filters; None: 1 where it keeps its size, or 0.35
    n_steps: int = 300  # two minutes of one core at 28 pixels; a ranking worth more takes thousands
    batch_size: int = 48
    n_random: int = 2  # candidates drawn at random, beside the largest and the smallest
    distillation: float = 0.5  # share of the largest one's outputs in what the others learn
    learning_rate: float = 1e-3  # of Adam, the highest
    n_calibration: int = 512  # training images for a candidate's statistics and classifier
    n_validation: int | None = 2000  # images that a candidate is evaluated on; None: all
    n_steps_checkpoint: int = 100  # steps between two checkpoints
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise ValueError(f"{name} must be positive, got {value}.")
        for name in ("resolution", "n_steps", "n_steps_checkpoint", "n_validation"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        for name in ("batch_size", "n_calibration"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}.")
        if self.n_random < 0:
            raise ValueError(f"n_random must not be negative, got {self.n_random}.")
        if not 0.0 <= self.distillation <= 1.0:
            raise ValueError(f"distillation must lie in [0, 1], got {self.distillation}.")

    def for_networks_of(self, resolution: int) -> "SupernetSettings":
        """Choose size and width for networks of this resolution."""
        chosen, width = candidate_size(resolution, self.resolution, self.width)
        return replace(self, resolution=chosen, width=width)


class SupernetAccuracy:
    """Evaluates networks with a supernet, which is trained before the first evaluation.

    Args:
        space: The networks to be evaluated; the settings' width comes on top of their own.
        images: To train and to evaluate on; their resolution is the networks'.
        settings: How.
        folder: Training is saved here, in a file of its own for each description, and resumes
            from there to the identical result; None saves nothing.
        progress: Called with (steps done, steps in all) while training.

    Raises:
        SearchError: If the checkpoint is damaged or of other settings.
        ValueError: If the images have another resolution than the settings.
    """

    noise = math.nan  # between seeds: not known without training the supernet again

    def __init__(
        self,
        space: SearchSpace,
        images: ImageSet,
        settings: SupernetSettings,
        *,
        folder: str | PathLike[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        settings = settings.for_networks_of(settings.resolution or images.resolution)
        if settings.resolution != images.resolution:
            raise ValueError(
                f"The images have {images.resolution} pixels, the settings {settings.resolution}."
            )
        self._space, self._images, self._settings = space, images, settings
        self._progress = progress
        shapes = shared_shapes(
            lower(self._as_trained(architecture))
            for _, architectures in space.part_architectures()
            for architecture in architectures
        )
        self._shared = SupernetWeights(shapes, seed=settings.seed)
        self._optimizer = torch.optim.Adam(self._shared.parameters(), lr=settings.learning_rate)
        self._n_steps_done = 0
        self._extremes = [self._graph(row) for row in _largest_and_smallest(space)]
        self._checkpoint: Path | None = None
        if folder is not None:
            name = hashlib.sha256(self.description.encode()).hexdigest()[:16]
            self._checkpoint = Path(folder) / f"supernet-{name}.pt"
            if self._checkpoint.exists():
                self._load(self._checkpoint)

    @property
    def description(self) -> str:
        """Names the data set and the settings."""
        settings = " ".join(f"{name}={value}" for name, value in asdict(self._settings).items())
        return (
            f"supernet on {self._images.name} {self._images.digest}, space {self._space.name} with "
            f"banks {self._shared.digest}: {settings}"
        )

    def train(self) -> None:
        """Train up to ``n_steps``, from where it was interrupted."""
        settings = self._settings
        while self._n_steps_done < settings.n_steps:
            self._step()
            self._n_steps_done += 1
            done = self._n_steps_done == settings.n_steps
            if done or self._n_steps_done % settings.n_steps_checkpoint == 0:
                self._save()
            if self._progress is not None:
                self._progress(self._n_steps_done, settings.n_steps)

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Evaluate on the validation images, one network after the other."""
        self.train()
        for index, candidate in enumerate(candidates):
            started = time.perf_counter()
            accuracy = self.accuracy(candidate.architecture)
            yield index, CandidateResult(accuracy=accuracy, cost_s=time.perf_counter() - started)

    def _as_trained(self, architecture: Architecture) -> Architecture:
        assert self._settings.width is not None
        return replace(
            architecture,
            resolution=self._images.resolution,
            n_classes=self._images.n_classes,
            input_channels=self._images.channels,
        ).scaled(self._settings.width)

    def _graph(self, row: Tokens) -> Graph:
        return lower(self._as_trained(self._space.decode(row)))

    def _step(self) -> None:
        settings = self._settings
        # Every step draws from a generator of its own: a resumed training needs no saved state.
        rng = np.random.default_rng([settings.seed, 0, self._n_steps_done])
        sampled = [self._graph(row) for row in self._space.sample(settings.n_random, rng)]
        part = self._images.train
        batch_size = min(settings.batch_size, len(part))
        chosen = rng.choice(len(part), batch_size, replace=False)
        x, labels = _channels_last(part.read(chosen)), torch.from_numpy(part.labels[chosen])
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(self._n_steps_done / settings.n_steps)
        self._optimizer.zero_grad()  # weights that no candidate of this step uses keep no gradient
        taught = None
        for graph in (*self._extremes, *sampled):
            logits = run_graph(graph, x, self._shared.weights(graph), training=True)
            loss = F.cross_entropy(logits, labels)
            if taught is None:  # the largest candidate
                taught = logits.detach().softmax(1)
            else:
                share = settings.distillation
                loss = (1.0 - share) * loss + share * F.cross_entropy(logits, taught)
            loss.backward()  # type: ignore[no-untyped-call]  # torch
        self._optimizer.step()

    @torch.no_grad()
    def accuracy(self, architecture: Architecture) -> float:
        """Evaluate one network with the weights as they are."""
        graph = lower(self._as_trained(architecture))
        weights = self._shared.weights(graph)[:-1]
        graph = _without_classifier(graph)
        known_part = self._images.train.first(self._settings.n_calibration)
        part = self._images.validation.first(self._settings.n_validation)
        known_x = _channels_last(known_part.read(np.arange(len(known_part))))
        known = run_graph(graph, known_x, weights, training=True, momentum=1.0)
        batches = np.array_split(np.arange(len(part)), -(-len(part) // _BATCH))
        unknown = torch.cat(
            [run_graph(graph, _channels_last(part.read(batch)), weights) for batch in batches]
        )
        classes = F.one_hot(torch.from_numpy(known_part.labels), self._images.n_classes)
        scores = ridge_scores(known, classes, unknown)
        return float((scores.argmax(1).numpy() == part.labels).mean())

    def _save(self) -> None:
        if self._checkpoint is None:
            return
        state = {
            "format": _FORMAT,
            "description": self.description,
            "n_steps_done": self._n_steps_done,
            "banks": self._shared.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        save_checkpoint(self._checkpoint, state)

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        if state.get("format") != _FORMAT or state.get("description") != self.description:
            raise SearchError(
                f"{path} holds a supernet of other settings ({state.get('description')}). Delete "
                "it, or use the settings it was made with."
            )
        self._shared.load_state_dict(state["banks"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._n_steps_done = int(state["n_steps_done"])


def _rate(done: float) -> float:
    """Up along a line at first, then down to 0 along half a cosine."""
    if done < _WARMUP:
        return max(done / _WARMUP, 1e-2)
    return 0.5 * (1.0 + math.cos(math.pi * (done - _WARMUP) / (1.0 - _WARMUP)))


def _largest_and_smallest(space: SearchSpace) -> tuple[Tokens, Tokens]:
    """Find the rows of the networks with the most and the fewest weights, decision by decision."""
    largest = np.zeros(len(space.decisions), dtype=np.int64)
    smallest = largest.copy()
    for row, sign in ((largest, 1), (smallest, -1)):
        for index, n_choices in enumerate(space.n_choices):
            sizes = []
            for token in range(n_choices):
                row[index] = token
                sizes.append(sign * lower(space.decode(row)).n_params)
            row[index] = int(np.argmax(sizes))
    return largest, smallest


def _channels_last(images: Images) -> Tensor:
    """As a tensor in the layout that takes CPUs half the time."""
    return torch.from_numpy(images).to(memory_format=torch.channels_last)


_RIDGE = 0.1  # of the features' mean square: how much the classifier is held back


def ridge_scores(known: Tensor, classes: Tensor, unknown: Tensor) -> Tensor:
    """Solve for a linear classifier in closed form (ridge regression); returns its scores.

    A classifier that all candidates share fits none of them, so each gets its own.

    Args:
        known: Features of images whose class is known, shape ``(n, features)``.
        classes: Their classes, one-hot, shape ``(n, classes)``.
        unknown: Features of the images to classify, shape ``(m, features)``.

    Returns:
        Shape ``(m, classes)``; the highest score is the class.
    """
    targets, mean = classes.to(known.dtype), known.mean(0)
    known, unknown = known - mean, unknown - mean
    kernel = known @ known.T
    kernel = kernel + _RIDGE * kernel.diagonal().mean() * torch.eye(len(known))
    solved = torch.linalg.solve(kernel, targets - targets.mean(0))
    scores: Tensor = unknown @ (known.T @ solved) + targets.mean(0)
    return scores


def _without_classifier(graph: Graph) -> Graph:
    head = graph.layers[-1]
    layers = (*graph.layers[:-1], replace(head, ops=head.ops[:-1]))
    return Graph(layers, graph.precision, graph.places)
