"""Declares the options of a search once, and turns them into settings, a record and a command."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from mnaslat import zoo
from mnaslat.data.workspace import DEFAULT as DEFAULT_WORKSPACE
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.search.controllers.presets import preset as known_preset
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.search.searchers.registry import SEARCHERS
from mnaslat.search.settings import LATENCY_KINDS, LatencyKind, SearchSettings
from mnaslat.space import SearchSpace
from mnaslat.units import format_ms
from mnaslat.workflow.progress import Events, naming

# The default target is what this network takes on the device: a searched network should beat it.
_REFERENCE = "mnasnet-a1"
_N_PROBES = 64
# The order of options in the command that repeats a search.
_IN_COMMAND = ("reward", "accuracy", "samples", "searcher", "preset", "latency", "validate_every")
_OF_SPACE = ("space", "resolution", "width", "classes", "seed")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of a search: all that decides its result.

    A run keeps them, and the same options resume an unfinished run. The names are those of the
    command line.

    Attributes:
        predictor: Path of the predictor file as it was named; None for the workspace's newest.
        target_ms: One target in milliseconds (``75``), a range (``20:100``), or empty for the
            latency of MnasNet-A1.
        reward: ``hard`` or ``soft``.
        accuracy: Text that names an accuracy source, or a description of one that was given.
        samples: Networks to evaluate.
        searcher: Name of the searcher.
        surrogate: Whether PPO learns from a model of the accuracies.
        preset: Of the PPO controller.
        latency: ``point`` or ``upper``: what the reward is given.
        validate_every: Rounds between measurements on the device; 0 for none.
        space: Name of the search space.
        width: Multiplier of all filters.
        resolution: Pixels of the square input.
        classes: Outputs of the classifier.
        seed: Of all random choices.
        run: Name of the run; empty makes one from the time.
        device: Name of the device that was asked for; empty for that of the predictor.
    """

    predictor: str | None = None
    target_ms: str = ""
    reward: str = "hard"
    accuracy: str = "supernet"
    samples: int = 8000
    searcher: str = "ppo"
    surrogate: bool = True
    preset: str = "fast"
    latency: str = "point"
    validate_every: int = 20
    space: str = "mnasnet"
    width: float = 1.0
    resolution: int = 224
    classes: int = 1000
    seed: int = 0
    run: str = ""
    device: str = ""

    def check(self) -> None:
        """Check what can be seen to be wrong before anything is opened.

        Raises:
            ArgumentError: If an option is wrong, or two do not go together; names the option.
        """
        with naming("reward"):
            if self.reward not in ("hard", "soft"):
                raise ValueError(f"{self.reward!r} is not a reward; hard or soft.")
        with naming("target_ms"):
            targets = parse_targets(self.target_ms)
            if targets is not None and targets[0] != targets[1] and self.reward == "soft":
                raise ValueError(
                    "With --reward soft a target has no effect on the search: give one, or none."
                )
        with naming("searcher"):
            if self.searcher not in SEARCHERS:
                raise ValueError(f"{self.searcher!r} is not a searcher; {', '.join(SEARCHERS)}.")
        with naming("preset"):
            known_preset(self.preset)
        with naming("latency"):
            if self.latency not in LATENCY_KINDS:
                raise ValueError(
                    f"{self.latency!r} is not a kind of latency; {' or '.join(LATENCY_KINDS)}."
                )
        with naming("samples"):
            if self.samples < 1:
                raise ValueError(f"At least 1 network has to be evaluated, got {self.samples}.")
        with naming("validate_every"):
            if self.validate_every < 0:
                raise ValueError(f"It must be 0 or positive, got {self.validate_every}.")

    def of_space(self, space: SearchSpace) -> "SearchOptions":
        """Return these options with the input size and the number of classes of a space."""
        network = space.decode(np.zeros(len(space.decisions), dtype=np.int64))
        return replace(self, resolution=network.resolution, classes=network.n_classes)

    def to_request(self) -> dict[str, Any]:
        """Return the options as ``run.json`` keeps them."""
        request = {each.name: getattr(self, each.name) for each in fields(self)}
        if not self.device:  # runs without it are older than the option
            del request["device"]
        return request

    def to_settings(self, target_range_ms: tuple[float, float]) -> SearchSettings:
        """Return the settings of the search, with its lowest and highest target."""
        low_ms, high_ms = target_range_ms
        make = RewardSettings.hard if self.reward == "hard" else RewardSettings.soft
        return SearchSettings(
            reward=make(target_ms=high_ms),
            target_ms_range=None if low_ms == high_ms else (low_ms, high_ms),
            searcher=self.searcher,
            preset=self.preset,
            surrogate=self.surrogate,
            latency=self._latency_kind,
            n_samples=self.samples,
            seed=self.seed,
            validate_every=max(1, self.validate_every),
        )

    def targets(
        self, predictor: NetworkPredictor, name: str, space: SearchSpace, events: Events
    ) -> tuple[float, float]:
        """Return the lowest and the highest target; without one, what MnasNet-A1 takes.

        Args:
            predictor: Of the device.
            name: Of the predictor, for people.
            space: To be searched.
            events: Receives a target that was chosen here.
        """
        chosen = parse_targets(self.target_ms)
        if chosen is not None:
            return chosen
        target_ms = self._default_target_ms(predictor, name, space, events)
        return target_ms, target_ms

    @property
    def _latency_kind(self) -> LatencyKind:
        return "upper" if self.latency == "upper" else "point"

    def _default_target_ms(
        self, predictor: NetworkPredictor, name: str, space: SearchSpace, events: Events
    ) -> float:
        """Latency of MnasNet-A1, or of half of the networks where the space has other ones."""
        reference = replace(
            zoo.load_network(_REFERENCE).scaled(self.width),
            resolution=self.resolution,
            n_classes=self.classes,
        )
        latencies = Latencies(predictor, space, self._latency_kind)  # as the reward is given them
        probes_ms = latencies.reward_ms(space.sample(_N_PROBES, np.random.default_rng(0)))
        target_ms, what = float(predictor.predict_ms(reference)), f"what {_REFERENCE} takes"
        if not probes_ms.min() <= target_ms <= probes_ms.max():
            target_ms = float(np.median(probes_ms))
            what = f"what half of the networks of {space.name} keep"
        events.notice(
            f"Target: {format_ms(target_ms)}, which is {what} by {name}. Set another one with "
            "--target-ms."
        )
        return target_ms


def parse_targets(text: str) -> tuple[float, float] | None:
    """Read ``75`` or ``20:100`` as the lowest and the highest target; None if the text is empty.

    Raises:
        ValueError: If it is neither.

    >>> parse_targets("20:100")
    (20.0, 100.0)
    """
    if not text:
        return None
    try:
        values = [float(part) for part in text.split(":")]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise ValueError(f"{text!r} is no target; write milliseconds, e.g. 75, or 20:100.")
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"The target must be a positive number of milliseconds, got {text}.")
    if len(values) == 2 and values[0] >= values[1]:
        raise ValueError(f"The lower target of a range comes first, got {text}.")
    return values[0], values[-1]


def command_of(run: SearchRun) -> str:
    """Write the command that makes the same search anew, with all that decides its result.

    Left out is how the device is reached (``--guard``, ``--benchmark-binary``) and for how long to
    search at a time (``--max-time``): they are no part of what a run is.
    """
    request: Mapping[str, Any] = run.request
    targets = dict.fromkeys(f"{target:.10g}" for target in run.settings.target_range_ms)
    words = ["mnaslat", "search", "--predictor", str(run.predictor_path)]
    words += ["--target-ms", ":".join(targets)]
    for name in (*_IN_COMMAND, *_OF_SPACE):
        words += [f"--{name.replace('_', '-')}", str(request[name])]
    if not request["surrogate"]:
        words.append("--no-surrogate")
    if request.get("device"):
        words += ["--device", str(request["device"])]
    workspace = run.folder.parent.parent  # what was measured there is not measured anew
    if workspace != DEFAULT_WORKSPACE:
        words += ["--workspace", str(workspace)]
    return shlex.join(words)
