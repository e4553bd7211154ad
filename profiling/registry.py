"""Finds and opens the devices that are here, of all kinds, by name."""

import os
from collections.abc import Callable, Iterator

from mnaslat.errors import DeviceError
from mnaslat.profiling.device import (
    Device,
    DeviceKind,
    DeviceOptions,
    FoundDevice,
    OnDownload,
    Reopening,
)

HOST = "host"


def find_devices(on_trouble: Callable[[str], None] = lambda text: None) -> list[FoundDevice]:
    """List all that could be measured on, with their troubles; the host comes last.

    ``on_trouble`` is called with the reason where devices of a kind cannot be seen at all.
    """
    devices: list[FoundDevice] = []
    for kind in reversed(list(_kinds())):
        try:
            devices.extend(kind.find())
        except DeviceError as error:
            on_trouble(str(error))
    return devices


def device_name(name: str) -> str | None:
    """Return how tables and predictors name the device with that serial or name.

    None if it is not here.

    Raises:
        DeviceError: If it is here but does not say what it is.
    """
    if name == HOST:  # which is asked without looking for phones
        return HOST
    for found in find_devices():
        if name in (found.name, found.facts.get("name")):
            if not found.facts:
                troubles = "; ".join(trouble.text for trouble in found.troubles)
                raise DeviceError(f"Device {name} cannot be used: {troubles.rstrip('.')}.")
            return found.facts.get("name", found.name)
    return None


def open_device(
    name: str,
    options: DeviceOptions,
    *,
    before: Reopening = Reopening(),
    on_download: OnDownload = lambda n_bytes, total: None,
    on_trouble: Callable[[str], None] = lambda text: None,
) -> Device:
    """Open the device of that name, or without one the only phone, else the host.

    Args:
        name: Serial of a phone, its name in tables, or ``host``; empty for the default.
        options: How it is measured.
        before: What was measured already.
        on_download: Called while a tool is fetched.
        on_trouble: Called with the reason where the host is taken because phones cannot be seen.

    Raises:
        DeviceError: If there is none such, it cannot be used, or there are several phones.
        ValueError: If it does not have what the options ask for.
    """
    chosen = name or _default(on_trouble)
    for kind in _kinds():
        device = kind.open(chosen, options, before, on_download)
        if device is not None:
            return device
    known = ", ".join(found.name for found in find_devices())
    raise DeviceError(
        f"No device {chosen!r} here. There are: {known}. `mnaslat devices` says more about them."
    )


def _kinds() -> Iterator[DeviceKind]:
    # Phones need adb and its library; whoever asks for the host does without them.
    from mnaslat.profiling.host.device import HostKind

    yield HostKind()
    from mnaslat.profiling.phone.discovery import PhoneKind

    yield PhoneKind()


def _default(on_trouble: Callable[[str], None]) -> str:
    # As every tool for Android understands it.
    if os.environ.get("ANDROID_SERIAL"):
        return os.environ["ANDROID_SERIAL"]
    unseen: list[str] = []
    phones = [found.name for found in find_devices(unseen.append) if found.kind != HOST]
    if len(phones) > 1:
        raise DeviceError(
            f"Several phones are connected: {', '.join(phones)}. Choose one with --device, or this "
            "computer with --device host."
        )
    if phones:
        return phones[0]
    for reason in unseen:
        on_trouble(f"Phones cannot be seen: {reason.rstrip('.')}; measuring on this computer.")
    return HOST
