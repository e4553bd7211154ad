"""How long searches take whose accuracies and latencies cost nothing."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from _results import Result

import mnaslat
from mnaslat.predictors import load_predictor, pretrained_path
from mnaslat.search import (
    Candidate,
    CandidateResult,
    RewardSettings,
    Search,
    SearchProblem,
    SearchResult,
    SearchSettings,
    SearchStore,
    TableAccuracy,
    tokens_text,
)

_PHONE = "pixel4-cpu1-fp32"  # of the predictor, which is compiled for the space
_TARGET_MS = 50.0
_N, _N_ASSISTED = 8000, 2000


class _MadeUpAccuracy:
    """Grows with the multiply-adds; keeps what it was asked as a table."""

    description = "made up: multiply-adds"
    noise = 0.0

    def __init__(self) -> None:
        self.table: dict[str, float] = {}

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        for index, candidate in enumerate(candidates):
            accuracy = 1.0 - 1.0 / (2.0 + mnaslat.lower(candidate.architecture).madds / 1e8)
            self.table[tokens_text(candidate.tokens)] = accuracy
            yield index, CandidateResult(accuracy=accuracy)


def speed() -> list[Result]:
    """8,000 samples of PPO with a table as accuracy; the same seed again; and with the model.

    The accuracies are made up (only time and repeatability are looked at): the first run of two
    writes down the table that the second one reads.
    """
    torch.set_num_threads(1)
    settings = SearchSettings(
        reward=RewardSettings.hard(_TARGET_MS), n_samples=_N, seed=0, surrogate=False
    )
    result, wall_s, same = _twice(settings)
    note = f"of which the searcher {result.searcher_s:.1f} s; {result.n_networks} networks"
    assisted = replace(settings, n_samples=_N_ASSISTED, surrogate=True)
    assisted_result, assisted_s, _ = _twice(assisted)
    free = "table accuracy, compiled predictor"
    assisted_note = f"of which the searcher {assisted_result.searcher_s:.1f} s"
    return [
        Result(f"PPO alone, fast, {_N:,} samples, {free}", "s, one thread", wall_s, 10, "lower",
               (0,), note),
        Result("the same seed again", f"the same {_N:,} evaluations", float(same), 1, "equal",
               (0,)),
        Result(f"default, {_N_ASSISTED:,} samples, {free}", "s, one thread", assisted_s, None,
               "lower", (0,), assisted_note),
    ]  # fmt: skip


def _twice(settings: SearchSettings) -> tuple[SearchResult, float, bool]:
    """The second run, what it took, and whether it made the same evaluations as the first."""
    space = mnaslat.load_space("mnasnet")
    predictor = load_predictor(pretrained_path(_PHONE))
    made_up = _MadeUpAccuracy()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        for name in ("first", "second"):
            source = made_up if name == "first" else TableAccuracy(table, space)
            problem = SearchProblem(space=space, accuracy=source, predictor=predictor)
            started = time.perf_counter()
            with Search(problem, settings, Path(folder) / name) as search:
                result = search.run()
            wall_s = time.perf_counter() - started
            if name == "first":
                lines = [f'"{tokens}",{accuracy!r}' for tokens, accuracy in made_up.table.items()]
                table.write_text("\n".join(["tokens,accuracy", *lines]) + "\n")
        evaluations = []
        for name in ("first", "second"):
            store = SearchStore(Path(folder) / name / "search.sqlite")
            evaluations.append(store.evaluations())
            store.close()
    return result, wall_s, evaluations[0] == evaluations[1]
