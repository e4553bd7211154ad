"""Accuracies come from where the user says, and what is wrong with them is said."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mnaslat.errors import SearchError
from mnaslat.search.accuracy import FunctionAccuracy, TableAccuracy, accuracy_source
from mnaslat.search.store import tokens_text
from mnaslat.space import load_space

SPACE = load_space("mnasnet", resolution=32, n_classes=10)
ROWS = SPACE.sample(3, np.random.default_rng(0))
TEXTS = [tokens_text(row) for row in ROWS]


def table(folder: Path, *lines: str, header: str = "tokens,accuracy") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_table_gives_back_what_stands_in_it(tmp_path: Path) -> None:
    path = table(tmp_path, f'"{TEXTS[0]}",0.5', f'"{TEXTS[1]}",0.75')
    source = accuracy_source(f"table:{path}", SPACE, folder=tmp_path)
    networks = [SPACE.decode(ROWS[1]), SPACE.decode(ROWS[0])]
    assert source.evaluate(networks).tolist() == [0.75, 0.5]
    with pytest.raises(SearchError, match=f"no accuracy for the network {TEXTS[2]}. Add the row"):
        source.evaluate([SPACE.decode(ROWS[2])])


def test_description_of_a_table_changes_with_its_content(tmp_path: Path) -> None:
    before = TableAccuracy(table(tmp_path, f'"{TEXTS[0]}",0.5'), SPACE).description
    after = TableAccuracy(table(tmp_path, f'"{TEXTS[0]}",0.6'), SPACE).description
    assert before != after


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'"{TEXTS[0]}",75.2', r"row 2: accuracy is 75\.2, not a fraction.*Divide percentages"),
        (f'"{TEXTS[0]}",-0.1', r"accuracy is -0\.1, not a fraction"),
        (f'"{TEXTS[0]}",nan', "accuracy is nan, not a fraction"),
        (f'"{TEXTS[0]}",', "accuracy is '', not a number"),
        (f'"{TEXTS[0]}"', "expected the columns tokens and accuracy"),
        (f"{TEXTS[0]},0.5", "row 2"),  # not quoted
        ('"0,1",0.5', "needs 42 whole-number tokens"),
        ('"a,b",0.5', "tokens 'a,b'"),
        (f'"{TEXTS[0][:-1]}9",0.5', "must lie in"),
        (f'"{TEXTS[0]}",0.5\n"{TEXTS[0]}",0.6', "row 3: the network .* is in the file twice"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        TableAccuracy(table(tmp_path, line), SPACE)


def test_files_that_are_no_table_are_named(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="Cannot read accuracies from"):
        TableAccuracy(tmp_path / "missing.csv", SPACE)
    with pytest.raises(SearchError, match="has no rows"):
        TableAccuracy(table(tmp_path), SPACE)
    with pytest.raises(SearchError, match="expected the columns"):
        TableAccuracy(table(tmp_path, "1,0.5", header="network,accuracy"), SPACE)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SearchError, match="Cannot read"):
        TableAccuracy(binary, SPACE)


def test_function_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_accuracy.py").write_text(
        "def good(architecture):\n    return architecture.n_classes / 40\n"
        "def percent(architecture):\n    return 75.0\n"
        "def nothing(architecture):\n    return None\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    network = SPACE.decode(ROWS[0])
    source = accuracy_source("my_accuracy:good", SPACE, folder=tmp_path)
    assert source.evaluate([network]).tolist() == [0.25]
    with pytest.raises(SearchError, match="my_accuracy:percent's accuracy is 75.0.*by 100"):
        FunctionAccuracy("my_accuracy:percent").evaluate([network])
    with pytest.raises(SearchError, match="is None, not a number"):
        FunctionAccuracy("my_accuracy:nothing").evaluate([network])
    with pytest.raises(SearchError, match="has no function 'other'"):
        FunctionAccuracy("my_accuracy:other")
    with pytest.raises(SearchError, match="Cannot import 'no_such_module'"):
        FunctionAccuracy("no_such_module:f")


def test_unknown_source_says_what_can_be_given(tmp_path: Path) -> None:
    for text in ("proxy", "table:", ":f", "module:"):
        with pytest.raises(SearchError, match="Expected supernet, table:FILE"):
            accuracy_source(text, SPACE, folder=tmp_path)
