"""A model of a table answers for all networks, and says how wrong it is."""

from pathlib import Path

import numpy as np
import pytest

from mnaslat.arrays import Tokens
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import decoded_candidates
from mnaslat.search.accuracy.table_surrogate import TableSurrogateAccuracy
from mnaslat.space import load_space

SPACE = load_space("accel-nasbench", resolution=32, n_classes=10)


def made_up(tokens: Tokens) -> np.ndarray:
    """Accuracies that a ridge on pairs can learn, shape ``(n,)``."""
    worth = np.random.default_rng(0).normal(0.0, 0.01, size=(len(SPACE.decisions), 4))
    single = np.take_along_axis(worth, tokens.T, axis=1).sum(axis=0)
    accuracy: np.ndarray = 0.6 + single + 0.02 * (tokens[:, 0] == 2) * (tokens[:, 2] == 1)
    return accuracy


def write(folder: Path, tokens: Tokens, accuracy: np.ndarray) -> Path:
    path = folder / "table.csv"
    lines = [
        f'"{",".join(map(str, row))}",{value}' for row, value in zip(tokens, accuracy, strict=True)
    ]
    path.write_text("\n".join(["tokens,accuracy", *lines]))
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 400 networks with noise of 0.002."""
    rng = np.random.default_rng(1)
    tokens = SPACE.sample(400, rng)
    accuracy = made_up(tokens) + rng.normal(0.0, 0.002, 400)
    return write(tmp_path_factory.mktemp("tables"), tokens, accuracy)


@pytest.fixture(scope="module")
def source(path: Path) -> TableSurrogateAccuracy:
    """A model of that table."""
    return TableSurrogateAccuracy(path, SPACE)


def test_networks_that_are_not_in_the_table_are_answered(source: TableSurrogateAccuracy) -> None:
    rows = SPACE.sample(200, np.random.default_rng(2))
    results = dict(source.evaluate(decoded_candidates(SPACE, rows)))
    found = np.array([results[index].accuracy for index in range(200)])
    # As wrong as it says, against the truth without noise even less.
    assert np.sqrt(((found - made_up(rows)) ** 2).mean()) <= 1.1 * source.noise
    assert np.corrcoef(found, made_up(rows))[0, 1] > 0.95


def test_held_out_errors_stand_in_the_description(source: TableSurrogateAccuracy) -> None:
    assert source.model.startswith("ridge on pairs")
    assert source.held_out.r2 > 0.95
    assert 0.002 < source.held_out.mae < source.held_out.rmse == source.noise < 0.01
    assert f"held-out MAE {source.held_out.mae:.4f}, RMSE" in source.description
    assert source.description.startswith("table-surrogate table.csv sha256:")
    assert "of 400 networks" in source.description


def test_trees_are_chosen_where_they_are_better(tmp_path: Path) -> None:
    tokens = SPACE.sample(400, np.random.default_rng(3))
    # Four decisions together: no sum of pairs.
    accuracy = 0.5 + 0.3 * ((tokens[:, :4] > 0).sum(axis=1) >= 3)
    assert TableSurrogateAccuracy(write(tmp_path, tokens, accuracy), SPACE).model == "boosted trees"


def test_the_same_table_gives_the_same_answers(path: Path, source: TableSurrogateAccuracy) -> None:
    again = TableSurrogateAccuracy(path, SPACE)
    asked = decoded_candidates(SPACE, SPACE.sample(1, np.random.default_rng(4)))
    assert again.description == source.description
    assert list(again.evaluate(asked)) == list(source.evaluate(asked))


def test_answers_are_fractions_and_progress_is_told(tmp_path: Path) -> None:
    tokens = SPACE.sample(40, np.random.default_rng(5))
    accuracy = np.where(tokens[:, 0] == 2, 1.0, 0.0)
    reported: list[tuple[int, int]] = []
    source = TableSurrogateAccuracy(
        write(tmp_path, tokens, accuracy), SPACE, progress=lambda *steps: reported.append(steps)
    )
    assert reported == [(step, 15) for step in range(1, 16)]
    rows = SPACE.sample(200, np.random.default_rng(6))
    results = list(source.evaluate(decoded_candidates(SPACE, rows)))
    assert all(result.accuracy is not None for _, result in results)
    assert list(source.evaluate([])) == []


def test_a_table_of_few_networks_is_refused(tmp_path: Path) -> None:
    tokens = SPACE.sample(19, np.random.default_rng(7))
    with pytest.raises(SearchError, match="has 19 networks; a model of it needs 20. Add rows"):
        TableSurrogateAccuracy(write(tmp_path, tokens, made_up(tokens)), SPACE)
