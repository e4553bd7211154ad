"""Controller, PPO, reward, accuracy sources, run control.

Public names are loaded when they are first used: torch comes only with what needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnaslat.search.accuracy import AccuracySource as AccuracySource
    from mnaslat.search.accuracy import ChildResult as ChildResult
    from mnaslat.search.accuracy import accuracy_source as accuracy_source
    from mnaslat.search.artifacts import load_winner as load_winner
    from mnaslat.search.candidates import Candidate as Candidate
    from mnaslat.search.clock import SearchProgress as SearchProgress
    from mnaslat.search.pareto import pareto_front as pareto_front
    from mnaslat.search.problem import Predictor as Predictor
    from mnaslat.search.problem import SearchProblem as SearchProblem
    from mnaslat.search.problem import Validator as Validator
    from mnaslat.search.proxy import ProxyAccuracy as ProxyAccuracy
    from mnaslat.search.proxy import ProxySettings as ProxySettings
    from mnaslat.search.rank_correlation import rank_correlation as rank_correlation
    from mnaslat.search.result import SearchResult as SearchResult
    from mnaslat.search.result import Winner as Winner
    from mnaslat.search.reward import RewardSettings as RewardSettings
    from mnaslat.search.reward import mnasnet_reward as mnasnet_reward
    from mnaslat.search.run import Search as Search
    from mnaslat.search.searcher import Searcher as Searcher
    from mnaslat.search.searcher import Seen as Seen
    from mnaslat.search.settings import SearchSettings as SearchSettings
    from mnaslat.search.supernet import SupernetAccuracy as SupernetAccuracy
    from mnaslat.search.supernet import SupernetSettings as SupernetSettings
    from mnaslat.search.training import TrainingSettings as TrainingSettings
    from mnaslat.search.training import train as train

_HOMES = {
    "rank_correlation": "rank_correlation",
    "train": "training",
    "TrainingSettings": "training",
    "ProxySettings": "proxy",
    "ProxyAccuracy": "proxy",
    "AccuracySource": "accuracy",
    "Candidate": "candidates",
    "ChildResult": "accuracy",
    "Predictor": "problem",
    "RewardSettings": "reward",
    "Search": "run",
    "SearchProblem": "problem",
    "SearchProgress": "clock",
    "SearchResult": "result",
    "SearchSettings": "settings",
    "Searcher": "searcher",
    "Seen": "searcher",
    "SupernetAccuracy": "supernet",
    "SupernetSettings": "supernet",
    "Validator": "problem",
    "Winner": "result",
    "accuracy_source": "accuracy",
    "load_winner": "artifacts",
    "mnasnet_reward": "reward",
    "pareto_front": "pareto",
}

__all__ = [*_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnaslat.search' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mnaslat.search.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
