"""Trains one network on an image set: a plain loop, read from top to bottom.

SGD with Nesterov momentum or RMSProp, a warm-up and then half a cosine, label smoothing, weight
decay, mirrored and shifted images. The same seed gives the same network (on CUDA up to rounding),
also when training was killed in between: every epoch draws from a generator of its own, and is
saved when it ends.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name
from torch import Tensor, nn

from mnaslat.architecture import Architecture
from mnaslat.data.images.image_set import ImagePart, ImageSet
from mnaslat.errors import SearchError
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.network import Network, run_graph
from mnaslat.search.tensor_file import load_checkpoint, save_checkpoint

Optimizer = Literal["sgd", "rmsprop"]

_FORMAT = 1
_RMSPROP_DECAY, _RMSPROP_EPSILON = 0.9, 1e-3  # of the official MnasNet code
_SHIFT_SHARE = 8  # images are shifted by up to an eighth of their size
_EVALUATION_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of a training. The defaults are for a few epochs on small images."""

    n_epochs: int = 5  # as the paper trains the candidates of its search
    batch_size: int = 32  # of as many images 64 learn less and cost as much
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.03  # the highest: reached after the warm-up, 0 at the end
    n_warmup_epochs: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 1e-4  # of weights with more than one dimension; not of batch norm
    label_smoothing: float = 0.1
    # The official 0.01 remembers 100 steps, half of a short training's.
    norm_momentum: float = 0.1
    dropout: float | None = None  # None: the architecture's own
    calm_start: bool = True  # see `_calm`; False: the official start
    # Mirrored (where that keeps the class) and shifted images: for tens of epochs. What is trained
    # for a few does not learn its images by heart.
    augment: bool = False
    n_train: int | None = None  # images trained on, a fixed random sample; None: all
    n_validation: int | None = None  # images the accuracy is taken on; None: all
    mixed_precision: bool = True  # bfloat16, on CUDA only
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise ValueError(
                f"optimizer must be one of {get_args(Optimizer)}, got {self.optimizer!r}."
            )
        for name in ("n_epochs", "n_train", "n_validation"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if self.batch_size < 2:  # batch norm needs a deviation
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}.")
        if not (self.learning_rate > 0.0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}.")
        for name in ("momentum", "label_smoothing", "norm_momentum", "dropout"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), got {value}.")
        for name in ("weight_decay", "n_warmup_epochs"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")

    @property
    def description(self) -> str:
        """Names all that decides the result, on one line."""
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Progress of a training, for a callback."""

    n_done: int
    n_epochs: int
    loss: float  # mean over the epoch's batches
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A trained network, on the device it was trained on, and how accurate it is."""

    network: Network
    accuracy: float  # on the validation images, a fraction
    losses: tuple[float, ...]  # an epoch's mean each

    def test_accuracy(self, images: ImageSet) -> float:
        """Accuracy on the test images: for the network that was chosen, once."""
        return measure_accuracy(self.network, images.test)


def train(
    what: Architecture | Graph,
    images: ImageSet,
    settings: TrainingSettings,
    *,
    device: str = "cpu",
    checkpoint: str | PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train a network from its random start and say how accurate it is.

    Args:
        what: The network. Of an architecture the resolution and the number of classes become those
            of the images.
        images: What it is trained on (``train``) and evaluated on (``validation``).
        settings: How.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        checkpoint: A file that is replaced after every epoch; training resumes from there to the
            identical result.
        progress: Called after every epoch.

    Raises:
        SearchError: If training diverges, or the checkpoint is damaged or of another training.
        ValueError: If a graph does not fit the images.
    """
    graph, dropout = _fitted(what, images)
    dropout = dropout if settings.dropout is None else settings.dropout
    part = images.train.first(settings.n_train)
    on_cuda = torch.device(device).type == "cuda"
    mixed = settings.mixed_precision and on_cuda and torch.cuda.is_bf16_supported()
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.manual_seed(settings.seed)
        network = Network(graph, dropout=dropout)
    if settings.calm_start:
        _calm(network)
    # Channels last: on CPUs small convolutions take half the time, on GPUs tensor cores want it.
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch
    optimizer = _optimizer(network, settings)
    n_steps_epoch = max(1, len(part) // settings.batch_size)
    layers = hashlib.sha256(repr(graph.layers).encode()).hexdigest()[:16]
    described = f"{layers} on {images.digest}: dropout={dropout} {settings.description}"
    checkpoint = None if checkpoint is None else Path(checkpoint)
    losses = _resumed(checkpoint, described, network, optimizer)

    for epoch in range(len(losses), settings.n_epochs):
        started = time.perf_counter()
        network.train()
        total = torch.zeros((), device=device)
        generator = np.random.default_rng([settings.seed, epoch])
        with torch.random.fork_rng(devices=[device] if on_cuda else []):
            torch.manual_seed(int(generator.integers(2**62)))  # dropout draws from it
            batches = _batches(part, settings, generator, images.mirrored)
            for step, (x, labels) in enumerate(batches, start=epoch * n_steps_epoch):
                rate = _rate(step / n_steps_epoch, settings)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with torch.autocast("cuda", torch.bfloat16, mixed):
                    logits = run_graph(
                        graph,
                        x.to(device, memory_format=torch.channels_last),
                        network.op_weights(),
                        training=True,
                        momentum=settings.norm_momentum,
                        dropout=dropout,
                    )
                    loss = F.cross_entropy(
                        logits, labels.to(device), label_smoothing=settings.label_smoothing
                    )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch
                optimizer.step()
                total += loss.detach()
        losses = (*losses, total.item() / n_steps_epoch)
        if not math.isfinite(losses[-1]):
            raise SearchError(
                f"Training diverged: the loss is {losses[-1]} in epoch {epoch + 1}. Try a learning "
                f"rate below {settings.learning_rate}."
            )
        if checkpoint is not None:
            state = {
                "format": _FORMAT,
                "description": described,
                "losses": list(losses),
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            save_checkpoint(checkpoint, state)
        if progress is not None:
            progress(
                Epoch(
                    n_done=epoch + 1,
                    n_epochs=settings.n_epochs,
                    loss=losses[-1],
                    seconds=time.perf_counter() - started,
                )
            )
    accuracy = measure_accuracy(network, images.validation.first(settings.n_validation))
    return Trained(network=network, accuracy=accuracy, losses=losses)


@torch.no_grad()
def measure_accuracy(network: nn.Module, part: ImagePart) -> float:
    """Compute the share of images that a network classifies correctly."""
    network.eval()
    device = next(network.parameters()).device
    n_right = 0
    for chosen in np.array_split(np.arange(len(part)), -(-len(part) // _EVALUATION_BATCH)):
        x = torch.from_numpy(part.read(chosen)).to(device, memory_format=torch.channels_last)
        said = network(x).argmax(1).cpu().numpy()
        n_right += int((said == part.labels[chosen]).sum())
    return n_right / len(part)


def _fitted(what: Architecture | Graph, images: ImageSet) -> tuple[Graph, float]:
    """Return the graph to train and its dropout."""
    if isinstance(what, Architecture):
        fitted = replace(
            what,
            resolution=images.resolution,
            n_classes=images.n_classes,
            input_channels=images.channels,
        )
        return lower(fitted), what.dropout
    shape = (images.resolution, images.resolution, images.channels)
    if what.input_shape != shape or what.output_shape != (images.n_classes,):
        raise ValueError(
            f"The graph maps {what.input_shape} to {what.output_shape}, but the images need "
            f"{shape} to {(images.n_classes,)}."
        )
    return what, 0.0


_BRANCH_SCALE = 0.2


@torch.no_grad()
def _calm(network: Network) -> None:
    """Start with all classes equally likely and with layers that add little to their input.

    The official start is for hundreds of epochs. Of a few hundred steps it costs many: logits of
    the wrong sign as often as not have to be unlearned, and what passes twenty layers is noise at
    first. What this is worth is in ``docs/decisions.md``, "Proxy training".
    """
    graph = network.graph
    weights = iter(network.op_weights())
    for layer in graph.layers:
        own = [next(weights) for _ in layer.ops]
        scales = [each.scale for each in own if each is not None and each.scale is not None]
        if layer.ops[-1].kind == "add" and scales:
            scales[-1].fill_(_BRANCH_SCALE)
        last = own[-1]
        if layer.ops[-1].kind == "linear" and last is not None:
            last.weight.zero_()


def _optimizer(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    weights = [each for each in network.parameters() if each.dim() > 1]
    others = [each for each in network.parameters() if each.dim() <= 1]  # batch norm and biases
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0.0,
        )
    return torch.optim.RMSprop(
        groups,
        lr=settings.learning_rate,
        alpha=_RMSPROP_DECAY,
        eps=_RMSPROP_EPSILON,
        momentum=settings.momentum,
    )


def _resumed(
    checkpoint: Path | None, described: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[float, ...]:
    """Load the checkpoint if there is one; returns the losses of the epochs done."""
    if checkpoint is None or not checkpoint.exists():
        return ()
    state = load_checkpoint(checkpoint)
    if state.get("format") != _FORMAT or state.get("description") != described:
        raise SearchError(
            f"{checkpoint} is of another training ({state.get('description')}). Delete it, or name "
            "another file."
        )
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return tuple(state["losses"])


def _rate(epoch: float, settings: TrainingSettings) -> float:
    """Up along a line during the warm-up, then down to 0 along half a cosine."""
    n_warmup = min(settings.n_warmup_epochs, settings.n_epochs / 2)
    if epoch < n_warmup:
        return settings.learning_rate * max(epoch / n_warmup, 1e-3)
    share = (epoch - n_warmup) / (settings.n_epochs - n_warmup)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def _batches(
    part: ImagePart, settings: TrainingSettings, rng: np.random.Generator, mirrored: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """An epoch's batches, all of one size: what is left over comes in another epoch."""
    order = rng.permutation(len(part))
    size = min(settings.batch_size, len(part))
    for start in range(0, len(part) - size + 1, size):
        chosen = order[start : start + size]
        x = torch.from_numpy(part.read(chosen))
        if settings.augment:
            x = _augmented(x, rng, mirrored)
        yield x, torch.from_numpy(part.labels[chosen])


def _augmented(x: Tensor, rng: np.random.Generator, mirrored: bool) -> Tensor:
    n, size = len(x), x.shape[2]
    if mirrored:
        flipped = torch.from_numpy(rng.random(n) < 0.5)
        x = torch.where(flipped[:, None, None, None], x.flip(3), x)
    margin = size // _SHIFT_SHARE
    x = F.pad(x, [margin] * 4)  # with 0, the mean of standardised images
    places = torch.from_numpy(rng.integers(0, 2 * margin + 1, (2, n)))[:, :, None]
    rows, columns = places + torch.arange(size)
    return x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )
