"""Lists the searchers by name and makes them. A new searcher is its module and a row here.

Importing this loads no searcher: torch and Optuna come with the first one that needs them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnaslat.arrays import Tokens
    from mnaslat.search.searchers.base import Searcher
    from mnaslat.search.settings import SearchSettings

    Make = Callable[[Tokens, SearchSettings], Searcher]


@dataclass(frozen=True)
class SearcherKind:
    """A searcher that can be named."""

    title: str  # one line for people
    make: "Make"  # from the numbers of choices and the settings of the run


def _ppo(n_choices: "Tokens", settings: "SearchSettings") -> "Searcher":
    low_ms, high_ms = settings.target_range_ms
    # The paper has no model; over a range the controller alone is as good (docs/decisions.md).
    if settings.surrogate and settings.preset == "fast" and low_ms == high_ms:
        from mnaslat.search.searchers.surrogate_ppo import SurrogatePPOSearcher

        return SurrogatePPOSearcher(n_choices, seed=settings.seed)
    from mnaslat.search.searchers.ppo import PPOSearcher

    return PPOSearcher(n_choices, settings.preset, seed=settings.seed, in_range=low_ms < high_ms)


def _random(_: "Tokens", settings: "SearchSettings") -> "Searcher":
    from mnaslat.search.searchers.random import RandomSearcher

    return RandomSearcher(seed=settings.seed)


def _evolution(_: "Tokens", settings: "SearchSettings") -> "Searcher":
    from mnaslat.search.searchers.evolution import EvolutionSearcher

    return EvolutionSearcher(seed=settings.seed)


def _optuna(sampler: str) -> "Make":
    def make(_: "Tokens", settings: "SearchSettings") -> "Searcher":
        from mnaslat.search.searchers.optuna import OptunaSearcher

        return OptunaSearcher(sampler, seed=settings.seed)

    return make


SEARCHERS: Mapping[str, SearcherKind] = {
    "ppo": SearcherKind(
        "PPO, trained on a model of the accuracies where there is one target", _ppo
    ),
    "random": SearcherKind("random networks", _random),
    "evolution": SearcherKind("regularised evolution", _evolution),
    "optuna-tpe": SearcherKind("Optuna's TPE sampler", _optuna("tpe")),
    "optuna-nsga2": SearcherKind("Optuna's NSGA-II sampler", _optuna("nsga2")),
}


def known_searchers() -> str:
    """List the names, as in a sentence.

    >>> known_searchers()
    'ppo, random, evolution, optuna-tpe or optuna-nsga2'
    """
    *names, last = SEARCHERS
    return f"{', '.join(names)} or {last}"


def new_searcher(n_choices: "Tokens", settings: "SearchSettings") -> "Searcher":
    """Make the searcher that the settings name, for a space with so many choices.

    Raises:
        ValueError: If there is no searcher of that name.
        SearchError: If a package that it needs is not installed.
    """
    if settings.searcher not in SEARCHERS:
        raise ValueError(f"No searcher {settings.searcher!r}. Known: {', '.join(SEARCHERS)}.")
    return SEARCHERS[settings.searcher].make(n_choices, settings)
