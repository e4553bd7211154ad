"""Measures the layers of a search space into a latency table."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.workspace import Workspace
from mnaslat.errors import DeviceError, MnaslatError
from mnaslat.files import json_value
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.profiling.device import Device
from mnaslat.profiling.layer_order import most_useful_first
from mnaslat.profiling.sweep import Job, SweepResult
from mnaslat.space import SearchSpace
from mnaslat.workflow.arguments import check_arguments
from mnaslat.workflow.measure import run_sweep
from mnaslat.workflow.progress import SILENT, Events

_N_PROBES = 8  # random networks whose layers are looked up in a table


@dataclass(frozen=True)
class Profile:
    """The latency table of a device, and how measuring it went.

    Attributes:
        table: All layers measured so far, in this sweep and before.
        sweep: What was measured, what failed and what is left.
        path: The table as a JSON file in the workspace.
    """

    table: LatencyTable
    sweep: SweepResult
    path: Path

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the sweep, and the path of the table."""
        found: dict[str, Any] = json_value(asdict(self.sweep))
        found["n_unsettled"] = found.pop("n_not_converged")  # the name that scripts know
        return {**found, "table": str(self.path)}

    def __repr__(self) -> str:
        return f"Profile({self.sweep.n_measured} of {self.sweep.n_total} layers, {self.path})"


def profile_space(
    device: Device,
    space: SearchSpace,
    workspace: Workspace,
    *,
    precision: Precision = "fp32",
    budget_s: float = math.inf,
    seed: int = 0,
    events: Events = SILENT,
) -> Profile:
    """Measure the layers of a search space, those that most networks have first.

    Calling it again measures only what is missing.

    Args:
        device: To measure on.
        space: Whose layers are measured.
        workspace: Keeps every round as soon as it is measured.
        precision: Of the layers.
        budget_s: Time to spend in seconds.
        seed: Of the order within a round.
        events: Receives progress and waits.

    Raises:
        ValueError: If an argument is wrong.
        DeviceError: If the device is lost, or could not run any layer.
        WorkspaceBusy: If another process measures on the same device into the same workspace.
        MnaslatError: If the time was too short for a single layer.
    """
    check_arguments(device=device, space=space, workspace=workspace)
    check_arguments(precision=precision, budget_s=budget_s, seed=seed)
    signatures = most_useful_first(space.layer_frequencies(precision))
    job = Job(kind="layer", graphs=tuple(map(Graph.parse, signatures)))
    plan = device.plan("layer")
    result = run_sweep(
        device, job, plan, workspace, "layers", budget_s=budget_s, seed=seed, events=events
    )
    if result.failures and not result.n_measured:
        raise DeviceError(
            f"None of the {len(result.failures)} layers could be run on {device.name}, the first "
            f"one because {next(iter(result.failures.values()))}."
        )
    table = read_table(device, workspace, precision)
    path = workspace.path / "tables" / f"{device.name}-{table.configuration.key}.json"
    path.parent.mkdir(exist_ok=True)
    table.save(path)
    return Profile(table, result, path)


def report_other_space(table: LatencyTable, space: SearchSpace, where: str, events: Events) -> None:
    """Report a table that holds no layer of a space, before anything is measured with it.

    Predictions for the space then rest on estimates alone.
    """
    rows = space.sample(_N_PROBES, np.random.default_rng(0))
    graphs = [lower(space.decode(row), table.configuration.precision) for row in rows]
    wanted = {signature for graph in graphs for signature in graph.layer_signatures}
    if not any(signature in table.rows for signature in wanted):
        events.notice(
            f"None of the layers of {_N_PROBES} random networks of {space.name} is among the "
            f"{len(table)} layers measured in {where}, which is probably of another space, width "
            "or resolution. Latencies are estimates. Run `mnaslat profile` with the options of "
            "this space for a better predictor."
        )


def read_table(device: Device, workspace: Workspace, precision: Precision) -> LatencyTable:
    """Read all layers measured in the device's configuration.

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
