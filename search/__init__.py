"""Controller, PPO, reward, accuracy sources, run control.

Public names are loaded when they are first used: torch comes only with what needs it.
"""

from typing import TYPE_CHECKING, Any

from mnaslat.lazy import load_name

if TYPE_CHECKING:
    from mnaslat.search.accuracy.pairwise_ridge import PairRidge as PairRidge
    from mnaslat.search.accuracy.proxy import ProxyAccuracy as ProxyAccuracy
    from mnaslat.search.accuracy.proxy import ProxySettings as ProxySettings
    from mnaslat.search.accuracy.rank_correlation import Agreement as Agreement
    from mnaslat.search.accuracy.rank_correlation import rank_correlation as rank_correlation
    from mnaslat.search.accuracy.source import AccuracySource as AccuracySource
    from mnaslat.search.accuracy.source import Candidate as Candidate
    from mnaslat.search.accuracy.source import CandidateResult as CandidateResult
    from mnaslat.search.accuracy.source import decoded_candidates as decoded_candidates
    from mnaslat.search.accuracy.sources import accuracy_source as accuracy_source
    from mnaslat.search.accuracy.supernet import SupernetAccuracy as SupernetAccuracy
    from mnaslat.search.accuracy.supernet import SupernetSettings as SupernetSettings
    from mnaslat.search.accuracy.table import TableAccuracy as TableAccuracy
    from mnaslat.search.accuracy.training import TrainingSettings as TrainingSettings
    from mnaslat.search.accuracy.training import train as train
    from mnaslat.search.pareto import pareto_front as pareto_front
    from mnaslat.search.problem import Predictor as Predictor
    from mnaslat.search.problem import SearchProblem as SearchProblem
    from mnaslat.search.problem import Validator as Validator
    from mnaslat.search.reward import RewardSettings as RewardSettings
    from mnaslat.search.reward import mnasnet_reward as mnasnet_reward
    from mnaslat.search.run.artifacts import load_winner as load_winner
    from mnaslat.search.run.candidates import EvaluatedCandidate as EvaluatedCandidate
    from mnaslat.search.run.progress import SearchProgress as SearchProgress
    from mnaslat.search.run.result import SearchResult as SearchResult
    from mnaslat.search.run.result import Winner as Winner
    from mnaslat.search.run.run_folder import SearchRun as SearchRun
    from mnaslat.search.run.run_store import SearchStore as SearchStore
    from mnaslat.search.run.search import Search as Search
    from mnaslat.search.searchers.base import Observations as Observations
    from mnaslat.search.searchers.base import Searcher as Searcher
    from mnaslat.search.searchers.evolution import EvolutionSearcher as EvolutionSearcher
    from mnaslat.search.settings import SearchSettings as SearchSettings
    from mnaslat.search.tokens import tokens_text as tokens_text

_HOMES = {
    "AccuracySource": "accuracy.source",
    "Agreement": "accuracy.rank_correlation",
    "Candidate": "accuracy.source",
    "CandidateResult": "accuracy.source",
    "EvaluatedCandidate": "run.candidates",
    "EvolutionSearcher": "searchers.evolution",
    "Observations": "searchers.base",
    "PairRidge": "accuracy.pairwise_ridge",
    "Predictor": "problem",
    "ProxyAccuracy": "accuracy.proxy",
    "ProxySettings": "accuracy.proxy",
    "RewardSettings": "reward",
    "Search": "run.search",
    "SearchProblem": "problem",
    "SearchProgress": "run.progress",
    "SearchResult": "run.result",
    "SearchRun": "run.run_folder",
    "SearchSettings": "settings",
    "SearchStore": "run.run_store",
    "Searcher": "searchers.base",
    "SupernetAccuracy": "accuracy.supernet",
    "SupernetSettings": "accuracy.supernet",
    "TableAccuracy": "accuracy.table",
    "TrainingSettings": "accuracy.training",
    "Validator": "problem",
    "Winner": "run.result",
    "accuracy_source": "accuracy.sources",
    "decoded_candidates": "accuracy.source",
    "load_winner": "run.artifacts",
    "mnasnet_reward": "reward",
    "pareto_front": "pareto",
    "rank_correlation": "accuracy.rank_correlation",
    "tokens_text": "tokens",
    "train": "accuracy.training",
}

__all__ = [*_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    return load_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
