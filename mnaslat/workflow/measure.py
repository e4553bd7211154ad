"""Measures whole networks on a device into a workspace."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnaslat.data.workspace import Workspace
from mnaslat.errors import DeviceError
from mnaslat.files import json_value
from mnaslat.graph import Graph, Precision
from mnaslat.predictors.base import Network, as_graphs
from mnaslat.profiling.device import Device
from mnaslat.profiling.sweep import Job, Progress, SweepResult, sweep
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.workflow.arguments import check_arguments, check_networks, check_whole
from mnaslat.workflow.progress import SILENT, Events, naming


@dataclass(frozen=True)
class MeasuredNetworks:
    """Latencies of whole networks, in the order of the networks given.

    Attributes:
        graphs: The networks.
        latency_ms: The minimum over all rounds, in milliseconds, one for each network.
        round_min_ms: The minimum of each round, in milliseconds, one tuple for each network.
    """

    graphs: tuple[Graph, ...]
    latency_ms: tuple[float, ...]
    round_min_ms: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; networks as their signatures."""
        return {
            "graphs": [graph.signature for graph in self.graphs],
            "latency_ms": json_value(self.latency_ms),
            "round_min_ms": json_value(self.round_min_ms),
        }

    def __repr__(self) -> str:
        return f"MeasuredNetworks({len(self.graphs)} networks)"


def measure_networks(
    device: Device,
    networks: Sequence[Network],
    workspace: Workspace,
    *,
    precision: Precision = "fp32",
    n_rounds: int | None = None,
    seed: int = 0,
    events: Events = SILENT,
) -> MeasuredNetworks:
    """Measure whole networks; those that the workspace holds already are read from it.

    Args:
        device: To measure on.
        networks: Architectures or graphs of that precision.
        workspace: Keeps every round as soon as it is measured.
        precision: Of the networks.
        n_rounds: Rounds of each network, if more than the device plans by itself.
        seed: Of the order in which they are measured.
        events: Receives progress and waits.

    Raises:
        ValueError: If an argument is wrong.
        DeviceError: If the device is lost or could not run one of the networks.
        WorkspaceBusy: If another process measures on the same device into the same workspace.
    """
    check_arguments(device=device, workspace=workspace, precision=precision, seed=seed)
    check_networks(networks)
    if n_rounds is not None:
        check_whole("n_rounds", n_rounds, 1)
    with naming("networks"):
        graphs = as_graphs(networks, precision)
    distinct = {graph.signature: graph for graph in graphs}
    job = Job(kind="network", graphs=tuple(distinct.values()))
    plan = device.plan("network")
    wanted = max(plan.n_rounds, n_rounds or 0)
    plan = replace(plan, n_rounds=wanted, max_rounds=max(plan.max_rounds, wanted))
    result = run_sweep(device, job, plan, workspace, "networks", seed=seed, events=events)
    if result.failures:
        reason = next(iter(result.failures.values()))
        raise DeviceError(
            f"{len(result.failures)} networks could not be run on {device.name}, the first one "
            f"because {reason}. Run the command again; if they fail again, try another --seed."
        )
    store = workspace.store()
    found = store.measurements(device.configuration(precision), "network")
    store.close()
    ordered = [found[each.signature] for each in graphs]
    return MeasuredNetworks(
        tuple(graphs),
        tuple(each.latency_ms for each in ordered),
        tuple(each.round_min_ms for each in ordered),
    )


def run_sweep(
    device: Device,
    job: Job,
    plan: TimingPlan,
    workspace: Workspace,
    what: str,
    *,
    budget_s: float = math.inf,
    seed: int = 0,
    events: Events = SILENT,
) -> SweepResult:
    """Measure the models of a job into the store of a workspace, alone on the device.

    Raises:
        DeviceError: If the device is lost.
        WorkspaceBusy: If another process measures on the same device into the same workspace.
    """
    step = f"Measuring {what} in {plan.n_rounds} rounds"

    def show(now: Progress) -> None:
        detail = f"round {now.round_number}  {_short(now.last)}"
        events.progress(step, now.n_rounds_done, now.n_rounds_total, now.seconds_left, detail)

    with workspace.lock(device.name):
        store = workspace.store()
        try:
            return sweep(
                device,
                store,
                job,
                plan,
                budget_s=budget_s,
                seed=seed,
                on_progress=show,
                on_notice=events.notice,
            )
        finally:
            store.close()


def _short(signature: str) -> str:
    graph = Graph.parse(signature)
    if len(graph.layers) > 1:
        return f"{graph.madds / 1e6:.0f} M multiply-adds"
    return signature.split(" ", 1)[1]
