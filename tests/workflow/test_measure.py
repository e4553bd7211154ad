"""``measure_networks`` measures whole networks, and reads those that were measured before."""

from typing import Any

import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, DeviceError
from tests.workflow.made_up_device import (
    MadeUpDevice,
    Recorder,
    json_text,
    made_up_latency_ms,
    small_space,
)

SPACE = small_space()
NETWORKS = [SPACE.decode([0] * 42), SPACE.decode((SPACE.n_choices - 1).tolist())]


def test_latencies_come_in_the_order_of_the_networks(workspace: Workspace) -> None:
    events, graphs = Recorder(), [mnaslat.lower(each) for each in NETWORKS]
    found = mnaslat.measure_networks(
        MadeUpDevice(), [NETWORKS[1], graphs[0], NETWORKS[1]], workspace, events=events
    )
    expected = [made_up_latency_ms(graphs[index].signature) for index in (1, 0, 1)]
    assert found.latency_ms == pytest.approx(expected)
    assert [len(rounds) for rounds in found.round_min_ms] == [2, 2, 2]
    assert events.steps[-1] == ("Measuring networks in 2 rounds", 4, 4)  # of two networks
    assert graphs[0].signature in json_text(found) and len(repr(found)) < 200


def test_measured_networks_are_read_and_more_rounds_are_added(workspace: Workspace) -> None:
    device = MadeUpDevice()
    for n_rounds, n_measured in ((None, 4), (2, 4), (9, 18)):  # 9: more than the device plans
        found = mnaslat.measure_networks(device, NETWORKS, workspace, n_rounds=n_rounds)
        assert device.n_rounds_measured == n_measured
    assert [len(rounds) for rounds in found.round_min_ms] == [9, 9]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"networks": NETWORKS[0]}, r"Write \[network\] for a single one"),
        ({"networks": "mnasnet-a1"}, "a list of architectures or graphs"),
        ({"networks": ["mnasnet-a1"]}, "graphs or architectures, got a str"),
        ({"n_rounds": 0}, "a whole number from 1 on"),
        ({"precision": "fp8"}, "one of fp32, fp16, int8"),
        ({"workspace": "folder"}, "Workspace"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(
    workspace: Workspace, wrong: dict[str, Any], says: str
) -> None:
    given = {"device": MadeUpDevice(), "networks": NETWORKS, "workspace": workspace, **wrong}
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.measure_networks(**given)
    assert [caught.value.argument] == list(wrong)


def test_a_network_that_cannot_be_run_is_an_error_with_the_reason(workspace: Workspace) -> None:
    with pytest.raises(DeviceError, match="2 networks could not be run .* made up to fail"):
        mnaslat.measure_networks(MadeUpDevice(fails="32x32x3"), NETWORKS, workspace)
