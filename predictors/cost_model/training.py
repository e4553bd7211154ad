"""From measured networks to the state of a cost model: what can be wrong is found out first."""

import math
from collections.abc import Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph
from mnaslat.predictors.cost_model.fit import CostFit, CostSettings, fit_costs
from mnaslat.predictors.cost_model.intervals import IntervalScores
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.posterior import CostView
from mnaslat.predictors.cost_model.state import CostState, all_terms, digest
from mnaslat.predictors.cost_model.term_matrix import Amounts, Networks
from mnaslat.predictors.known_operations import operations_of
from mnaslat.predictors.measurement_checks import check_unit

MIN_NETWORKS = 5  # without other devices as priors
_MAX_NETWORKS = 3000  # the fit inverts matrices of this size
# With fewer whole networks measured, priors help so much that they are not put to the test.
_MIN_TO_DOUBT = 40
_GROSS = 5.0  # typical errors; what lies farther away counts no more


def learn(
    networks: Sequence[Graph],
    measured_ms: Floats,
    configuration: Configuration,
    settings: CostSettings,
    *,
    priors: tuple[CostState, ...],
    choose_layer_misfit: bool,
) -> tuple[CostState, Amounts]:
    """Fit a cost model to networks that are all different.

    From forty whole networks on, priors are dropped where whole networks left out are predicted
    clearly worse with them than without. Single layers are not counted, nor do they judge: what
    other devices know of whole networks, they cannot tell.

    Args:
        networks: Of the configuration's precision.
        measured_ms: Shape ``(n,)``, all positive.
        configuration: Of the device.
        settings: Of noise and misfit.
        priors: Of the same runtime and precision.
        choose_layer_misfit: Whether ``settings.layer_misfit`` is chosen anew.

    Raises:
        ValueError: If there are too few or too many networks, or their latencies are in another
            unit than the priors'.
    """
    _check_number(len(networks), bool(priors))
    learned = _learn(networks, measured_ms, configuration, settings, priors, choose_layer_misfit)
    whole = np.array([len(network.layers) > 1 for network in networks])
    if not priors or whole.sum() < _MIN_TO_DOUBT:
        return learned
    alone = _learn(networks, measured_ms, configuration, settings, (), choose_layer_misfit)
    misled = clearly_worse(learned[0].fit.left_out[whole], alone[0].fit.left_out[whole])
    return alone if misled else learned


def clearly_worse(log_errors: Floats, others: Floats) -> bool:
    """Whether errors are larger than others of the same networks by more than chance explains.

    The mean difference of their sizes must lie more than a standard error above zero. Gross errors
    count five of the others' typical ones: a wrong measurement is one for both.

    Args:
        log_errors: Shape ``(n,)``, at least two.
        others: Of the same networks, shape ``(n,)``.
    """
    gross = _GROSS * float(np.median(np.abs(others)))
    sizes, of_others = (np.minimum(np.abs(each), gross) for each in (log_errors, others))
    difference = sizes - of_others
    return bool(difference.mean() > difference.std(ddof=1) / math.sqrt(len(difference)))


def _learn(
    networks: Sequence[Graph],
    measured_ms: Floats,
    configuration: Configuration,
    settings: CostSettings,
    priors: tuple[CostState, ...],
    choose_layer_misfit: bool,
) -> tuple[CostState, Amounts]:
    amounts = Amounts(runtime_of(configuration), configuration.precision, all_terms(priors))
    composed = amounts.compose(networks)
    views = [CostView(each.fit, amounts.terms) for each in priors]
    offset: Floats | float = 0.0
    if views:
        expected_ms = [each.latency_ms(composed) for each in views]
        check_unit(measured_ms, expected_ms, "the priors predict", "fit without priors")
        offset = np.mean([each.misfit(composed) for each in views], axis=0)
    fit = fit_costs(
        amounts.terms,
        composed,
        np.log(measured_ms),
        settings,
        offset=offset,
        priors=[each.fit for each in priors],
        choose_layer_misfit=choose_layer_misfit,
    )
    state = CostState(
        configuration=configuration,
        fit=fit,
        scores=IntervalScores.of_fit(fit),
        seen=frozenset(map(digest, networks)),
        operations=operations_of(networks),
        priors=priors,
    )
    return state, amounts


def before(
    graphs: Sequence[Graph],
    configuration: Configuration,
    settings: CostSettings,
    priors: tuple[CostState, ...],
) -> tuple[CostView, Networks]:
    """What is believed about graphs before anything was measured, and the graphs for it."""
    amounts = Amounts(runtime_of(configuration), configuration.precision, all_terms(priors))
    composed = amounts.compose(graphs)
    fit = CostFit.before(amounts.terms, settings, [each.fit for each in priors])
    return CostView(fit, amounts.terms), composed


def checked_priors(
    priors: tuple[CostState, ...], configuration: Configuration
) -> tuple[CostState, ...]:
    """The priors, if they can say something about a configuration.

    Raises:
        ConfigurationMismatch: If one is of another runtime or precision.
    """
    wanted = runtime_of(configuration), configuration.precision
    for prior in priors:
        other = prior.configuration
        found = runtime_of(other), other.precision
        if found != wanted:
            raise ConfigurationMismatch(
                f"A prior, {other.fingerprint}, is for {found[1]} on a {found[0].upper()}, but "
                f"{wanted[1]} on a {wanted[0].upper()} is to be learned. Use priors of that "
                "kind, or none."
            )
    return priors


def _check_number(n: int, has_priors: bool) -> None:
    least = 1 if has_priors else MIN_NETWORKS
    if n < least:
        raise ValueError(
            f"A cost model needs at least {least} different networks, got {n}. Measure more, or "
            "give models of other devices as priors."
        )
    if n > _MAX_NETWORKS:
        raise ValueError(
            f"A cost model takes at most {_MAX_NETWORKS} networks, got {n}. A random part of them "
            "teaches it as much."
        )
