"""What a user asks of a search: checked, made settings of, and written as a command again."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnaslat.cli.options import DEFAULT_WORKSPACE, usage

if TYPE_CHECKING:
    from mnaslat.predictors.network_predictor import NetworkPredictor
    from mnaslat.search.run.run_folder import Run
    from mnaslat.search.settings import SearchSettings
    from mnaslat.space import SearchSpace

# The default target is what this network takes on the device: a searched network should beat it.
_REFERENCE = "mnasnet-a1"
_N_PROBES = 64


def check_options(target_ms: str, reward: str, searcher: str, preset: str, latency: str) -> None:
    """Check what can be seen to be wrong before anything is opened.

    Raises:
        typer.BadParameter: If an option is wrong, or two do not go together; names the option.
    """
    from mnaslat.search.controllers.presets import preset as known_preset
    from mnaslat.search.searchers.registry import SEARCHERS
    from mnaslat.search.settings import LATENCY_KINDS

    with usage("--reward"):
        if reward not in ("hard", "soft"):
            raise ValueError(f"{reward!r} is not a reward; hard or soft.")
    with usage("--target-ms"):
        targets = parse_targets(target_ms)
        if targets is not None and targets[0] != targets[1] and reward == "soft":
            raise ValueError("With --reward soft a target steers nothing: give one, or none.")
    with usage("--searcher"):
        if searcher not in SEARCHERS:
            raise ValueError(f"{searcher!r} is not a searcher; {', '.join(SEARCHERS)}.")
    with usage("--preset"):
        known_preset(preset)
    with usage("--latency"):
        if latency not in LATENCY_KINDS:
            raise ValueError(f"{latency!r} is not a kind of latency; {' or '.join(LATENCY_KINDS)}.")


def max_time_s_of(text: str) -> float | None:
    """The time to search for in seconds; None if nothing is given.

    Raises:
        typer.BadParameter: If it is no duration.
    """
    from mnaslat.units import parse_duration_s

    with usage("--max-time"):
        return parse_duration_s(text) if text else None


def parse_targets(text: str) -> tuple[float, float] | None:
    """``75`` or ``20:100`` as the lowest and the highest target; None if nothing is given.

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


def request_of(searched: "SearchSpace", **options: Any) -> dict[str, Any]:
    """The options as a run keeps them: the same ones go on with it."""
    import numpy as np

    network = searched.decode(np.zeros(len(searched.decisions), dtype=np.int64))
    return {**options, "resolution": network.resolution, "classes": network.n_classes}


def settings_of(
    predictor: Path, request: Mapping[str, Any], searched: "SearchSpace"
) -> "SearchSettings":
    """The settings of a new search with a predictor file."""
    from mnaslat.predictors.network_predictor import open_predictor
    from mnaslat.search.reward import RewardSettings
    from mnaslat.search.settings import SearchSettings

    targets = parse_targets(request["target_ms"])
    if targets is None:
        target_ms = _default_target_ms(open_predictor(predictor), predictor.name, searched, request)
        targets = (target_ms, target_ms)
    make = RewardSettings.hard if request["reward"] == "hard" else RewardSettings.soft
    return SearchSettings(
        reward=make(target_ms=targets[1]),
        target_ms_range=None if targets[0] == targets[1] else targets,
        space=request["space"],
        width=request["width"],
        resolution=request["resolution"],
        n_classes=request["classes"],
        searcher=request["searcher"],
        preset=request["preset"],
        surrogate=request["surrogate"],
        latency=request["latency"],
        n_samples=request["samples"],
        seed=request["seed"],
        validate_every=max(1, request["validate_every"]),
    )


def command_of(run: "Run") -> str:
    """The command that makes the same search anew: with all that decides its result.

    Left out is how the device is reached (``--guard``, ``--benchmark-binary``) and for how long to
    search at a time (``--max-time``): no part of what a run is.
    """
    request, low_high = run.request, run.settings.target_range_ms
    targets = dict.fromkeys(f"{target:.10g}" for target in low_high)
    words = ["mnaslat", "search", "--predictor", str(run.predictor_path)]
    words += ["--target-ms", ":".join(targets)]
    for option in ("reward", "accuracy", "samples", "searcher", "preset", "latency"):
        words += [f"--{option}", str(request[option])]
    words += ["--validate-every", str(request["validate_every"])]
    for option in ("space", "resolution", "width", "classes", "seed"):
        words += [f"--{option}", str(request[option])]
    if not request["surrogate"]:
        words.append("--no-surrogate")
    if request.get("device"):
        words += ["--device", str(request["device"])]
    workspace = run.folder.parent.parent  # what was measured there is not measured anew
    if workspace != DEFAULT_WORKSPACE:
        words += ["--workspace", str(workspace)]
    return shlex.join(words)


def _default_target_ms(
    predictor: "NetworkPredictor", name: str, searched: "SearchSpace", request: Mapping[str, Any]
) -> float:
    """What MnasNet-A1 takes, or in a space of other latencies half of its networks."""
    from dataclasses import replace

    import numpy as np

    from mnaslat import zoo
    from mnaslat.cli.progress import say
    from mnaslat.search.latency.latencies import Latencies
    from mnaslat.units import format_ms

    reference = replace(
        zoo.load_network(_REFERENCE).scaled(request["width"]),
        resolution=request["resolution"],
        n_classes=request["classes"],
    )
    latencies = Latencies(predictor, searched, request["latency"])  # as the reward is given them
    probes_ms = latencies.reward_ms(searched.sample(_N_PROBES, np.random.default_rng(0)))
    target_ms, what = float(predictor.predict_ms(reference)), f"what {_REFERENCE} takes"
    if not probes_ms.min() <= target_ms <= probes_ms.max():
        target_ms = float(np.median(probes_ms))
        what = f"what half of the networks of {searched.name} keep"
    say(
        f"Target: {format_ms(target_ms)}, which is {what} by {name}. Set another one with "
        "--target-ms."
    )
    return target_ms
