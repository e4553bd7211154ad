"""What was measured keeps its circumstances, and two configurations are never mixed."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.data.measurement import Configuration, Measurement, Round, Statistics
from mnaslat.errors import ConfigurationMismatch

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU", runtime="made-up 1.0")


def _runs(*runs_ms: float) -> np.ndarray:
    return np.array(runs_ms, np.float32)


def test_a_round_gives_its_fastest_and_its_median_run() -> None:
    found = Round.of_runs(_runs(4.0, 2.0, 3.0, 9.0))
    reported = found.statistics
    assert (found.min_ms, reported.median_ms, reported.n_runs) == (2.0, 3.5, 4)
    assert (reported.first_ms, reported.max_ms, reported.mean_ms) == (4.0, 9.0, 4.5)
    assert reported.std_ms == pytest.approx(math.sqrt((0.25 + 6.25 + 2.25 + 20.25) / 4), rel=1e-6)
    assert found.total_ms == 18.0


@pytest.mark.parametrize(
    "wrong",
    [{"n_runs": 0}, {"min_ms": 0.0}, {"mean_ms": math.nan}, {"median_ms": -1.0}, {"std_ms": -1.0}],
)
def test_statistics_that_no_runs_can_have_are_refused(wrong: dict[str, float]) -> None:
    good = Statistics(n_runs=2, first_ms=1.0, min_ms=1.0, max_ms=3.0, mean_ms=2.0, std_ms=1.0)
    with pytest.raises(ValueError, match="positive|negative"):
        replace(good, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("runs_ms", [(), (0.0,), (-1.0, 2.0), (math.nan,), (1.0, math.inf)])
def test_a_round_refuses_runs_that_no_clock_gives(runs_ms: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="at least one run, all of them positive"):
        Round.of_runs(_runs(*runs_ms))


def test_the_latency_is_the_minimum_over_rounds_and_the_spread_that_of_the_two_fastest() -> None:
    found = Measurement(signature="x", round_min_ms=(3.0, 2.0, 2.5), n_runs=9)
    assert (found.n_rounds, found.latency_ms) == (3, 2.0)
    assert found.spread == pytest.approx(0.25, rel=1e-12)


def test_one_round_alone_agrees_with_nothing() -> None:
    found = Measurement(signature="x", round_min_ms=(3.0,), n_runs=1)
    assert found.spread == math.inf


@given(st.lists(st.floats(0.01, 1e4), min_size=2, max_size=6))
def test_a_further_round_never_slows_a_measurement_down(minima_ms: list[float]) -> None:
    def measured(rounds: list[float]) -> Measurement:
        values = tuple(rounds)
        return Measurement(signature="x", round_min_ms=values, n_runs=1)

    assert measured(minima_ms).latency_ms <= measured(minima_ms[:-1]).latency_ms
    assert measured(minima_ms).spread >= 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "phone"),
        ("fingerprint", "another CPU"),
        ("precision", "int8"),
        ("threads", 2),
        ("cores", "1"),
        ("delegate", "none"),
        ("runtime", "made-up 1.1"),
    ],
)
def test_whatever_differs_is_another_configuration_and_is_named(
    field: str, value: str | int
) -> None:
    other = replace(CONFIGURATION, **{field: value})  # type: ignore[arg-type]
    assert other.key != CONFIGURATION.key
    with pytest.raises(ConfigurationMismatch, match=f"^The table was .*: {field} {value!r}, not "):
        CONFIGURATION.require(other, "The table")


def test_the_same_configuration_is_accepted_and_survives_json() -> None:
    again = Configuration.from_json(json.loads(json.dumps(asdict(CONFIGURATION))))
    assert again == CONFIGURATION
    assert again.key == CONFIGURATION.key
    CONFIGURATION.require(again, "The table")


def test_a_configuration_needs_a_thread() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Configuration(device="host", fingerprint="x", threads=0)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("device", ["x"], r"device must be a short text, got \['x'\]"),
        ("device", "x" * 1001, "device must be a short text"),
        ("fingerprint", 5, "fingerprint must be a short text, got 5"),
        ("fingerprint", "\x1b[31mred\x07", "the fingerprint of a configuration has characters"),
        ("cores", "4\n5", "the cores of a configuration has characters"),
        ("precision", "fp99", "precision must be one of fp32, fp16, int8, got 'fp99'"),
        ("precision", ["fp32"], "precision must be one of"),
        ("threads", True, "threads must be a whole number, got True"),
        ("threads", 1.5, "threads must be a whole number, got 1.5"),
        ("threads", math.inf, "threads must be a whole number, got inf"),
        ("threads", 10**400, "threads must be at most 10000, got 1000"),
        pytest.param("threads", 10**5000, "got a huge number", id="threads-huge"),
        ("serial", "x", "a configuration has the fields cores, delegate, device"),
    ],
)
def test_a_configuration_in_a_file_is_checked(field: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Configuration.from_json({**asdict(CONFIGURATION), field: value})


@pytest.mark.parametrize("data", [None, 5, [], {}, {"device": "host"}])
def test_what_is_no_configuration_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="a configuration has the fields"):
        Configuration.from_json(data)  # type: ignore[arg-type]
