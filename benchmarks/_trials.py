"""Searches of the judges' spaces, each kept on disk so that an interrupted benchmark goes on."""

import ast
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from _arrays import Tokens
from _best_known import best_known
from _judges import Judge, load_judge
from numpy.typing import NDArray

import mnaslat
import mnaslat.search
import mnaslat.space
from mnaslat.search import EvolutionSearcher, Search, Searcher, SearchSettings, SearchStore

_KEPT = Path(__file__).resolve().parents[1] / "bench-workspace" / "search"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One search.

    Attributes:
        judge: Of the accuracies and latencies.
        task: ``soft``, ``p20`` or ``p50``; ``front`` searches the judge's range of targets, and
            ``wide front`` one that begins a fifth above the fastest network known.
        n: Evaluations.
        seed: Of the search.
        searcher: By the name of ``mnaslat search --searcher``.
        preset: Of the controller.
        surrogate: Whether a model of the accuracies helps.
        population: Of evolution, and how many of it meet; None: the published 100 and 25.
    """

    judge: str
    task: str
    n: int
    seed: int
    searcher: str = "ppo"
    preset: str = "fast"
    surrogate: bool = True
    population: tuple[int, int] | None = None


def run_trials(trials: Sequence[Trial]) -> list[Tokens]:
    """The networks that each proposed, in order; one process a core."""
    missing = [trial for trial in trials if not _file(trial).exists()]
    for name in dict.fromkeys(trial.judge for trial in missing):
        load_judge(name)  # fails here rather than in a worker
    n_workers = min(len(missing), os.cpu_count() or 1)
    if missing:
        with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as workers:
            for number, trial in enumerate(workers.map(_run, missing), start=1):
                print(f"  {number}/{len(missing)} {trial}", flush=True)
    return [np.asarray(np.load(_file(trial), allow_pickle=False)) for trial in trials]


def range_ms(judge: Judge, task: str) -> tuple[float, float]:
    """The targets of a front."""
    low, high = judge.range_ms
    return (
        (1.2 * min(best_known(judge).front_latency_ms), high)
        if task == "wide front"
        else (low, high)
    )


def _settings(trial: Trial) -> SearchSettings:
    judge = load_judge(trial.judge)
    in_range = trial.task.endswith("front")
    return SearchSettings(
        reward=judge.reward_settings("p50" if in_range else trial.task),
        target_ms_range=range_ms(judge, trial.task) if in_range else None,
        n_samples=trial.n,
        seed=trial.seed,
        searcher=trial.searcher,
        preset=trial.preset,
        surrogate=trial.surrogate,
    )


def _run(trial: Trial) -> Trial:
    torch.set_num_threads(1)
    judge, settings = load_judge(trial.judge), _settings(trial)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with Search(judge.problem(), settings, run, searcher=_searcher(trial)) as search:
            search.run()
        store = SearchStore(run / "search.sqlite")
        try:
            rows = [evaluation.tokens for evaluation in store.evaluations()]
        finally:
            store.close()
    tokens: NDArray[np.int64] = np.array(rows).astype(np.int64)
    file = _file(trial)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.stem}.{os.getpid()}.npy")
    np.save(partial, tokens, allow_pickle=False)
    partial.replace(file)
    return trial


def _searcher(trial: Trial) -> Searcher | None:
    """Where the settings of a search do not name it."""
    if trial.population is None:
        return None
    population, sample = trial.population
    return EvolutionSearcher(seed=trial.seed, population=population, sample=sample)


def _file(trial: Trial) -> Path:
    """Another one as soon as the trial, its settings, the judge or the search's code is another."""
    settings = _settings(trial)
    reported = [
        asdict(trial),
        settings.n_samples,
        settings.identity(),
        load_judge(trial.judge).digest,
        code_digest(),
    ]
    return _KEPT / f"{hashlib.sha256(json.dumps(reported).encode()).hexdigest()[:24]}.npy"


@functools.cache
def code_digest() -> str:
    """Changes with what the code of searches does, not with what it says about itself."""
    search, space = (Path(str(each.__file__)).parent for each in (mnaslat.search, mnaslat.space))
    files = [*sorted(search.rglob("*.py")), *sorted(space.glob("*.py"))]
    files.append(space.parent / "architecture.py")
    texts = [doing(file.read_text("utf-8")) for file in files]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def doing(source: str) -> str:
    """Python code without comments, formatting and docstrings, as text to compare."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
