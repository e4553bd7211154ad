"""Accuracies from one weight-sharing network, trained once for the whole search space.

A child's weights are the leading channels of banks that all children share. Each training step
trains one child drawn at random (single-path one-shot: Guo et al., ECCV 2020, arXiv:1904.00420).
Before a child is judged, its batch-norm statistics are taken anew and its classifier is solved for
in closed form, for shared ones fit no child. What was tried and what it is worth as a ranking is in
``docs/decisions.md``, "The supernet"; the accuracies are below what a child reaches alone.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name
from numpy.typing import NDArray
from torch import Tensor

from mnaslat.architecture import Architecture
from mnaslat.data.images import ImageSet
from mnaslat.errors import SearchError
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.network import run_graph
from mnaslat.search.banks import WeightBanks, bank_shapes
from mnaslat.search.checkpoint import load_checkpoint, save_checkpoint
from mnaslat.space import SearchSpace

Floats = NDArray[np.float64]

_FORMAT = 1
_BATCH = 100  # images judged at once; more of them leave the processor's cache


@dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """How the supernet is built and trained."""

    width: float = 0.35  # of the space's filters: a proxy that one core trains in a minute
    resolution: int = 16  # pixels; the digits have 8, and 32 would take four times as long
    n_steps: int = 1200
    batch_size: int = 48
    learning_rate: float = 3e-3  # of Adam, falling to 0 along half a cosine
    n_calibration: int = 256  # training images that a child's statistics and classifier come from
    n_steps_checkpoint: int = 250  # steps between two checkpoints
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "learning_rate"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        for name in ("resolution", "n_steps", "n_steps_checkpoint"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("batch_size", "n_calibration"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}.")


_RIDGE = 0.1  # of the features' mean square: how much the classifier is held back


class SupernetAccuracy:
    """An accuracy source that trains a supernet when it is first asked.

    Args:
        space: The networks to be judged; the settings' width comes on top of their own.
        images: What is learned and judged on.
        settings: How.
        folder: Training is saved here, in a file of its own for each description, and goes on from
            there to the identical result; None saves nothing.
        progress: Called with (steps done, steps in all) while training.

    Raises:
        SearchError: If the checkpoint is damaged or of other settings.
    """

    def __init__(
        self,
        space: SearchSpace,
        images: ImageSet,
        settings: SupernetSettings,
        *,
        folder: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._space, self._images, self._settings = space, images, settings
        self._progress = progress
        shapes = bank_shapes(
            lower(self._child(architecture))
            for _, architectures in space.part_architectures()
            for architecture in architectures
        )
        self._banks = WeightBanks(shapes, seed=settings.seed)
        self._optimizer = torch.optim.Adam(self._banks.parameters(), lr=settings.learning_rate)
        self._n_steps_done = 0
        self._train = (torch.from_numpy(images.train_images), torch.from_numpy(images.train_labels))
        self._validation = torch.split(torch.from_numpy(images.validation_images), _BATCH)
        rng = np.random.default_rng([settings.seed, 1])
        chosen = rng.permutation(len(images.train_labels))[: settings.n_calibration]
        self._calibration = tuple(part[torch.from_numpy(chosen)] for part in self._train)
        self._checkpoint = None
        if folder is not None:
            name = hashlib.sha256(self.description.encode()).hexdigest()[:16]
            self._checkpoint = folder / f"supernet-{name}.pt"
            if self._checkpoint.exists():
                self._load(self._checkpoint)

    @property
    def description(self) -> str:
        """Data set and settings."""
        settings = " ".join(f"{name}={value}" for name, value in asdict(self._settings).items())
        return (
            f"supernet on {self._images.name}, space {self._space.name} with banks "
            f"{self._banks.digest}: {settings}"
        )

    def train(self) -> None:
        """Train up to ``n_steps``; goes on where it was interrupted."""
        settings = self._settings
        while self._n_steps_done < settings.n_steps:
            self._step()
            self._n_steps_done += 1
            done = self._n_steps_done == settings.n_steps
            if done or self._n_steps_done % settings.n_steps_checkpoint == 0:
                self._save()
            if self._progress is not None:
                self._progress(self._n_steps_done, settings.n_steps)

    def evaluate(self, architectures: Sequence[Architecture]) -> Floats:
        """Accuracies on the validation images, shape ``(len(architectures),)``."""
        self.train()
        return np.array([self._accuracy(architecture) for architecture in architectures])

    def _child(self, architecture: Architecture) -> Architecture:
        return replace(
            architecture,
            resolution=self._settings.resolution,
            n_classes=self._images.n_classes,
            input_channels=self._images.train_images.shape[1],
        ).scaled(self._settings.width)

    def _step(self) -> None:
        settings = self._settings
        # Every step draws from a generator of its own: a resumed training needs no saved state.
        rng = np.random.default_rng([settings.seed, 0, self._n_steps_done])
        graph = lower(self._child(self._space.decode(self._space.sample(1, rng)[0])))
        images, labels = self._train
        batch_size = min(settings.batch_size, len(labels))
        chosen = torch.from_numpy(rng.choice(len(labels), batch_size, replace=False))
        rate = 0.5 * (1.0 + math.cos(math.pi * self._n_steps_done / settings.n_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate
        logits = run_graph(graph, images[chosen], self._banks.weights(graph), training=True)
        self._optimizer.zero_grad()  # banks that this child does not use keep no gradient
        F.cross_entropy(logits, labels[chosen]).backward()  # type: ignore[no-untyped-call]  # torch
        self._optimizer.step()

    @torch.no_grad()
    def _accuracy(self, architecture: Architecture) -> float:
        graph = lower(self._child(architecture))
        weights = self._banks.weights(graph)[:-1]
        graph = _without_classifier(graph)
        images, labels = self._calibration
        known = run_graph(graph, images, weights, training=True, momentum=1.0)
        unknown = torch.cat([run_graph(graph, batch, weights) for batch in self._validation])
        scores = ridge_scores(known, F.one_hot(labels, self._images.n_classes), unknown)
        return float((scores.argmax(1).numpy() == self._images.validation_labels).mean())

    def _save(self) -> None:
        if self._checkpoint is None:
            return
        state = {
            "format": _FORMAT,
            "description": self.description,
            "n_steps_done": self._n_steps_done,
            "banks": self._banks.state_dict(),
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
        self._banks.load_state_dict(state["banks"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._n_steps_done = int(state["n_steps_done"])


def ridge_scores(known: Tensor, classes: Tensor, unknown: Tensor) -> Tensor:
    """Scores of a linear classifier that is solved for in closed form (ridge regression).

    A classifier that all children share fits none of them, so each gets its own.

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
