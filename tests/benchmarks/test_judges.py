"""What the benchmarks judge searches by: regrets, areas under fronts, best known networks."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.arrays import Tokens
from mnaslat.search.accuracy.source import decoded_candidates
from mnaslat.space import load_space

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
_NETWORKS = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 10.0)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[Any, Any]]:
    """``_judges`` and ``_best_known``, which are imported as scripts import them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        yield importlib.import_module("_judges"), importlib.import_module("_best_known")


@pytest.fixture(scope="module")
def judges(modules: tuple[Any, Any]) -> Any:
    """The module."""
    return modules[0]


@pytest.fixture(scope="module")
def best_known(modules: tuple[Any, Any]) -> Any:
    """The module."""
    return modules[1]


def made_up(judges: Any) -> Any:
    """A judge of NAS-Bench-Macro's space whose decisions depend on their neighbours."""
    space = load_space("nas-bench-macro")
    rng = np.random.default_rng(0)
    together = rng.normal(0.0, 0.02, size=(7, 3, 3))
    worth = np.array([0.0, 0.02, 0.03])

    def accuracy(tokens: Tokens) -> Any:
        pairs = together[np.arange(7), tokens[:, :-1], tokens[:, 1:]].sum(axis=1)
        return np.clip(0.6 + worth[tokens].sum(axis=1) + pairs, 0.0, 1.0)

    return judges.Judge(
        name="made up",
        space=space,
        accuracy=accuracy,
        latency_ms=lambda tokens: 1.0 + np.array([0.0, 1.0, 2.5])[tokens].sum(axis=1),
        targets_ms={"soft": 8.0, "p20": 5.0, "p50": 9.0},
        range_ms=(1.0, 2.0),
        worst=(0.3, 21.0),
        digest="0",
    )


def real_judge(judges: Any, name: str) -> Any:
    """A judge of published data, where they are."""
    if not (judges.data_folder() / "nas_bench_macro").exists():
        pytest.skip(f"there are no data in {judges.data_folder()}; set MNASLAT_DATA")
    return judges.load_judge(name)


# --- Regret and area -------------------------------------------------------------------------


def test_regret_worked_out_by_hand(judges: Any) -> None:
    found = judges.regrets(0.8, np.array([0.4, 0.6, 0.5, 0.8]), [1, 2, 3, 4])
    assert found == pytest.approx([50.0, 25.0, 25.0, 0.0])
    with pytest.raises(ValueError, match="Only 4 networks were evaluated, not 5"):
        judges.regrets(0.8, np.zeros(4), [1, 5])


def test_area_worked_out_by_hand(best_known: Any) -> None:
    accuracy, latency_ms = np.array([0.7, 0.5, 0.45, 0.9]), np.array([3.0, 1.0, 2.0, 6.0])
    # 0.1 over the 4 ms from 1 on, 0.2 more over the 2 ms from 3 on; one is dominated, one beyond.
    assert best_known.hypervolume(accuracy, latency_ms, (0.4, 5.0)) == pytest.approx(0.8)


@given(_NETWORKS, _NETWORKS)
def test_more_networks_never_have_less_area(
    best_known: Any, first: list[tuple[float, float]], more: list[tuple[float, float]]
) -> None:
    worst = (0.2, 8.0)
    one, both = (
        best_known.hypervolume(*np.array(networks).T, worst) for networks in (first, first + more)
    )
    assert 0.0 <= one <= both <= 0.8 * 8.0
    assert best_known.hypervolume(*np.array(more + first).T, worst) == both


# --- Best known ------------------------------------------------------------------------------


def test_local_searches_find_what_looking_at_all_networks_finds(
    judges: Any, best_known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = made_up(judges)
    exact = best_known.best_known(judge, tmp_path / "exact.json")
    monkeypatch.setattr(best_known, "_SMALL", 0)
    searched = best_known.best_known(judge, tmp_path / "searched.json")
    assert searched.reward == pytest.approx(exact.reward, abs=1e-12)
    areas = [
        best_known.hypervolume(
            np.array(known.front_accuracy), np.array(known.front_latency_ms), judge.worst
        )
        for known in (exact, searched)
    ]
    assert areas[1] == pytest.approx(areas[0], rel=1e-3)
    assert areas[1] <= areas[0]


def test_what_is_known_is_looked_up(judges: Any, best_known: Any, tmp_path: Path) -> None:
    file = tmp_path / "new" / "judges.json"
    judge = made_up(judges)
    known = best_known.best_known(judge, file)
    written = file.stat().st_mtime_ns
    assert best_known.best_known(judge, file) == known
    assert file.stat().st_mtime_ns == written
    for task in judges.TASKS:
        tokens = np.array([known.tokens[task]])
        assert judge.rewards(tokens, task)[0] == pytest.approx(known.reward[task])


def test_the_whole_space_has_no_gap(judges: Any, best_known: Any, tmp_path: Path) -> None:
    judge = made_up(judges)
    known = best_known.best_known(judge, tmp_path / "judges.json")
    rows = judges.all_tokens(judge.space)
    assert best_known.hypervolume_gap(judge, known, rows) == pytest.approx(0.0, abs=1e-9)
    assert best_known.hypervolume_gap(judge, known, rows[:1]) > 10.0


# --- Published data --------------------------------------------------------------------------


def test_macro_is_the_published_table(judges: Any) -> None:
    judge = real_judge(judges, "macro")
    rows = judges.all_tokens(judge.space)
    best = rows[judge.accuracy(rows).argmax()]
    assert judge.space.decode(best) == judge.space.decode([2, 2, 2, 1, 2, 2, 2, 0])
    assert judge.accuracy(best[None])[0] == pytest.approx(0.931267)
    assert judge.latency_ms(best[None])[0] == pytest.approx(85.164544)


@pytest.mark.parametrize("name", ["macro", pytest.param("anb", marks=pytest.mark.slow)])
def test_a_search_is_told_what_the_judge_says(judges: Any, name: str) -> None:
    judge = real_judge(judges, name)
    problem = judge.problem()
    rows = judge.space.sample(20, np.random.default_rng(0))
    networks = [judge.space.decode(row) for row in rows]
    reported = dict(problem.source.evaluate(decoded_candidates(judge.space, rows)))
    assert [reported[index].accuracy for index in range(20)] == judge.accuracy(rows).tolist()
    assert problem.predictor.predict_ms(networks) == pytest.approx(judge.latency_ms(rows))
    assert problem.predictor.compile(judge.space)(rows) == pytest.approx(judge.latency_ms(rows))
    assert dict(problem.source.evaluate([])) == {}


@pytest.mark.slow  # two ridges of 3,000 features
def test_the_ridges_of_accel_nasbench_are_as_good_as_is_claimed(judges: Any) -> None:
    judge, table = real_judge(judges, "anb"), judges.anb_table()
    assert len(table.tokens) == 5138
    assert len(np.unique(table.tokens, axis=0)) == 5125
    wrong = judge.accuracy(table.tokens[table.test]) - table.accuracy[table.test]
    assert 1.0 - wrong.var() / table.accuracy[table.test].var() > 0.98
    rows = table.test & np.isfinite(table.latency_ms)
    log_ms = np.log(table.latency_ms[rows])
    wrong = np.log(judge.latency_ms(table.tokens[rows])) - log_ms
    assert 1.0 - wrong.var() / log_ms.var() > 0.99


def test_an_unknown_judge_is_named(judges: Any) -> None:
    with pytest.raises(ValueError, match="No judge named 'cifar'. Known: anb, anb-trees, macro."):
        judges.load_judge("cifar")
