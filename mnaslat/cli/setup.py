"""Steps that several commands take: profile a space, measure networks, calibrate on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.cli.predictors import store_predictor
from mnaslat.cli.progress import progress, say, silence
from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration
from mnaslat.data.measurement_store import Store
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ConfigurationMismatch, DeviceError, MnaslatError
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.predictors import CalibratedPredictor, TablePredictor
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.predictors.table.kernel_model import MIN_LAYERS
from mnaslat.profiling.layer_order import most_useful_first
from mnaslat.profiling.sweep import Job, Progress, SweepResult, sweep
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.space import SearchSpace

if TYPE_CHECKING:
    from mnaslat.profiling.device import Device


# What `mnaslat search` does by itself in a workspace without a predictor.
QUICK_PROFILE_S = 150.0
QUICK_CALIBRATION_NETWORKS = 10


@dataclass(frozen=True)
class MeasuredNetworks:
    """Whole networks with what was measured, in the order asked for."""

    architectures: tuple[Architecture, ...]
    latency_ms: tuple[float, ...]
    round_min_ms: tuple[tuple[float, ...], ...]


def measured_in(workspace: Workspace, precision: Precision) -> tuple[Configuration, ...]:
    """The configurations of a workspace in a precision, the one measured in last at the end."""
    store = workspace.store()
    known = store.configurations()
    store.close()
    return tuple(each for each in known if each.precision == precision)


def check_same_device(workspace: Workspace, device: "Device", precision: Precision) -> None:
    """Refuse to start a second table unasked, because the phone or its tool was updated.

    Raises:
        ConfigurationMismatch: If the workspace has latencies of the same device, in the same
            setting, from before it changed, and none of now.
    """
    now = device.configuration(precision)
    before = [
        each
        for each in measured_in(workspace, precision)
        if replace(each, fingerprint=now.fingerprint, runtime=now.runtime) == now
    ]
    if before and now not in before:
        raise ConfigurationMismatch(
            f"{device.name} is no longer what it was when it was measured in {workspace.path}: "
            f"{_difference(before[-1], now)}. Latencies of the two are never mixed. Start a new "
            "table with `mnaslat profile --new-table` (the old one is kept), or go back to what it "
            f"was{_how_back(before[-1], now)}."
        )


def _difference(before: Configuration, now: Configuration) -> str:
    pairs = ((before.fingerprint, now.fingerprint), (before.runtime, now.runtime))
    return "; ".join(f"{old!r} then, {new!r} now" for old, new in pairs if old != new)


def _how_back(before: Configuration, now: Configuration) -> str:
    is_tool = now.runtime.startswith("benchmark_model ")
    return " with --benchmark-binary" if is_tool and before.runtime != now.runtime else ""


def profile_space(
    workspace: Workspace,
    device: "Device",
    space: SearchSpace,
    precision: Precision = "fp32",
    *,
    budget_s: float = math.inf,
    seed: int = 0,
) -> SweepResult:
    """Measure the layers of a space into the workspace's store, with a progress bar."""
    signatures = most_useful_first(space.layer_frequencies(precision))
    job = Job(kind="layer", signatures=tuple(signatures))
    return _sweep(workspace, device, job, device.plan("layer"), "layers", budget_s, seed)


def measure_networks(
    workspace: Workspace,
    device: "Device",
    architectures: Sequence[Architecture],
    precision: Precision = "fp32",
    *,
    n_rounds: int = 0,
    seed: int = 0,
    quiet: bool = False,
) -> MeasuredNetworks:
    """Measure whole networks into the store, or read those that are there already.

    ``n_rounds`` asks for more rounds than the device's plan has.

    Raises:
        DeviceError: If the device could not run one of them.
    """
    by_signature = {lower(each, precision).signature: each for each in architectures}
    job = Job(kind="network", signatures=tuple(by_signature), architectures=by_signature)
    plan = device.plan("network")
    plan = replace(plan, n_rounds=max(plan.n_rounds, n_rounds))
    result = _sweep(workspace, device, job, plan, "networks", math.inf, seed, quiet)
    if result.failures:
        signature, reason = next(iter(result.failures.items()))
        raise DeviceError(
            f"{len(result.failures)} networks could not be run on {device.name}, the first one "
            f"because {reason}. Run the command again; if they fail again, try another --seed."
        )
    store = workspace.store()
    found = store.measurements(device.configuration(precision), "network")
    store.close()
    ordered = [found[lower(each, precision).signature] for each in architectures]
    return MeasuredNetworks(
        tuple(architectures),
        tuple(each.latency_ms for each in ordered),
        tuple(each.round_min_ms for each in ordered),
    )


def read_table(workspace: Workspace, device: "Device", precision: Precision) -> LatencyTable:
    """All layers measured in the device's configuration.

    Raises:
        MnaslatError: If there are none.
    """
    store = workspace.store()
    configuration = device.configuration(precision)
    measured = store.measurements(configuration, "layer")
    others = [each for each in store.configurations() if each.key != configuration.key]
    store.close()
    if not measured:
        hint = ""
        if others:
            hint = (
                f" It holds other configurations ({others[-1].device}, {others[-1].precision}, "
                f"threads {others[-1].threads}, cores {others[-1].cores}), which are never mixed."
            )
        raise MnaslatError(
            f"No layers are measured in workspace {workspace.path} for {device.name} in "
            f"{precision}, threads {configuration.threads}, cores {configuration.cores}.{hint} "
            "Run `mnaslat profile` with the same options first."
        )
    return LatencyTable.from_measurements(configuration, measured)


def calibrate_predictor(
    workspace: Workspace,
    device: "Device",
    space: SearchSpace,
    precision: Precision = "fp32",
    *,
    n_models: int,
    seed: int = 0,
) -> tuple[CalibratedPredictor, Path]:
    """Measure random networks of a space, fit the correction, and save the predictor."""
    table = read_table(workspace, device, precision)
    if len(table) < MIN_LAYERS:
        raise MnaslatError(
            f"Only {len(table)} layers are measured; a predictor needs at least {MIN_LAYERS}. Go "
            "on with `mnaslat profile` for longer."
        )
    architectures = calibration_networks(space, precision, n_models, seed)
    measured = measure_networks(workspace, device, architectures, precision, seed=seed)
    predictor = CalibratedPredictor(TablePredictor(table))
    predictor.fit(measured.architectures, measured.latency_ms)
    return predictor, store_predictor(workspace, predictor)


def calibration_networks(
    space: SearchSpace, precision: Precision, n: int, seed: int
) -> list[Architecture]:
    """Random networks, spread evenly over how many weights they have, in random order.

    Networks whose weights outgrow the caches are rare and far from what their layers add up to:
    among a few networks drawn at random there may be none.
    """
    rng = np.random.default_rng(seed)
    candidates = [space.decode(row) for row in space.sample(15 * n, rng)]
    candidates = list(dict.fromkeys(candidates))
    weights = [
        sum(layer.n_weights for layer in lower(each, precision).layers) for each in candidates
    ]
    n = min(n, len(candidates))
    places = ((np.arange(n) + 0.5) / n * len(candidates)).astype(int)
    chosen = np.argsort(weights, kind="stable")[places]
    return [candidates[index] for index in rng.permutation(chosen)]


def make_quick_predictor(
    workspace: Workspace, device: "Device", space: SearchSpace, seed: int
) -> tuple[CalibratedPredictor, Path]:
    """Profile for a few minutes and calibrate, for a search in an empty workspace."""
    say(
        f"No predictor in {workspace.path}: measuring this space on {device.name} first, about "
        "four minutes. `mnaslat profile` and `mnaslat calibrate` make a better one."
    )
    profile_space(workspace, device, space, budget_s=QUICK_PROFILE_S, seed=seed)
    return calibrate_predictor(
        workspace, device, space, n_models=QUICK_CALIBRATION_NETWORKS, seed=seed
    )


def calibration_graphs(predictor: NetworkPredictor) -> set[str]:
    """Signatures of the networks that a predictor was calibrated on."""
    return {graph.signature for graph in predictor.networks}


def fresh_networks(
    space: SearchSpace, precision: Precision, n: int, seed: int, known: set[str]
) -> list[Architecture]:
    """``n`` random networks that are not among the known signatures."""
    rng = np.random.default_rng([seed, 0xF2E5])  # a stream that no calibration seed gives
    found: dict[str, Architecture] = {}
    for row in space.sample(4 * n + 100, rng):
        architecture = space.decode(row)
        signature = lower(architecture, precision).signature
        if signature not in known and len(found) < n:
            found[signature] = architecture
    return list(found.values())


def _sweep(
    workspace: Workspace,
    device: "Device",
    job: Job,
    plan: TimingPlan,
    what: str,
    budget_s: float,
    seed: int,
    quiet: bool = False,
) -> SweepResult:
    shown = silence() if quiet else progress(f"Measuring {what} in {plan.n_rounds} rounds")
    with workspace.lock(device.name), shown as update:
        store: Store = workspace.store()

        def show(now: Progress) -> None:
            label = f"round {now.round_number}  {_short(now.last)}"
            update(now.n_rounds_done, now.n_rounds_total, now.seconds_left, label)

        try:
            return sweep(
                device,
                store,
                job,
                plan,
                budget_s=budget_s,
                seed=seed,
                on_progress=show,
                on_notice=say,
            )
        finally:
            store.close()


def _short(signature: str) -> str:
    graph = Graph.parse(signature)
    if len(graph.layers) > 1:
        return f"{graph.madds / 1e6:.0f} M multiply-adds"
    return signature.split(" ", 1)[1]
