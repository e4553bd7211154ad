"""``find_devices``, ``open_device`` and ``reopen_device``, with a phone in software."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, ConfigurationMismatch, DeviceError, WorkspaceError
from tests.phone.adb_server import AdbServer
from tests.phone.fixtures import PhoneBox
from tests.phone.phone import Phone
from tests.workflow.made_up_device import MadeUpDevice, Recorder, json_text, small_space


def test_this_computer_is_always_there_and_comes_last(phone: Phone) -> None:
    events = Recorder()
    first, host = mnaslat.find_devices(events=events)
    assert (first.name, first.usable, host.name) == (phone.serial, True, "host")
    assert '"usable": true' in json_text(first) and len(repr(first)) < 200
    assert events.notices == []


def test_why_phones_cannot_be_seen_is_a_notice() -> None:
    events = Recorder()  # the tests' computer has no adb until a test asks for one
    (host,) = mnaslat.find_devices(events=events)
    assert host.name == "host"


def test_the_host_is_opened_with_its_settings_and_found_again() -> None:
    device = mnaslat.open_device("host", mnaslat.DeviceOptions(threads=2))
    configuration = device.configuration("fp32")
    assert configuration.threads == 2
    assert mnaslat.reopen_device(configuration).configuration("fp32") == configuration


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cores": "fast"}, "write any, 1, or 0,1"),
        ({"delegate": "gpu"}, "runs models with xnnpack"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_device_has_not_is_a_wrong_argument(settings: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.open_device("host", mnaslat.DeviceOptions(**settings))
    assert caught.value.argument == "device"


def test_options_are_checked_where_they_are_made() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        mnaslat.DeviceOptions(threads=0)


def test_a_device_that_is_not_here_is_a_state_of_the_world(adb_server: AdbServer) -> None:
    with pytest.raises(DeviceError, match="No device 'pixel8' here. There are: host"):
        mnaslat.open_device("pixel8")
    with pytest.raises(DeviceError, match="No device 'made-up' here"):
        mnaslat.reopen_device(MadeUpDevice().configuration("fp32"))


def test_one_of_several_phones_has_to_be_chosen(make_phone: PhoneBox) -> None:
    make_phone()
    make_phone()
    with pytest.raises(DeviceError, match="Several phones are connected"):
        mnaslat.open_device()


def test_another_device_than_the_predictors_is_refused() -> None:
    host = mnaslat.open_device("host").configuration("fp32")
    other = replace(host, fingerprint="another processor")
    with pytest.raises(ConfigurationMismatch, match="another processor"):
        mnaslat.reopen_device(other)
    with pytest.raises(ConfigurationMismatch, match="says nothing about host"):
        mnaslat.reopen_device(replace(host, device="pixel8"), "host")


def test_a_device_that_changed_since_it_was_measured_is_refused(workspace: Workspace) -> None:
    host = mnaslat.open_device("host")

    class Older(MadeUpDevice):
        """This computer with another runtime."""

        def configuration(self, precision: Any) -> Any:
            """Return that of this computer, then."""
            return replace(host.configuration(precision), runtime="an older one")

    mnaslat.measure_networks(Older(), [small_space().decode([0] * 42)], workspace)
    with pytest.raises(ConfigurationMismatch, match="--new-table"):
        mnaslat.open_device("host", workspace=workspace)
    assert mnaslat.open_device("host", workspace=workspace, new_table=True).name == "host"


def test_a_workspace_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="Cannot make the workspace"):
        mnaslat.Workspace(str(tmp_path / "file"))
