"""Lists the searchers by name and makes them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mnaslat.space import Tokens

if TYPE_CHECKING:
    from mnaslat.search.settings import SearchSettings
from mnaslat.search.searchers.base import Searcher


def _ppo(n_choices: Tokens, settings: "SearchSettings") -> Searcher:
    low_ms, high_ms = settings.target_range_ms
    # The paper has no model; over a range the controller alone is as good (docs/decisions.md).
    if settings.surrogate and settings.preset == "fast" and low_ms == high_ms:
        from mnaslat.search.searchers.surrogate_ppo import AssistedSearcher

        return AssistedSearcher(n_choices, seed=settings.seed)
    from mnaslat.search.searchers.ppo import PPOSearcher

    return PPOSearcher(n_choices, settings.preset, seed=settings.seed, in_range=low_ms < high_ms)


def _random(n_choices: Tokens, settings: "SearchSettings") -> Searcher:
    from mnaslat.search.searchers.random import RandomSearcher

    return RandomSearcher(seed=settings.seed)


def _evolution(n_choices: Tokens, settings: "SearchSettings") -> Searcher:
    from mnaslat.search.searchers.evolution import EvolutionSearcher

    return EvolutionSearcher(seed=settings.seed)


def _optuna(n_choices: Tokens, settings: "SearchSettings") -> Searcher:
    from mnaslat.search.searchers.optuna import OptunaSearcher

    return OptunaSearcher(settings.searcher.removeprefix("optuna-"), seed=settings.seed)


# What makes each searcher. Each loads what it needs itself: torch and Optuna are not for all.
MAKERS: Mapping[str, Callable[[Tokens, "SearchSettings"], Searcher]] = {
    "ppo": _ppo,
    "random": _random,
    "evolution": _evolution,
    "optuna-tpe": _optuna,
    "optuna-nsga2": _optuna,
}


def new_searcher(n_choices: Tokens, settings: "SearchSettings") -> Searcher:
    """The searcher that the settings name.

    Raises:
        SearchError: If a package that it needs is not installed.
    """
    return MAKERS[settings.searcher](n_choices, settings)
