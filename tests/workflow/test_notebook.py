"""Events in a notebook, with a display in IPython's place."""

import sys
from types import ModuleType
from typing import Any

import pytest

import mnaslat
from mnaslat.workflow.progress import bar_html


class _Handle:
    def __init__(self, shown: list[str]) -> None:
        self._shown = shown
        shown.append("")

    def update(self, html: str) -> None:
        """Replace what is shown."""
        self._shown[-1] = html


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands below the cell, one text for each display."""
    outputs: list[str] = []

    def display(html: str, display_id: bool = False) -> Any:
        if display_id:
            return _Handle(outputs)
        outputs.append(html)
        return None

    module: Any = ModuleType("IPython.display")
    module.HTML, module.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return outputs


def test_one_bar_is_updated_for_each_step(shown: list[str]) -> None:
    events = mnaslat.NotebookEvents()
    events.progress("Measuring", 1, 4, 9.0)
    events.progress("Measuring", 2, 4, 6.0)  # too soon after the first to be shown
    assert len(shown) == 1 and "1 of 4" in shown[0]
    events.progress("Measuring", 4, 4, 0.0)
    assert len(shown) == 1 and 'value="4" max="4"' in shown[0]
    events.progress("Fitting", 0, 1, 0.0)
    assert len(shown) == 2 and "Fitting" in shown[1]


def test_notices_are_lines_and_everything_is_escaped(shown: list[str]) -> None:
    events = mnaslat.NotebookEvents()
    events.notice("<b>wait</b>")
    assert shown == ["<div>&lt;b&gt;wait&lt;/b&gt;</div>"]
    assert "&lt;i&gt;" in bar_html("Step", 0, 0, 1.0, "<i>") and "left" not in shown[0]


def test_without_ipython_the_first_event_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ImportError):
        mnaslat.NotebookEvents().notice("hello")
