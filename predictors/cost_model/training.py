"""Fits the state of a cost model to measured networks, after checking them."""

import math
from collections.abc import Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph
from mnaslat.predictors.cost_model.fit import MAX_NETWORKS, CostFit, CostSettings, fit_costs
from mnaslat.predictors.cost_model.intervals import IntervalScores
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.posterior import CostPosterior
from mnaslat.predictors.cost_model.state import CostState, all_terms, digest
from mnaslat.predictors.cost_model.term_matrix import Networks, TermMatrixBuilder
from mnaslat.predictors.known_operations import operations_of
from mnaslat.predictors.measurement_checks import check_unit

MIN_NETWORKS = 5  # without other devices as priors
# With fewer whole networks, priors help so much that they are not tested.
_MIN_TO_DOUBT = 40
_GROSS = 5.0  # median errors; larger errors are clipped to this


def learn(
    networks: Sequence[Graph],
    measured_ms: Floats,
    configuration: Configuration,
    settings: CostSettings,
    *,
    priors: tuple[CostState, ...],
    choose_layer_misfit: bool,
) -> tuple[CostState, TermMatrixBuilder]:
    """Fit a cost model to networks that are all different.

    With forty or more whole networks, priors are dropped if they clearly increase the leave-one-out
    error. Only whole networks count: single layers say little about priors of whole networks.

    Args:
        networks: Graphs of the configuration's precision.
        measured_ms: Shape ``(n,)``, all positive.
        configuration: Device and settings of the measurements.
        settings: Standard deviations of noise and discrepancy.
        priors: States of the same runtime and precision.
        choose_layer_misfit: Whether to choose ``settings.layer_misfit`` by cross-validation.

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
    """Test whether errors are significantly larger than others of the same networks.

    The mean difference of absolute errors must be more than one standard error above zero. Absolute
    errors are clipped at five medians of the others: a wrong measurement is wrong for both.

    Args:
        log_errors: Shape ``(n,)``, at least two.
        others: Errors of the same networks, shape ``(n,)``.
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
) -> tuple[CostState, TermMatrixBuilder]:
    builder = TermMatrixBuilder(
        runtime_of(configuration), configuration.precision, all_terms(priors)
    )
    composed = builder.compose(networks)
    posteriors = [CostPosterior(each.fit, builder.terms) for each in priors]
    offset: Floats | float = 0.0
    if posteriors:
        expected_ms = [each.latency_ms(composed) for each in posteriors]
        check_unit(measured_ms, expected_ms, "the priors predict", "fit without priors")
        offset = np.mean([each.misfit(composed) for each in posteriors], axis=0)
    fit = fit_costs(
        builder.terms,
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
    return state, builder


def before(
    graphs: Sequence[Graph],
    configuration: Configuration,
    settings: CostSettings,
    priors: tuple[CostState, ...],
) -> tuple[CostPosterior, Networks]:
    """Return the prior of unmeasured graphs, and the graphs as it takes them."""
    builder = TermMatrixBuilder(
        runtime_of(configuration), configuration.precision, all_terms(priors)
    )
    composed = builder.compose(graphs)
    fit = CostFit.before(builder.terms, settings, [each.fit for each in priors])
    return CostPosterior(fit, builder.terms), composed


def checked_priors(
    priors: tuple[CostState, ...], configuration: Configuration
) -> tuple[CostState, ...]:
    """Check that priors fit a configuration, and return them.

    Raises:
        ConfigurationMismatch: If one has another runtime or precision.
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
    if n > MAX_NETWORKS:
        raise ValueError(
            f"A cost model takes at most {MAX_NETWORKS} networks, got {n}. A random part of them "
            "teaches it as much."
        )
