"""Controller, PPO, reward, accuracy sources, run control.

Public names are loaded when they are first used: torch comes only with what needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnaslat.search.accuracy import AccuracySource as AccuracySource
    from mnaslat.search.accuracy import accuracy_source as accuracy_source
    from mnaslat.search.pareto import pareto_front as pareto_front
    from mnaslat.search.problem import Predictor as Predictor
    from mnaslat.search.problem import SearchProblem as SearchProblem
    from mnaslat.search.problem import Validator as Validator
    from mnaslat.search.result import Candidate as Candidate
    from mnaslat.search.result import SearchResult as SearchResult
    from mnaslat.search.reward import RewardSettings as RewardSettings
    from mnaslat.search.reward import mnasnet_reward as mnasnet_reward
    from mnaslat.search.run import Search as Search
    from mnaslat.search.run import SearchProgress as SearchProgress
    from mnaslat.search.settings import SearchSettings as SearchSettings
    from mnaslat.search.supernet import SupernetAccuracy as SupernetAccuracy
    from mnaslat.search.supernet import SupernetSettings as SupernetSettings

_HOMES = {
    "AccuracySource": "accuracy",
    "Candidate": "result",
    "Predictor": "problem",
    "RewardSettings": "reward",
    "Search": "run",
    "SearchProblem": "problem",
    "SearchProgress": "run",
    "SearchResult": "result",
    "SearchSettings": "settings",
    "SupernetAccuracy": "supernet",
    "SupernetSettings": "supernet",
    "Validator": "problem",
    "accuracy_source": "accuracy",
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
