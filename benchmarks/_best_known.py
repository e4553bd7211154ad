"""The best rewards and fronts that a judge is known to have: what regrets and gaps refer to.

Of a small space, all networks are looked at. Elsewhere many local searches, which change any two
decisions at once, ask the judge itself some millions of times. Found once and kept in
``bench-workspace/judges.json``.
"""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _arrays import Floats, Tokens
from _judges import TASKS, Judge, all_tokens
from numpy.typing import NDArray

from mnaslat.search import pareto_front

_FILE = Path(__file__).resolve().parents[1] / "bench-workspace" / "judges.json"
_VERSION = 2  # of the search below: another one may find more
_SMALL = 100_000  # networks that are all looked at
_N_RESTARTS = 60
_MOST_STEPS = 60
_N_TARGETS, _N_ROUNDS = 40, 4  # of the front
_N_PASSES = 6  # over the front's neighbours, at most
_KEPT = 400  # of the networks met in a step, for the front

Score = Callable[[Tokens], Floats]


@dataclass(frozen=True)
class BestKnown:
    """What a judge is known to have.

    Attributes:
        reward: By task.
        tokens: A network with it, by task.
        n_found: How many of the local searches ended there; of a small space, of all networks.
        front_accuracy: Of the best known front, from the fastest network to the slowest.
        front_latency_ms: The same.
    """

    reward: Mapping[str, float]
    tokens: Mapping[str, list[int]]
    n_found: Mapping[str, int]
    front_accuracy: list[float]
    front_latency_ms: list[float]


def best_known(judge: Judge, file: Path = _FILE) -> BestKnown:
    """Look it up, or find it: a minute for a judge of ridges, some for one of trees."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    key = f"{judge.name} {judge.digest} version {_VERSION}"
    if key not in kept:
        found = _all_looked_at(judge) if judge.space.size <= _SMALL else _searched(judge)
        kept[key] = asdict(found)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1) + "\n")
    return BestKnown(**kept[key])


def hypervolume(accuracy: Floats, latency_ms: Floats, worst: tuple[float, float]) -> float:
    """Area that the networks dominate: between their front and the worst corner.

    Args:
        accuracy: Shape ``(n,)``.
        latency_ms: Shape ``(n,)``.
        worst: The accuracy and the latency where the area ends.

    >>> hypervolume(np.array([0.5, 0.7]), np.array([1.0, 3.0]), (0.4, 5.0))  # 4 x 0.1 + 2 x 0.2
    0.8
    """
    inside = (accuracy >= worst[0]) & (latency_ms <= worst[1])
    accuracy, latency_ms = accuracy[inside], latency_ms[inside]
    front = pareto_front(accuracy, latency_ms)
    until_ms = np.append(latency_ms[front][1:], worst[1])
    area = ((until_ms - latency_ms[front]) * (accuracy[front] - worst[0])).sum()
    return round(float(area), 12)


def hypervolume_gap(judge: Judge, known: BestKnown, tokens: Tokens) -> float:
    """What evaluated networks lack of the best known front's area, in per cent."""
    found = hypervolume(judge.accuracy(tokens), judge.latency_ms(tokens), judge.worst)
    best = hypervolume(
        np.array(known.front_accuracy), np.array(known.front_latency_ms), judge.worst
    )
    return 100.0 * (1.0 - found / best)


# --- Finding it ------------------------------------------------------------------------------


def _all_looked_at(judge: Judge) -> BestKnown:
    rows = all_tokens(judge.space)
    rewards = {task: judge.rewards(rows, task) for task in TASKS}
    accuracy, latency_ms = judge.accuracy(rows), judge.latency_ms(rows)
    front = pareto_front(accuracy, latency_ms)
    return BestKnown(
        reward={task: float(each.max()) for task, each in rewards.items()},
        tokens={task: rows[int(each.argmax())].tolist() for task, each in rewards.items()},
        n_found={task: int((each == each.max()).sum()) for task, each in rewards.items()},
        front_accuracy=accuracy[front].tolist(),
        front_latency_ms=latency_ms[front].tolist(),
    )


def _searched(judge: Judge) -> BestKnown:
    rng = np.random.default_rng(0)
    moves = _pair_moves(judge.space.n_choices)
    reward, tokens, n_found = {}, {}, {}
    for task in TASKS:
        ends: list[tuple[float, Tokens]] = []
        for number in range(_N_RESTARTS):
            row = judge.space.sample(1, rng)[0]
            if number % 3 == 2:  # from near the best so far
                best = max(ends, key=lambda end: end[0])[1]
                row = np.where(rng.random(len(row)) < 0.2, row, best)
            ends.append(_climb(functools.partial(judge.rewards, task=task), row, moves))
        reward[task], best = max(ends, key=lambda end: end[0])
        tokens[task] = best.tolist()
        n_found[task] = sum(end[0] > reward[task] - 1e-9 for end in ends)
    front = _Front(judge)
    front.add(np.array(list(tokens.values())))
    _search_front(judge, front, moves, rng)
    return BestKnown(
        reward=reward,
        tokens=tokens,
        n_found=n_found,
        front_accuracy=front.accuracy.tolist(),
        front_latency_ms=front.latency_ms.tolist(),
    )


def _pair_moves(n_choices: Tokens) -> NDArray[np.int64]:
    """Every choice together with every choice of a later decision, shape ``(moves, 4)``."""
    choices = [(place, token) for place, n in enumerate(n_choices) for token in range(n)]
    return np.array(
        [(*first, *second) for first in choices for second in choices if first[0] < second[0]]
    )


def _around(row: Tokens, moves: NDArray[np.int64]) -> Tokens:
    """What a network becomes with each of the moves, shape ``(moves, decisions)``."""
    around = np.repeat(row[None], len(moves), axis=0)
    for place, token in ((0, 1), (2, 3)):
        np.put_along_axis(around, moves[:, [place]], moves[:, [token]], axis=1)
    return around


def _climb(score: Score, row: Tokens, moves: NDArray[np.int64]) -> tuple[float, Tokens]:
    """Always to the best neighbour, until none is better."""
    best = float(score(row[None])[0])
    for _ in range(_MOST_STEPS):
        around = _around(row, moves)
        scores = score(around)
        if scores.max() <= best + 1e-12:
            break
        best, row = float(scores.max()), around[int(scores.argmax())]
    return best, row


class _Front:
    """The best networks met so far, from the fastest to the slowest."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.tokens = np.zeros((0, len(judge.space.decisions)), dtype=np.int64)
        self.accuracy, self.latency_ms = np.zeros(0), np.zeros(0)

    def add(self, tokens: Tokens) -> None:
        """Take in networks; the dominated ones are forgotten."""
        tokens = np.concatenate([self.tokens, tokens])
        accuracy = np.concatenate([self.accuracy, self._judge.accuracy(tokens[len(self.tokens) :])])
        latency_ms = self._judge.latency_ms(tokens)
        kept = pareto_front(accuracy, latency_ms)
        self.tokens, self.accuracy = tokens[kept], accuracy[kept]
        self.latency_ms = latency_ms[kept]


def _search_front(
    judge: Judge, front: _Front, moves: NDArray[np.int64], rng: np.random.Generator
) -> None:
    """Climb to many targets, each time from the front as it is."""
    start = judge.space.sample(1, rng)[0]
    lowest_ms = -_climb(lambda rows: -judge.latency_ms(rows), start, moves)[0]
    targets_ms = np.geomspace(1.01 * lowest_ms, judge.worst[1], _N_TARGETS)
    for number in range(_N_ROUNDS):
        for target_ms in targets_ms[:: 1 if number % 2 == 0 else -1]:
            target_ms = target_ms * float(np.exp(rng.normal(0.0, 0.02)))
            nearest = max(int(np.searchsorted(front.latency_ms, target_ms)) - 1, 0)
            row = front.tokens[nearest]
            if number:
                drawn = judge.space.sample(1, rng)[0]
                row = np.where(rng.random(len(row)) < 0.15 * (number - 1), drawn, row)
            _climb(_collecting(judge, front, target_ms), row, moves)
    _search_around(front, moves)


def _search_around(front: _Front, moves: NDArray[np.int64]) -> None:
    """Take in what is near the front, until that changes nothing (Pareto local search)."""
    done: set[bytes] = set()
    for _ in range(_N_PASSES):
        new = [row for row in front.tokens if row.tobytes() not in done]
        for row in new:
            done.add(row.tobytes())
            front.add(_around(row, moves))


def _collecting(judge: Judge, front: _Front, target_ms: float) -> Score:
    """The hard reward; what it meets on its way is offered to the front."""

    def score(rows: Tokens) -> Floats:
        share = judge.latency_ms(rows) / target_ms
        rewards = judge.accuracy(rows) / np.maximum(share, 1.0)
        front.add(rows[np.argsort(-rewards)[:_KEPT]])
        return rewards

    return score
