"""How near searches come to the best networks known, on accuracies that were really trained.

Regret: how far the best network found so far is below the best known reward, in per cent of it.
Gap: what a search's front lacks of the best known front's area, in per cent. Every proposed network
counts as an evaluation. Reads ``shared/data`` beside the checkout; without it, nothing is written.
Finished searches stay in ``bench-workspace`` while neither the judges nor the search's code change.

The default searcher is run for 2,000 evaluations at most: its regret at 8,000 is at most that, for
regret never grows.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import numpy as np
from _best_known import best_known, hypervolume_gap
from _judges import data_folder, load_judge, regrets
from _results import Result, write_results
from _speed import speed
from _trials import Trial, range_ms, run_trials

# Settings were chosen with others (docs/decisions.md).
SEEDS = tuple(range(30, 40))
_PEERS: Mapping[str, Mapping[str, object]] = {
    "random": {"searcher": "random"},
    "evolution": {"searcher": "evolution"},
    "evolution, 10 of 20 meet": {"searcher": "evolution", "population": (20, 10)},
    "optuna-nsga2": {"searcher": "optuna-nsga2"},
    "optuna-tpe": {"searcher": "optuna-tpe"},
}
_SLOW = "optuna-tpe"  # its time grows with the square of the evaluations ...
_SLOW_SEEDS = SEEDS[:3]  # ... so fewer seeds, and
_LONGEST = 2000  # evaluations, as for the default


def assisted() -> list[Result]:
    """The default: PPO, with a model of the accuracies beside it."""
    results = []
    for judge, task, goals in (
        ("anb", "soft", {250: 1.5, 500: 0.6, 1000: 0.3, 2000: 0.2}),
        ("anb", "p20", {500: 1.0, 2000: 0.4, 8000: 0.1}),
        ("anb", "p50", {500: 1.0, 2000: 0.4, 8000: 0.1}),
        ("anb-trees", "p20", {500: 1.0, 2000: 0.4, 8000: 0.1}),
        ("macro", "p20", {250: 0.03, 500: 0.01}),
        ("macro", "p50", {250: 0.03, 500: 0.01}),
        ("anb-trees", "soft", {250: 1.5, 500: 0.6, 1000: 0.3, 2000: 0.2}),
    ):
        results += _regrets("default", judge, task, goals, {})
    return results


def alone() -> list[Result]:
    """PPO without a model; the paper's settings beside it."""
    results = []
    for preset in ("fast", "paper"):
        for task, n, goal in (("soft", 2000, 0.35), ("p20", 8000, 0.2), ("p50", 8000, 0.2)):
            options = {"preset": preset, "surrogate": False}
            wanted = goal if preset == "fast" else None  # the paper's is reported as it is
            results += _regrets(f"PPO alone, {preset}", "anb", task, {n: wanted}, options)
    return results


def peers() -> list[Result]:
    """Other searchers on the same problems; the goal is the default's figure beside theirs."""
    results = []
    for task, budgets in (
        ("soft", (250, 500, 1000, 2000)),
        ("p20", (500, 2000, 8000)),
        ("p50", (500, 2000, 8000)),
    ):
        for searcher, options in _PEERS.items():
            seeds = _SLOW_SEEDS if searcher == _SLOW else SEEDS
            kept = [n for n in budgets if searcher != _SLOW or n <= _LONGEST]
            ours = np.mean(_at("anb", task, kept, {}, seeds), axis=0)
            theirs = np.array(_at("anb", task, kept, options, seeds))
            for place, n in enumerate(kept):
                found = theirs[:, place]
                results.append(
                    Result(f"{searcher}, anb {task}, {n:,} evaluations", "regret, %",
                           float(found.mean()), float(ours[place]), "higher", seeds,
                           f"+-{stdev(found):.2g}; goal: the default is as good or better")
                )  # fmt: skip
    return results


def fronts() -> list[Result]:
    """One search for a whole range of targets."""
    results = []
    for name, goal in (("anb", 2.5), ("macro", 0.02), ("anb-trees", 2.5)):
        judge = load_judge(name)
        known = best_known(judge)
        for task in ("front", "wide front"):
            trials = [Trial(judge=name, task=task, n=2000, seed=seed) for seed in SEEDS]
            gaps = [hypervolume_gap(judge, known, tokens) for tokens in run_trials(trials)]
            low, high = range_ms(judge, task)
            note = f"+-{stdev(gaps):.2g}; worst {max(gaps):.2g}"
            if task == "front":
                note += "; the front's fast end lies outside"
            results.append(
                Result(f"one run for {low:.3g} to {high:.3g}, {name}, 2,000 evaluations",
                       "hypervolume gap, %", fmean(gaps),
                       goal if task == "wide front" else None, "lower", SEEDS, note)
            )  # fmt: skip
    return results


def _regrets(
    who: str,
    judge: str,
    task: str,
    goals: Mapping[int, float | None],
    options: Mapping[str, object],
) -> list[Result]:
    budgets = list(goals)
    found = _at(judge, task, budgets, options)
    results = []
    for place, n in enumerate(budgets):
        column = [each[place] for each in found]
        note = f"+-{stdev(column):.2g}; worst {max(column):.2g}"
        if not options and n > _LONGEST:
            note += f"; at most this: the regret at {_LONGEST:,}"
        results.append(
            Result(f"{who}, {judge} {task}, {n:,} evaluations", "regret, %", fmean(column),
                   goals[n], "lower", SEEDS, note)
        )  # fmt: skip
    return results


def _at(
    judge_name: str,
    task: str,
    budgets: Sequence[int],
    options: Mapping[str, object],
    seeds: Sequence[int] = SEEDS,
) -> list[list[float]]:
    """Regrets of each seed at each budget; without options, of the default searcher."""
    n = max(budgets) if options else min(max(budgets), _LONGEST)
    trials = [
        Trial(judge=judge_name, task=task, n=n, seed=seed, **options)  # type: ignore[arg-type]
        for seed in seeds
    ]
    judge = load_judge(judge_name)
    best = best_known(judge).reward[task]
    within = [min(budget, n) for budget in budgets]
    return [
        regrets(best, np.asarray(judge.rewards(tokens, task)), within)
        for tokens in run_trials(trials)
    ]


def main() -> None:
    """Run everything and write the results."""
    if not data_folder().is_dir():
        print(f"No data in {data_folder()}; benchmarks/results/search.* stay as they are.")
        return
    results = []
    for part in (speed, fronts, alone, assisted, peers):
        found = part()
        for result in found:
            print(f"{result.task}: {result.value:.4g} (goal {result.goal})", flush=True)
        results += found
    write_results("search", results)


if __name__ == "__main__":
    main()
