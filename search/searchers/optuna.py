"""Optuna samplers as baselines (install ``mnaslat[optuna]``)."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.errors import SearchError
from mnaslat.search.searchers.base import Observations


class OptunaSearcher:
    """Asks one of Optuna's samplers for one network at a time.

    ``tpe`` (multivariate) maximises the reward; ``nsga2`` looks for the whole front of accuracy and
    latency. Both see the decisions as unordered choices. Resumed by asking the sampler again for
    all it was asked before, which takes as long as the first time.

    Args:
        sampler: "tpe" or "nsga2".
        seed: Of the sampler.

    Raises:
        SearchError: If Optuna is not installed.
    """

    def __init__(self, sampler: str, *, seed: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise SearchError(
                f"The searcher optuna-{sampler} needs Optuna, which is not installed: pip install "
                "'mnaslat[optuna]'."
            ) from error
        self._optuna = optuna
        self._two_goals = sampler == "nsga2"
        self._study = self._new_study(seed)
        self._trial: Any = None
        # As reported then: rewards change when the predictor is re-calibrated.
        self._reported: list[list[float] | None] = []

    def propose(self, observations: Observations, n: int, /) -> Tokens:
        """Propose one row."""
        distributions = {
            f"d{position:03d}": self._optuna.distributions.CategoricalDistribution(
                tuple(range(n_choices))
            )
            for position, n_choices in enumerate(observations.n_choices.tolist())
        }
        with _quiet(self._optuna):
            self._trial = self._study.ask(distributions)
        return np.array([[self._trial.params[name] for name in distributions]], dtype=np.int64)

    def learn(self, observations: Observations, first: int, /) -> Mapping[str, float]:
        """Report to the sampler; a failed evaluation is a failed trial."""
        if math.isnan(observations.reward[first]):
            self._tell(None)
        elif self._two_goals:
            self._tell([float(observations.accuracy[first]), float(observations.latency_ms[first])])
        else:
            self._tell([float(observations.reward[first])])
        return {}

    def state(self) -> dict[str, Any]:
        """Return what was reported to the sampler."""
        return {"told": list(self._reported)}

    def restore(self, state: Mapping[str, Any], observations: Observations, /) -> None:
        """Ask and report all again.

        Raises:
            SearchError: If the sampler answers otherwise than then.
        """
        for index, values in enumerate(state["told"]):
            if not np.array_equal(self.propose(observations, 1)[0], observations.tokens[index]):
                raise SearchError(
                    f"Optuna {self._optuna.__version__} proposes other networks than it did when "
                    "the run was started. Resume with the version of then, or start another run."
                )
            self._tell(values)

    def _new_study(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        with _quiet(self._optuna):
            if self._two_goals:
                return self._optuna.create_study(
                    directions=["maximize", "minimize"], sampler=samplers.NSGAIISampler(seed=seed)
                )
            return self._optuna.create_study(
                direction="maximize", sampler=samplers.TPESampler(seed=seed, multivariate=True)
            )

    def _tell(self, values: list[float] | None) -> None:
        with _quiet(self._optuna):
            if values is None:
                self._study.tell(self._trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(self._trial, values)
        self._reported.append(values)


class _quiet:
    """Optuna without its log lines and its warnings about new features."""

    def __init__(self, optuna: Any) -> None:
        self._logging = optuna.logging
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._verbosity = self._logging.get_verbosity()
        self._logging.set_verbosity(self._logging.WARNING)
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *error: Any) -> None:
        self._warnings.__exit__(*error)
        self._logging.set_verbosity(self._verbosity)
