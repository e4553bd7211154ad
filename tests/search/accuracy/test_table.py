"""What a table says is looked up, and what is wrong with a table is said."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.arrays import Tokens
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import decoded_candidates
from mnaslat.search.accuracy.table import AccuracyTable, TableAccuracy
from mnaslat.space import load_space

SPACE = load_space("mnasnet", resolution=32, n_classes=10)
ROWS = SPACE.sample(3, np.random.default_rng(0))
TEXTS = [",".join(map(str, row)) for row in ROWS]
MACRO = load_space("nas-bench-macro")
MACRO_HEADER = ",".join(decision.name for decision in MACRO.decisions) + ",accuracy"
MACRO_OPS = MACRO.decisions[0].choices


def table(folder: Path, *lines: str, header: str = "tokens,accuracy") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def choices_line(row: Tokens, accuracy: float) -> str:
    """A line of a table with a column for each decision of NAS-Bench-Macro."""
    return ",".join([*(str(MACRO_OPS[token]) for token in row), str(accuracy)])


# --- Looking up ------------------------------------------------------------------------------


def test_a_table_gives_back_what_stands_in_it(tmp_path: Path) -> None:
    source = TableAccuracy(table(tmp_path, f'"{TEXTS[0]}",0.5', f'"{TEXTS[1]}",0.75'), SPACE)
    results = dict(source.evaluate(decoded_candidates(SPACE, ROWS[[1, 0]])))
    assert [results[index].accuracy for index in (0, 1)] == [0.75, 0.5]
    assert source.noise == 0.0


def test_a_network_that_is_not_in_the_table_fails_alone(tmp_path: Path) -> None:
    source = TableAccuracy(table(tmp_path, f'"{TEXTS[0]}",0.5'), SPACE)
    results = dict(source.evaluate(decoded_candidates(SPACE, ROWS[[2, 0]])))
    assert results[0].accuracy is None
    assert "no row for it; add the row" in results[0].failure
    assert TEXTS[2] not in results[0].failure  # the same for all, so that a result counts them
    assert "table-surrogate:" in results[0].failure
    assert results[1].accuracy == 0.5


def test_the_description_of_a_table_changes_with_its_content(tmp_path: Path) -> None:
    before = TableAccuracy(table(tmp_path, f'"{TEXTS[0]}",0.5'), SPACE).description
    after = TableAccuracy(table(tmp_path, f'"{TEXTS[0]}",0.6'), SPACE).description
    assert before != after


@given(st.lists(st.integers(0, 2), min_size=8, max_size=8), st.floats(0.0, 1.0))
def test_columns_of_decisions_say_what_tokens_say(
    tmp_path_factory: pytest.TempPathFactory, row: list[int], accuracy: float
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    named = AccuracyTable(
        table(folder, choices_line(np.array(row), accuracy), header=MACRO_HEADER), MACRO
    )
    text = ",".join(map(str, row))
    by_tokens = AccuracyTable(table(folder, f'"{text}",{accuracy!r}'), MACRO)
    assert named.accuracy == by_tokens.accuracy == {MACRO.decode(row): accuracy}


def test_numbers_may_be_written_as_any_number(tmp_path: Path) -> None:
    space = load_space("accel-nasbench")
    header = ",".join(["note", *(decision.name for decision in space.decisions), "accuracy"])
    path = table(tmp_path, "x," + "4, 5.0,3,0.250," * 7 + "0.6", header=header)
    network = space.decode([1, 1, 2, 1] * 7)
    assert AccuracyTable(path, space).accuracy == {network: 0.6}


def test_rows_are_the_tokens_that_networks_are_read_back_as(tmp_path: Path) -> None:
    path = table(tmp_path, '"1,0,0,0,0,0,0,1",0.5', '"0,0,0,0,0,0,0,0",0.25')
    tokens, accuracy = AccuracyTable(path, MACRO).rows()
    assert tokens.tolist() == [[1, 0, 0, 0, 0, 0, 1, 0], [0] * 8]
    assert accuracy.tolist() == [0.5, 0.25]


# --- What is wrong with a table --------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'"{TEXTS[0]}",75.2', r"row 2: accuracy is 75\.2, not a fraction.*Divide percentages"),
        (f'"{TEXTS[0]}",-0.1', r"accuracy is -0\.1, not a fraction"),
        (f'"{TEXTS[0]}",nan', "accuracy is nan, not a fraction"),
        (f'"{TEXTS[0]}",', "accuracy is '', not a number"),
        (f'"{TEXTS[0]}"', "row 2 is too short: it has no accuracy"),
        (f"{TEXTS[0]},0.5", "row 2 is too long. Quote the tokens"),
        ('"0,1",0.5', "needs 42 whole-number tokens"),
        ('"a,b",0.5', "tokens 'a,b'"),
        (f'"{TEXTS[0][:-1]}9",0.5', "must lie in"),
        (f'"{TEXTS[0]}",0.5\n"{TEXTS[0]}",0.6', "row 3: the network .* is in the file twice"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        AccuracyTable(table(tmp_path, line), SPACE)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("identity," * 7 + "mbconv9,0.5", r"row 2: layer8 is 'mbconv9', but only identity, mb"),
        ("identity," * 7 + ",0.5", r"row 2: layer8 is '', but only"),
        ("identity," * 8 + "93.1", r"row 2: accuracy is 93\.1, .*Divide percentages by 100"),
        (
            "identity," * 8 + "0.5\n" + "identity," * 8 + "0.5",
            r"row 3: the network 0,0,0,0,0,0,0,0 is in the file twice",
        ),
    ],
)
def test_wrong_choices_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        AccuracyTable(table(tmp_path, line, header=MACRO_HEADER), MACRO)


def test_two_rows_of_one_network_are_refused(tmp_path: Path) -> None:
    lines = ('"0,0,1,0,1,0,0,0",0.5', '"0,0,1,1,0,0,0,0",0.5')
    with pytest.raises(
        SearchError, match="row 3: the network 0,0,1,1,0,0,0,0 is in the file twice"
    ):
        AccuracyTable(table(tmp_path, *lines), MACRO)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    expected = r"expected the columns tokens and accuracy, or accuracy and one for each decision \("
    for header in ("network,accuracy", "tokens,top1", MACRO_HEADER.replace("accuracy", "top1")):
        with pytest.raises(SearchError, match=expected):
            AccuracyTable(table(tmp_path, "1,0.5", header=header), MACRO)
    with pytest.raises(SearchError, match="has no column layer8, but other decisions of space nas"):
        AccuracyTable(table(tmp_path, "0.5", header=MACRO_HEADER.replace("layer8,", "")), MACRO)


def test_files_that_are_no_table_are_named(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="Cannot read accuracies from"):
        AccuracyTable(tmp_path / "missing.csv", SPACE)
    with pytest.raises(SearchError, match="has no rows"):
        AccuracyTable(table(tmp_path), SPACE)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(SearchError, match="expected the columns"):
        AccuracyTable(empty, SPACE)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SearchError, match="Cannot read"):
        AccuracyTable(binary, SPACE)
