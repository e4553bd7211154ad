"""Makes the report of a latency table or a predictor."""

import time
from collections.abc import Mapping
from functools import cache

import mnaslat
from mnaslat.data.convergence import LAYER_AGREEMENT, has_converged, resolution_ms_of
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors import CalibratedPredictor, TablePredictor
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.reports.page_data import LatencyPoint, ReportPage, TableRow, TableSection
from mnaslat.space import SearchSpace, load_space, space_names


def table_page(table: LatencyTable, name: str) -> ReportPage:
    """The page of a latency table alone."""
    return ReportPage(
        title=f"Latency table {name}",
        headline=(_table_sentence(table),),
        facts=(*configuration_facts(table.configuration), *made_facts()),
        table=table_section(table),
        warnings=table_warnings(table),
    )


def predictor_page(predictor: NetworkPredictor, name: str) -> ReportPage:
    """The page of a predictor: its held-out error and its table."""
    table = table_of(predictor)
    headline = [] if table is None else [_table_sentence(table)]
    if predictor.held_out is not None:
        errors = predictor.held_out
        headline.append(
            f"Calibrated on {errors.n} whole networks; on networks left out of the fit it is wrong "
            f"by {errors.mape:.1%} on average, and {errors.within_5:.0%} are within 5 %."
        )
    return ReportPage(
        title=f"Predictor {name}",
        headline=tuple(headline),
        facts=(
            *configuration_facts(predictor.configuration),
            *predictor_facts(predictor),
            *made_facts(),
        ),
        latency_points=calibration_points(predictor),
        table=TableSection(rows=()) if table is None else table_section(table),
        warnings=() if table is None else table_warnings(table),
    )


def table_of(predictor: NetworkPredictor) -> LatencyTable | None:
    """The latency table that a predictor rests on, if it rests on one."""
    base = predictor.base if isinstance(predictor, CalibratedPredictor) else None
    return base.measured if isinstance(base, TablePredictor) else None


def predictor_facts(predictor: NetworkPredictor) -> tuple[tuple[str, str], ...]:
    """List the parts of the prediction, as rows for the page."""
    if isinstance(predictor, CalibratedPredictor):
        return (("Correction", str(predictor.correction)),)
    priors = [prior.configuration.fingerprint for prior in predictor.priors]
    stated = predictor.provenance
    return (
        ("Cost model", f"priors: {', '.join(priors) or 'none'}"),
        *(
            (name.capitalize(), str(stated[name]))
            for name in ("source", "licence")
            if name in stated
        ),
    )


def calibration_points(predictor: NetworkPredictor) -> tuple[LatencyPoint, ...]:
    """The calibration networks, each predicted by a fit that left it out."""
    return tuple(
        LatencyPoint(
            label=f"{graph.madds / 1e6:.0f} M multiply-adds",
            group="calibration, held out",
            predicted_ms=float(measured_ms * (1.0 + residual)),
            measured_ms=float(measured_ms),
        )
        for graph, measured_ms, residual in zip(
            predictor.networks, predictor.measured_ms, predictor.residuals, strict=True
        )
    )


def configuration_facts(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    """Device and settings as rows for the page."""
    return (
        ("Device", f"{configuration.device}: {configuration.fingerprint}"),
        ("Precision", configuration.precision),
        ("Threads", f"{configuration.threads}, cores {configuration.cores}"),
        ("Runtime", f"{configuration.runtime}, {configuration.delegate}"),
    )


def table_section(table: LatencyTable) -> TableSection:
    """All rows, with labels and frequencies for layers of a preset's space."""
    labels, frequencies = _known_layers(table)
    rows = [
        TableRow(
            label=labels.get(signature) or signature.split(" ", 1)[1],
            signature=signature,
            latency_ms=row.latency_ms,
            spread=row.spread if row.n_rounds > 1 else None,
            n_rounds=row.n_rounds,
            converged=_has_converged(row, table.configuration),
            share=frequencies.get(signature),
        )
        for signature, row in table.rows.items()
    ]
    rows.sort(key=lambda row: -(row.latency_ms or 0.0))
    return TableSection(rows=tuple(rows), share_name="Occurrences in a random network")


def table_warnings(table: LatencyTable) -> tuple[str, ...]:
    """List the warnings that a reader of the table should know."""
    n_apart = sum(not _has_converged(row, table.configuration) for row in table.rows.values())
    if n_apart > 0.05 * len(table):
        return (
            f"{n_apart} of {len(table)} layers vary by more than {LAYER_AGREEMENT:.0%} between "
            "rounds, or have one round only. Close other programs and profile again to settle "
            "them.",
        )
    return ()


def made_facts() -> tuple[tuple[str, str], ...]:
    """Version and time."""
    written = time.strftime("%Y-%m-%d %H:%M")
    return (("mnaslat", mnaslat.__version__), ("Report written", written))


def _table_sentence(table: LatencyTable) -> str:
    slowest = max(row.latency_ms for row in table.rows.values())
    fastest = min(row.latency_ms for row in table.rows.values())
    return (
        f"{len(table)} layers measured on {table.configuration.device}: from "
        f"{1000 * fastest:.0f} µs to {slowest:.2f} ms."
    )


def _has_converged(row: Row, configuration: Configuration) -> bool:
    """Say whether a layer's rounds agree, as far as the tool's clock can tell."""
    return has_converged(
        row.latency_ms,
        row.spread,
        agreement=LAYER_AGREEMENT,
        resolution_ms=resolution_ms_of(configuration.runtime),
    )


def _known_layers(table: LatencyTable) -> tuple[Mapping[str, str], Mapping[str, float]]:
    """Labels and frequencies of the preset space that holds most layers of the table."""
    size = max(int(Graph.parse(signature).input_shape[0]) for signature in table.rows)
    precision = table.configuration.precision
    best: tuple[int, Mapping[str, str], Mapping[str, float]] = (0, {}, {})
    for name in space_names():
        space = _space(name, size)
        frequencies = space.layer_frequencies(precision)
        n_hits = sum(signature in frequencies for signature in table.rows)
        if n_hits > best[0]:
            best = (n_hits, space.layer_labels(precision), frequencies)
        if n_hits == len(table):
            break
    return best[1:]


@cache  # a space keeps the list of its layers, which takes a second to make
def _space(name: str, resolution: int) -> SearchSpace:
    return load_space(name, resolution=resolution)
