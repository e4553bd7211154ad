"""The figures about the code itself, from made-up files."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("house")


def test_the_time_and_failures_of_a_suite_are_read(house: Any, tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(
        '<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="40" '
        'time="250.5"/></testsuites>'
    )
    seconds, failed = house.suite(path)
    assert (seconds.value, seconds.reached, seconds.note) == (250.5, True, "40 tests, 3 skipped")
    assert (failed.value, failed.reached) == (3, False)


def test_breaks_that_are_no_longer_found_are_named(house: Any, tmp_path: Path) -> None:
    def written(name: str, **found: bool | None) -> Path:
        rows = [{"name": key, "found": value} for key, value in found.items()]
        path = tmp_path / name
        path.write_text(json.dumps([{"commit": name}, *rows]))
        return path

    before = written("before", stride=True, sign=True, unit=False, row=True)
    after = written("after", stride=True, sign=False, unit=True, row=None)
    n_before, n_after, lost = house.breaks(before, after)
    assert (n_before.value, n_after.value) == (3, 2)
    assert (lost.value, lost.reached) == (2, False)
    assert lost.note == "row (not tried); sign"
    assert house.breaks(before, before)[2].reached


def test_the_layout_is_counted_with_what_the_test_of_imports_lets_pass(house: Any) -> None:
    found = {(each.task, each.metric): each for each in house.layout()}
    assert found["modules", "modules in the largest folder"].value <= 17
    assert found["benchmarks and examples", "imports that are not public"].reached
    assert 500 < found["mnaslat/cli", "lines"].value <= 2000
    assert found["modules", "imports of mnaslat.cli from outside"].reached
