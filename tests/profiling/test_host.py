"""This computer as a device: real measurements, and workers that crash, hang and never stay.

The tests of what goes wrong run a worker that obeys its models: a model is the text of what the
worker is to do (``_TRAPPED_WORKER``). Everything but the timing itself is the real thing.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from mnaslat.data.measurement import Round
from mnaslat.errors import DeviceError
from mnaslat.graph import Graph
from mnaslat.profiling.device import Failure, Model
from mnaslat.profiling.host.device import HostDevice
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.tflite import write_tflite

pytestmark = pytest.mark.xdist_group("timing")

TINY = TimingPlan(round_ms=1.0, min_runs=3, warmup_ms=0.0, timeout_s=60.0)
IMPATIENT = TimingPlan(round_ms=1.0, min_runs=3, warmup_ms=0.0, timeout_s=1.0)
SIGNATURES = [f"fp32 8x8x8 conv1x1>{filters}:relu" for filters in (8, 16, 24)]

_TRAPPED_WORKER = """#!{python}
import os, signal, sys, time
from pathlib import Path
from mnaslat.profiling.host import worker


def obey(model, threads):
    order, _, argument = model.decode().partition(" ")
    if order == "die-once" and not Path(argument).exists():
        Path(argument).touch()
        order = "die"
    if order == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == "hang-once" and not Path(argument).exists():
        Path(argument).touch()
        order = "hang"
    if order == "hang":
        time.sleep(1000)
    if order == "leave":
        sys.exit("the last words")
    if order == "refuse":
        raise RuntimeError("made up to be refused")
    return {{"init_ns": threads * 10**6, "warmup_ns": [5 * 10**6], "runs_ns": [3 * 10**6, 10**6]}}


def obey_all(interpreter_class, models, request, threads):
    answers = []
    for model in models:
        try:
            answers.append(obey(model, threads))
        except RuntimeError as error:
            answers.append({{"error": str(error)}})
    return answers


worker._time = obey_all
sys.argv = sys.argv[2:]  # without -m
worker.main()
"""


def _real(*signatures: str) -> list[Model]:
    return [Model(signature, Graph.parse(signature)) for signature in signatures]


def _written_by(key: str, write: Callable[[], bytes]) -> Model:
    """A model that ``_write`` writes with a function, instead of a graph."""
    return Model(key, cast(Graph, write))


def _write(graph: Graph) -> bytes:
    return write_tflite(graph) if isinstance(graph, Graph) else cast(bytes, graph())


def _orders(*orders: str) -> list[Model]:
    return [_written_by(order, order.encode) for order in orders]


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    script = tmp_path / "python"
    script.write_text(_TRAPPED_WORKER.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    return HostDevice(interleaved=1, write_model=_write)


def _worker(outcome: Round | Failure) -> int:
    assert isinstance(outcome, Round)
    return int(outcome.circumstances["worker"])


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"  # a zombie is dead, whoever is to bury it


def _children() -> set[str]:
    me = os.getpid()
    return set(Path(f"/proc/{me}/task/{me}/children").read_text().split())


@pytest.fixture(autouse=True)
def _no_worker_stays() -> Iterator[None]:
    before = _children()
    yield
    assert _children() <= before


# --- real measurements


def test_layers_are_really_measured_in_the_order_asked() -> None:
    started = time.time()
    outcomes = list(HostDevice().measure(_real(*SIGNATURES), TINY))
    assert [key for key, _ in outcomes] == SIGNATURES
    for _, outcome in outcomes:
        assert isinstance(outcome, Round)
        assert 0 < outcome.min_ms < 50 and outcome.init_ms > 0
        assert outcome.runs_ms.size >= TINY.min_runs
        assert outcome.warmup_ms.size == TINY.min_warmup_runs
        assert started <= float(outcome.circumstances["started"]) <= time.time()
        assert set(outcome.circumstances) == {
            "started",
            "load",
            "steal_ticks",
            "worker",
            "interleaved",
        }
    assert len({_worker(outcome) for _, outcome in outcomes}) == 1


def test_a_hundred_times_the_work_takes_longer() -> None:
    small, large = "fp32 8x8x8 conv1x1>8", "fp32 32x32x32 conv3x3>32"
    found = dict(HostDevice().measure(_real(small, large), TINY))
    quick, slow = found[small], found[large]
    assert isinstance(quick, Round) and isinstance(slow, Round)
    assert slow.min_ms > 5 * quick.min_ms


def test_a_round_lasts_as_long_as_the_plan_says() -> None:
    (_, by_time), *_ = HostDevice().measure(
        _real(SIGNATURES[0]),
        TimingPlan(round_ms=20.0, n_windows=1, min_runs=1, warmup_ms=4.0, max_runs=10**6),
    )
    assert isinstance(by_time, Round)
    total_ms = float(by_time.runs_ms.sum())
    assert 20.0 <= total_ms + 1e-3
    assert total_ms - float(by_time.runs_ms[-1]) < 20.0 + 1e-3
    assert float(by_time.warmup_ms.sum()) >= 4.0 - 1e-3
    (_, by_number), *_ = HostDevice().measure(
        _real(SIGNATURES[0]), TimingPlan(round_ms=1e4, n_windows=1, min_runs=2, max_runs=7)
    )
    assert isinstance(by_number, Round) and by_number.runs_ms.size == 7


def test_what_is_no_model_fails_with_the_runtimes_reason_and_the_others_go_on() -> None:
    models = [_real(SIGNATURES[0])[0], _written_by("no model", lambda: b"garbage" * 100)]
    outcomes = dict(
        HostDevice(write_model=_write).measure([*models, _real(SIGNATURES[1])[0]], TINY)
    )
    failure = outcomes["no model"]
    assert isinstance(failure, Failure) and "not a valid Flatbuffer" in failure.reason
    assert _worker(outcomes[SIGNATURES[0]]) == _worker(outcomes[SIGNATURES[1]])


def test_the_worker_runs_on_the_cores_asked() -> None:
    core = max(os.sched_getaffinity(0))
    outcomes = HostDevice(cores=(core,)).measure(_real(*SIGNATURES), TINY)
    _, first = next(outcomes)
    assert os.sched_getaffinity(_worker(first)) == {core}
    outcomes.close()  # type: ignore[attr-defined]


# --- settings


def test_what_this_computer_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        HostDevice(threads=0)
    with pytest.raises(ValueError, match="has no core -1, 100000"):
        HostDevice(cores=(0, 100_000, -1))


def test_the_configuration_says_what_latencies_depend_on() -> None:
    plain = HostDevice().configuration("fp32")
    assert (plain.device, plain.threads, plain.cores, plain.precision) == ("host", 1, "any", "fp32")
    assert plain.runtime.startswith("ai-edge-litert ")
    assert plain == HostDevice(models_per_worker=7).configuration("fp32")
    others = [
        HostDevice(threads=2).configuration("fp32"),
        HostDevice(cores=(0,)).configuration("fp32"),
        HostDevice().configuration("int8"),
    ]
    assert len({plain.key, *(other.key for other in others)}) == 4


def test_the_runtime_gets_the_threads_asked(trapped: HostDevice) -> None:
    ((_, outcome),) = HostDevice(threads=3, write_model=_write).measure(_orders("run"), TINY)
    assert isinstance(outcome, Round) and outcome.init_ms == 3.0  # the trap's way of telling


# --- what goes wrong


def test_nanoseconds_of_the_worker_become_milliseconds_in_order(trapped: HostDevice) -> None:
    ((_, outcome),) = trapped.measure(_orders("run"), TINY)
    assert isinstance(outcome, Round)
    assert (outcome.runs_ms.tolist(), outcome.warmup_ms.tolist()) == ([3.0, 1.0], [5.0])


def test_a_model_that_kills_the_runtime_is_tried_twice_and_the_others_go_on(
    trapped: HostDevice,
) -> None:
    outcomes = dict(trapped.measure(_orders("run 1", "die", "run 2"), TINY))
    assert outcomes["die"] == Failure("the runtime's process ended with signal 11 (tried 2 times)")
    assert _worker(outcomes["run 1"]) != _worker(outcomes["run 2"])
    assert list(outcomes) == ["run 1", "die", "run 2"]


def test_a_worker_that_dies_once_costs_one_retry(trapped: HostDevice, tmp_path: Path) -> None:
    order = f"die-once {tmp_path / 'died'}"
    outcomes = dict(trapped.measure(_orders("run 1", order, "run 2"), TINY))
    assert isinstance(outcomes[order], Round)
    assert _worker(outcomes[order]) == _worker(outcomes["run 2"]) != _worker(outcomes["run 1"])


def test_a_model_that_hangs_is_tried_twice_and_the_others_go_on(trapped: HostDevice) -> None:
    started = time.monotonic()
    outcomes = dict(trapped.measure(_orders("run 1", "hang", "run 2"), IMPATIENT))
    assert outcomes["hang"] == Failure("no answer within 1 s (tried 2 times)")
    assert isinstance(outcomes["run 2"], Round)
    assert time.monotonic() - started < 30


def test_a_group_that_loses_its_worker_costs_only_the_model_that_did_it(
    trapped: HostDevice, tmp_path: Path
) -> None:
    orders = ["run 1", "die", "run 2", f"die-once {tmp_path / 'died'}", "run 3"]
    outcomes = dict(HostDevice(interleaved=4, write_model=_write).measure(_orders(*orders), TINY))
    assert list(outcomes) == orders
    assert [key for key, each in outcomes.items() if isinstance(each, Failure)] == ["die"]


def test_windows_of_interleaved_models_make_up_a_round() -> None:
    plan = TimingPlan(round_ms=2.0, n_windows=3, min_runs=7, max_runs=3000, warmup_ms=0.0)
    outcomes = dict(HostDevice(interleaved=3).measure(_real(*SIGNATURES), plan))
    for outcome in outcomes.values():
        assert isinstance(outcome, Round)
        assert outcome.runs_ms.size >= 9  # three windows of three
        assert outcome.circumstances["interleaved"] == "3"


def test_windows_share_the_time_of_a_round() -> None:
    plan = TimingPlan(round_ms=30.0, n_windows=3, min_runs=1, max_runs=10**6, warmup_ms=0.0)
    ((_, outcome),) = HostDevice().measure(_real(SIGNATURES[0]), plan)
    assert isinstance(outcome, Round)
    # Each window ends with the first run beyond its share.
    assert 30.0 <= float(outcome.runs_ms.sum()) <= 30.0 + 3 * float(outcome.runs_ms.max())


def test_a_worker_that_hangs_once_costs_one_retry(trapped: HostDevice, tmp_path: Path) -> None:
    order = f"hang-once {tmp_path / 'hung'}"
    ((_, outcome),) = trapped.measure(_orders(order), IMPATIENT)
    assert isinstance(outcome, Round)


def test_a_failure_repeats_the_last_words_of_the_worker(trapped: HostDevice) -> None:
    ((_, outcome),) = trapped.measure(_orders("leave"), TINY)
    assert outcome == Failure(
        "the runtime's process ended with exit status 1: the last words (tried 2 times)"
    )


def test_a_model_that_the_runtime_refuses_is_not_tried_again(trapped: HostDevice) -> None:
    outcomes = dict(trapped.measure(_orders("run 1", "refuse", "run 2"), TINY))
    assert outcomes["refuse"] == Failure("made up to be refused")
    assert _worker(outcomes["run 1"]) == _worker(outcomes["run 2"])


def test_a_worker_that_was_killed_between_two_models_is_replaced(trapped: HostDevice) -> None:
    outcomes = trapped.measure(_orders("run 1", "run 2", "run 3"), TINY)
    _, first = next(outcomes)
    os.kill(_worker(first), signal.SIGKILL)
    later = [outcome for _, outcome in outcomes]
    assert all(isinstance(outcome, Round) for outcome in later)
    assert _worker(later[-1]) != _worker(first)


def test_workers_are_replaced_after_the_models_they_are_to_time(trapped: HostDevice) -> None:
    orders = _orders(*(f"run {number}" for number in range(5)))
    outcomes = [
        outcome
        for _, outcome in HostDevice(
            models_per_worker=2, interleaved=1, write_model=_write
        ).measure(orders, TINY)
    ]
    workers = [_worker(outcome) for outcome in outcomes]
    assert workers[0] == workers[1] != workers[2] == workers[3] != workers[4]
    assert not any(map(_is_alive, workers))


def test_a_model_is_made_when_it_is_near_its_turn(trapped: HostDevice) -> None:
    made: list[int] = []

    def model(number: int) -> Model:
        def make() -> bytes:
            made.append(number)
            return b"run"

        return _written_by(str(number), make)

    outcomes = trapped.measure(map(model, range(50)), TINY)
    for number in range(3):
        next(outcomes)
        assert made == list(range(number + 2))  # while one is timed the next one is written
    outcomes.close()  # type: ignore[attr-defined]


def test_no_worker_stays_when_the_reader_stops_early(trapped: HostDevice) -> None:
    outcomes = trapped.measure(_orders("run 1", "run 2"), TINY)
    _, first = next(outcomes)
    assert _is_alive(_worker(first))
    outcomes.close()  # type: ignore[attr-defined]
    assert not _is_alive(_worker(first))


def test_no_worker_stays_when_making_a_model_raises(trapped: HostDevice) -> None:
    def fail() -> bytes:
        raise KeyError("made up")

    before = _children()
    with pytest.raises(KeyError, match="made up"):
        list(trapped.measure([*_orders("run"), _written_by("bad", fail)], TINY))
    assert _children() <= before


def test_no_worker_stays_when_the_process_that_measures_is_killed(tmp_path: Path) -> None:
    script = """
import itertools
from mnaslat.graph import Graph
from mnaslat.profiling.device import Model
from mnaslat.profiling.host.device import HostDevice
from mnaslat.profiling.timing_plan import TimingPlan

graph = Graph.parse("fp32 8x8x8 conv1x1>8:relu")
models = (Model(str(number), graph) for number in itertools.count())
for _, outcome in HostDevice().measure(models, TimingPlan(round_ms=20.0)):
    print(outcome.circumstances["worker"], flush=True)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert _is_alive(worker)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20
    while _is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(worker)


def test_a_worker_that_does_not_start_is_an_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'No module named something' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(
        DeviceError, match=r"does not start: .* exit status 3: No module named something\. Check"
    ):
        next(HostDevice(write_model=_write).measure(_orders("run"), TINY))


def test_no_models_start_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert list(HostDevice().measure([], TINY)) == []


def test_a_worker_ends_when_its_input_ends() -> None:
    settings = json.dumps({"threads": 1, "cores": []})
    command = [sys.executable, "-m", "mnaslat.profiling.host.worker", settings]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    ended = subprocess.run(command, input=b"", capture_output=True, env=environment, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"ready\n")
