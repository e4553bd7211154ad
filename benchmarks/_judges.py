"""What searches are judged on: accuracies and latencies that were measured, of whole spaces.

``anb``: Accel-NASBench. 5,138 networks trained on ImageNet (13 of them twice), their latency on a
ZCU102. Ridges on pairs of choices, fitted to the authors' training split, answer for the other
1e11 networks; they are taken as the truth. ``anb-trees``: the same with boosted trees for the
accuracy, so that nothing is fitted to the form of one judge. ``macro``: NAS-Bench-Macro, every
network trained on CIFAR-10, multiply-adds as latency: nothing is estimated.

One evaluation is one network that a search proposes, whether it was proposed before or not.
"""

import csv
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
from _arrays import Floats, Tokens
from _phones import DATA
from numpy.typing import NDArray

from mnaslat import Architecture
from mnaslat.search import (
    Candidate,
    CandidateResult,
    PairRidge,
    RewardSettings,
    SearchProblem,
    mnasnet_reward,
)
from mnaslat.space import SearchSpace, load_space

Answers = Callable[[Tokens], Floats]

JUDGES = ("anb", "anb-trees", "macro")
# The soft reward of the paper, and "at most T" at two percentiles of the measured latencies.
TASKS = ("soft", "p20", "p50")
_RIDGE_STRENGTH = 1.0
# Of xgboost; the judge's R2 on the authors' test split is 0.980, the ridge's 0.982.
_TREES = {
    "n_estimators": 1200,
    "max_depth": 4,
    "learning_rate": 0.03,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "min_child_weight": 3,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Answers for every network of a space.

    Attributes:
        name: One of ``JUDGES``.
        space: The networks.
        accuracy: Tokens, shape ``(n, decisions)``, -> fractions, shape ``(n,)``.
        latency_ms: Tokens -> shape ``(n,)``.
        targets_ms: ``p20`` and ``p50``; and of the soft reward, whose regret it does not change.
        range_ms: From the 1st to the 99th percentile of the latencies measured.
        worst: The least accuracy and the largest latency measured: where hypervolumes end.
        digest: Changes with what the judge answers.
    """

    name: str
    space: SearchSpace
    accuracy: Answers = field(repr=False)
    latency_ms: Answers = field(repr=False)
    targets_ms: Mapping[str, float]
    range_ms: tuple[float, float]
    worst: tuple[float, float]
    digest: str

    def reward_settings(self, task: str) -> RewardSettings:
        """The reward of one of ``TASKS``."""
        make = RewardSettings.soft if task == "soft" else RewardSettings.hard
        return make(self.targets_ms[task])

    def rewards(self, tokens: Tokens, task: str) -> Floats:
        """Shape ``(n,)``."""
        settings = self.reward_settings(task)
        return mnasnet_reward(self.accuracy(tokens), self.latency_ms(tokens), settings)

    def problem(self) -> SearchProblem:
        """What a search is given; latencies are exact, and cost no evaluation."""
        accuracy, predictor = _JudgesAccuracy(self), _JudgesLatency(self)
        return SearchProblem(space=self.space, accuracy=accuracy, predictor=predictor)


def regrets(best: float, rewards: Floats, budgets: Sequence[int]) -> list[float]:
    """How far the best of the first evaluations is below the best known reward, in per cent.

    Args:
        best: The best known reward.
        rewards: Of the proposed networks in their order, shape ``(n,)``.
        budgets: Numbers of evaluations, none larger than ``n``.

    >>> [round(each, 9) for each in regrets(0.8, np.array([0.4, 0.6, 0.5]), [1, 3])]
    [50.0, 25.0]
    """
    if max(budgets) > len(rewards):
        raise ValueError(f"Only {len(rewards)} networks were evaluated, not {max(budgets)}.")
    return [100.0 * (1.0 - float(rewards[:budget].max()) / best) for budget in budgets]


@functools.cache
def load_judge(name: str) -> Judge:
    """A judge by name.

    Reads ``shared/data`` beside the checkout, or ``$MNASLAT_DATA``. The ridges take seconds, the
    trees half a minute.

    Raises:
        ValueError: If there is no such judge.
        FileNotFoundError: If the data are not there.
    """
    if name == "macro":
        return _macro()
    if name in JUDGES:
        return _anb(name)
    raise ValueError(f"No judge named {name!r}. Known: {', '.join(JUDGES)}.")


def data_folder() -> Path:
    """Where the published data are."""
    return Path(os.environ.get("MNASLAT_DATA", DATA))


# --- Accel-NASBench --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class AnbTable:
    """What Accel-NASBench published, in its order.

    Attributes:
        tokens: Of the preset ``accel-nasbench``, shape ``(n, decisions)``.
        accuracy: Fractions, shape ``(n,)``.
        latency_ms: On a ZCU102; nan where the table has none, shape ``(n,)``.
        train: Whether a row is in the authors' training split, shape ``(n,)``.
        test: The same of the test split.
        digest: Of table and split.
    """

    tokens: Tokens
    accuracy: Floats
    latency_ms: Floats
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    digest: str


@functools.cache
def anb_table() -> AnbTable:
    """Read the published table."""
    folder = data_folder() / "accel_nasbench"
    content = (folder / "accel_nasbench.csv").read_bytes()
    rows = list(csv.DictReader(content.decode().splitlines()))
    split_content = (folder / "default_split_ids.json").read_bytes()
    split = json.loads(split_content)
    space = load_space("accel-nasbench")
    units = {
        "expansion": ("e", 1.0),
        "kernel": ("k", 1.0),
        "layers": ("l", 1.0),
        "se": ("se", 0.25),
    }
    columns = []
    for decision in space.decisions:
        block, what = decision.name.removeprefix("block").split(".")
        name, unit = units[what]
        column = f"block{int(block) - 1}_{name}"  # theirs count from 0
        columns.append([decision.choices.index(float(row[column]) * unit) for row in rows])
    ids = np.array([int(row["id"]) for row in rows])
    return AnbTable(
        tokens=np.array(columns, dtype=np.int64).T,
        accuracy=np.array([float(row["val_top1"]) for row in rows]) / 100.0,
        latency_ms=np.array([float(row["latency_zcu102.mean"] or "nan") for row in rows]),
        train=np.isin(ids, split["train"]),
        test=np.isin(ids, split["test"]),
        digest=hashlib.sha256(content + split_content).hexdigest()[:16],
    )


def _anb(name: str) -> Judge:
    table, space = anb_table(), load_space("accel-nasbench")
    measured = np.isfinite(table.latency_ms)
    known_ms = table.latency_ms[measured]
    latency_ms = _anb_latency()
    settings: object = _RIDGE_STRENGTH
    if name != "anb":
        settings = [metadata.version("xgboost"), *sorted(_TREES.items())]
    return Judge(
        name=name,
        space=space,
        accuracy=_anb_ridge() if name == "anb" else _anb_trees(),
        latency_ms=latency_ms,
        targets_ms={
            "soft": float(np.median(latency_ms(table.tokens))),
            "p20": float(np.percentile(known_ms, 20)),
            "p50": float(np.percentile(known_ms, 50)),
        },
        range_ms=_range_ms(known_ms),
        worst=(float(table.accuracy.min()), float(known_ms.max())),
        digest=f"{table.digest} {_RIDGE_STRENGTH} {settings}",
    )


def _anb_ridge() -> Answers:
    table = anb_table()
    return _ridge(table.tokens[table.train], table.accuracy[table.train]).predict


@functools.cache
def _anb_latency() -> Answers:
    table = anb_table()
    rows = table.train & np.isfinite(table.latency_ms)
    ridge = _ridge(table.tokens[rows], np.log(table.latency_ms[rows]))
    return lambda tokens: np.exp(ridge.predict(tokens))


def _ridge(tokens: Tokens, targets: Floats) -> PairRidge:
    n_choices = load_space("accel-nasbench").n_choices
    return PairRidge.fit(tokens, targets, n_choices, strength=_RIDGE_STRENGTH)


def _anb_trees() -> Answers:
    from xgboost import XGBRegressor

    table = anb_table()
    model = XGBRegressor(**_TREES, n_jobs=1, random_state=0)
    model.fit(table.tokens[table.train], table.accuracy[table.train])
    booster = model.get_booster()
    return lambda tokens: np.asarray(booster.inplace_predict(tokens), dtype=np.float64)


def _range_ms(known_ms: Floats) -> tuple[float, float]:
    low, high = np.percentile(known_ms, [1, 99])
    return float(low), float(high)


# --- NAS-Bench-Macro -------------------------------------------------------------------------


def _macro() -> Judge:
    content = (data_folder() / "nas_bench_macro" / "nas_bench_macro_cifar10.csv").read_bytes()
    rows = {row["arch"]: row for row in csv.DictReader(content.decode().splitlines())}
    space = load_space("nas-bench-macro")
    names = ["".join(map(str, row)) for row in all_tokens(space)]
    accuracy = np.array([float(rows[name]["mean_acc"]) for name in names]) / 100.0
    mega_madds = np.array([float(rows[name]["flops"]) for name in names]) / 1e6
    places = 3 ** np.arange(len(space.decisions) - 1, -1, -1)
    return Judge(
        name="macro",
        space=space,
        accuracy=lambda tokens: accuracy[tokens @ places],
        latency_ms=lambda tokens: mega_madds[tokens @ places],
        targets_ms={
            "soft": float(np.median(mega_madds)),
            "p20": float(np.percentile(mega_madds, 20)),
            "p50": float(np.percentile(mega_madds, 50)),
        },
        range_ms=_range_ms(mega_madds),
        worst=(float(accuracy.min()), float(mega_madds.max())),
        digest=hashlib.sha256(content).hexdigest()[:16],
    )


def all_tokens(space: SearchSpace) -> Tokens:
    """Every row of a small space, the last decision running fastest."""
    shape = tuple(int(n) for n in space.n_choices)
    return np.stack(np.unravel_index(np.arange(space.size), shape), axis=1)


# --- As a search sees it ---------------------------------------------------------------------


class _JudgesAccuracy:
    noise = 0.0

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @property
    def description(self) -> str:
        return f"judge {self._judge.name} {self._judge.digest}"

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        networks = [candidate.architecture for candidate in candidates]
        for index, accuracy in enumerate(self._judge.accuracy(_tokens(self._judge, networks))):
            yield index, CandidateResult(accuracy=float(accuracy))


class _JudgesLatency:
    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def predict_ms(self, architectures: Sequence[Architecture], /) -> Floats:
        return self._judge.latency_ms(_tokens(self._judge, architectures))

    def compile(self, space: SearchSpace, /) -> Answers:
        if space.name != self._judge.space.name:
            raise ValueError(f"Judge {self._judge.name} knows nothing of space {space.name}.")
        return self._judge.latency_ms

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats, /
    ) -> "_JudgesLatency":
        return self


def _tokens(judge: Judge, architectures: Sequence[Architecture]) -> Tokens:
    rows = [judge.space.encode(architecture) for architecture in architectures]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(judge.space.decisions))
