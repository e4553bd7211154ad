"""Finds and opens the devices that latencies are measured on."""

import time
from dataclasses import replace

from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Precision
from mnaslat.profiling import registry
from mnaslat.profiling.device import Device, DeviceOptions, FoundDevice, Reopening
from mnaslat.workflow.progress import SILENT, Events, naming


def find_devices(*, events: Events = SILENT) -> list[FoundDevice]:
    """List everything that could be measured on, with its troubles; this computer comes last.

    A notice says why devices of a kind cannot be seen at all.
    """
    return registry.find_devices(events.notice)


def open_device(
    name: str = "",
    options: DeviceOptions = DeviceOptions(),
    *,
    workspace: Workspace | None = None,
    precision: Precision = "fp32",
    new_table: bool = False,
    events: Events = SILENT,
) -> Device:
    """Open a device by name; without one the only phone that is connected, else this computer.

    Args:
        name: Serial or name of a phone, or ``host``.
        options: Threads, cores, delegate and what else is chosen; the device's defaults if left
            out.
        workspace: Where its latencies are kept: a phone continues with the benchmark tool that its
            table was measured with, and a device that has changed since then is refused.
        precision: Of the networks that are to be measured.
        new_table: Whether to start a new table where the device has changed.
        events: Receives downloads as progress, and why phones cannot be seen.

    Raises:
        DeviceError: If there is no such device, it cannot be used, or several phones are there.
        ConfigurationMismatch: If it is no longer the device that the workspace knows.
        ValueError: If it does not have what the options ask for.
    """
    before = Reopening()
    if workspace is not None and not new_table:
        before = Reopening(measured=measured_in(workspace, precision))
    device = open_as_before(name, options, before, events)
    if workspace is not None and not new_table:
        check_same_device(workspace, device, precision)
    return device


def reopen_device(
    configuration: Configuration,
    name: str = "",
    options: DeviceOptions = DeviceOptions(),
    *,
    events: Events = SILENT,
) -> Device:
    """Open the device that a configuration was measured on, with the same settings.

    Args:
        configuration: Of a predictor or table.
        name: How the device is reached now, if that is not its name.
        options: Of these only ``benchmark_binary`` and ``guard`` count.
        events: Receives downloads as progress.

    Raises:
        ConfigurationMismatch: If the device here is not the one of the configuration.
        DeviceError: If it is not there or cannot be used.
    """
    known = device_name(name) if name else None
    if known not in (None, configuration.device):
        raise ConfigurationMismatch(
            f"The predictor is of {configuration.device} and says nothing about {known}. Choose "
            f"one of {known} with --predictor, or measure on {configuration.device}."
        )
    options = replace(
        options,
        threads=configuration.threads,
        cores=configuration.cores,
        delegate=configuration.delegate,
    )
    before = Reopening(runtime=configuration.runtime)
    device = open_as_before(name or configuration.device, options, before, events)
    configuration.require(device.configuration(configuration.precision), f"Device {device.name}")
    return device


def open_as_before(
    name: str, options: DeviceOptions, before: Reopening, events: Events = SILENT
) -> Device:
    """Open a device with the tool that it was measured with before; accept it if it has changed.

    Raises:
        DeviceError: If there is no such device, it cannot be used, or several phones are there.
        ValueError: If it does not have what the options ask for.
    """
    with naming("device"):
        return registry.open_device(
            name,
            options,
            before=before,
            on_download=_DownloadShown(events),
            on_trouble=events.notice,
        )


def device_name(name: str) -> str | None:
    """Return how files call the device with that serial or name; None if it is not here.

    Raises:
        DeviceError: If it is here but does not say what it is.
    """
    return registry.device_name(name)


def clean_device(name: str) -> tuple[str, bool]:
    """Remove everything that mnaslat left on a phone.

    Returns:
        The folder on the phone, and whether it was there.

    Raises:
        DeviceError: If there is no such phone or it cannot be reached.
    """
    from mnaslat.profiling.phone.discovery import connect
    from mnaslat.profiling.phone.tool.installation import FOLDER, clean

    return FOLDER, clean(connect(name))


def measured_in(workspace: Workspace, precision: Precision) -> tuple[Configuration, ...]:
    """Return the configurations measured in a workspace, the one measured last at the end."""
    store = workspace.store()
    known = store.configurations()
    store.close()
    return tuple(each for each in known if each.precision == precision)


def check_same_device(workspace: Workspace, device: Device, precision: Precision) -> None:
    """Refuse to start a second table because the phone or its tool was updated.

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
    from mnaslat.profiling.phone.tool.registry import tool_of  # only phones have such tools

    has_tool = tool_of(now.runtime) is not None
    return " with --benchmark-binary" if has_tool and before.runtime != now.runtime else ""


class _DownloadShown:
    """Reports a download as progress in kilobytes."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._started: float | None = None

    def __call__(self, n_bytes: int, total: int) -> None:
        now = time.monotonic()
        self._started = now if self._started is None else self._started
        seconds_left = (now - self._started) / max(n_bytes, 1) * max(total - n_bytes, 0)
        self._events.progress(
            "Fetching the benchmark tool (kB)", n_bytes // 1000, total // 1000, seconds_left
        )
