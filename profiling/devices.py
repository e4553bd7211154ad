"""The devices that are here: all kinds of them, by name."""

import os
from collections.abc import Iterator

from mnaslat.errors import DeviceError
from mnaslat.profiling.device import Device, DeviceKind, DeviceSettings, FoundDevice

HOST = "host"


def find_devices() -> list[FoundDevice]:
    """All that could be measured on, with what is wrong with them; the host comes last."""
    return [found for kind in reversed(list(_kinds())) for found in kind.find()]


def open_device(name: str, settings: DeviceSettings) -> Device:
    """The device of that name, or without one the only phone, else the host.

    Raises:
        DeviceError: If there is none such, it cannot be used, or there are several phones.
        ValueError: If it has not what the settings ask for.
    """
    chosen = name or _default()
    for kind in _kinds():
        device = kind.open(chosen, settings)
        if device is not None:
            return device
    known = ", ".join(found.name for found in find_devices())
    raise DeviceError(
        f"No device {chosen!r} here. There are: {known}. `mnaslat devices` says more about them."
    )


def _kinds() -> Iterator[DeviceKind]:
    # Phones need adb and its library; whoever asks for the host does without them.
    from mnaslat.profiling.host import HostKind

    yield HostKind()
    from mnaslat.profiling.phone.discovery import PhoneKind

    yield PhoneKind()


def _default() -> str:
    # As every tool for Android understands it.
    if os.environ.get("ANDROID_SERIAL"):
        return os.environ["ANDROID_SERIAL"]
    phones = [found.name for found in find_devices() if found.kind != HOST]
    if len(phones) > 1:
        raise DeviceError(
            f"Several phones are connected: {', '.join(phones)}. Choose one with --device, or this "
            "computer with --device host."
        )
    return phones[0] if phones else HOST
