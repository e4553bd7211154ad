"""Every command says how to continue, with the device, space and workspace in use."""

import shlex
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.cli.options import DEFAULT_WORKSPACE, full_command
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import DEFAULT
from mnaslat.lowering import lower
from mnaslat.workflow.profile import report_other_space


def test_a_command_names_what_differs_from_the_defaults() -> None:
    assert full_command("calibrate") == "mnaslat calibrate"
    command = full_command(
        "calibrate", device="pixel 8", width=0.5, resolution=96, workspace=Path("a b")
    )
    assert shlex.split(command)[1:] == [
        "calibrate", "--device", "pixel 8", "--resolution", "96", "--width", "0.5",
        "--workspace", "a b",
    ]  # fmt: skip


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_a_short_form(cli: Any, option: str) -> None:
    assert "Usage: mnaslat profile" in cli.run("profile", option).stdout


def test_the_version_is_that_of_the_package(cli: Any) -> None:
    assert cli.run("--version").stdout == f"mnaslat {mnaslat.__version__}\n"


class _Notices:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def progress(self, *_: object) -> None:
        raise AssertionError("nothing is measured here")

    def notice(self, text: str) -> None:
        self.texts.append(text)


def test_a_table_of_another_width_is_reported_before_measuring() -> None:
    measured = mnaslat.load_space("nas-bench-macro")
    network = lower(measured.decode([1] * len(measured.decisions)))
    rows = {signature: Row(1.0) for signature in network.layer_signatures}
    table = LatencyTable(Configuration(device="host", fingerprint="made up"), rows)
    events = _Notices()
    report_other_space(table, measured, "here", events)
    assert events.texts == []
    report_other_space(table, mnaslat.load_space("nas-bench-macro", width=0.5), "here", events)
    (text,) = events.texts
    assert "measured in here" in text and "mnaslat profile" in text


def test_the_command_line_and_the_library_share_the_default_workspace() -> None:
    assert DEFAULT_WORKSPACE == DEFAULT
