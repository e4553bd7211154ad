"""The commands ``devices`` and ``devices clean``."""

import sys
from typing import Annotated

import typer

from mnaslat.cli.options import JsonOption
from mnaslat.cli.terminal import print_json

devices = typer.Typer(
    help="List what can be measured on, and what is wrong with the rest.",
    epilog="Example: mnaslat devices",
    invoke_without_command=True,
)


@devices.callback()
def list_devices(context: typer.Context, json: JsonOption = False) -> None:
    """List what can be measured on, and what is wrong with the rest.

    Example: mnaslat devices
    """
    if context.invoked_subcommand is not None:
        return
    from mnaslat.workflow.devices import find_devices

    events = _Notices()
    found = find_devices(events=events)
    unseen = events.texts
    if json:
        for reason in unseen:
            print(f"Some devices cannot be seen: {reason}", file=sys.stderr)
        print_json([each.to_json() for each in found])
        return
    for each in found:
        print(f"{each.name}   {'usable' if each.usable else 'not usable'}")
        for name, text in each.facts.items():
            print(f"  {name:12} {_printable(text)}")
        for trouble in each.troubles:
            print(f"  {'! ' if trouble.blocks else 'note: '}{trouble.text}")
    for reason in unseen:
        print(f"Phones cannot be seen. {reason}")
    if len(found) == 1 and not unseen:
        print(
            "No phone is connected. Switch on USB debugging in its developer options and plug it "
            "in, or `adb connect ADDRESS`."
        )


@devices.command()
def clean(
    serial: Annotated[str, typer.Argument(help="Serial or name of the phone.")],
    json: JsonOption = False,
) -> None:
    """Remove everything that mnaslat left on a phone.

    Example: mnaslat devices clean SERIAL
    """
    from mnaslat.workflow.devices import clean_device

    folder, removed = clean_device(serial)
    if json:
        print_json({"device": serial, "removed": folder if removed else None})
    elif removed:
        print(f"{folder} was removed from {serial}.")
    else:
        print(f"There is no {folder} on {serial}.")


class _Notices:
    """Collects notices."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Ignore it."""

    def notice(self, text: str) -> None:
        """Keep a notice."""
        self.texts.append(text)


def _printable(text: str) -> str:
    """Replace characters of a text that would confuse a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)
