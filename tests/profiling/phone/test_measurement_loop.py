"""Measuring on a phone: whom a failure is blamed on, what is tried again, and when it ends.

Batches are played where their order matters; the answers about a tool come from one in software.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement import Round
from mnaslat.errors import ConfigurationMismatch, DeviceError, DeviceLost, WorkspaceBusy
from mnaslat.graph import Graph
from mnaslat.profiling.device import Failure, Model, Notice
from mnaslat.profiling.phone import measurement_loop as measuring
from mnaslat.profiling.phone.adb.conditions import Conditions
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.description import Cluster, Description
from mnaslat.profiling.phone.adb.queries import describe
from mnaslat.profiling.phone.batch import Clock, NotUnpacked, Ran, Running
from mnaslat.profiling.phone.device import LAYERS, NETWORKS, PhoneDevice
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.benchmark_model import BenchmarkModel
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.phone.tool.installation import Installed
from mnaslat.profiling.timing_plan import TimingPlan
from tests.phone.phone import Phone
from tests.profiling.phone.sweeping import PLAN, made_up_ms, signatures

BINARY = Binary(Path("/nowhere"), "0" * 64)
DESCRIPTION = Description(
    manufacturer="Maker",
    model="Model",
    soc="soc",
    abi="arm64-v8a",
    android="14",
    sdk=34,
    build="build",
    serial_hash="0123456789ab",
    clusters=(Cluster("little", (0, 1), 1_800_000), Cluster("big", (2, 3), 2_800_000)),
    n_cores=4,
)
FINE = Conditions(thermal_status=0)
HOT = Conditions(thermal_status=2)
GOOD = """\
INFO: Initialized session in 1ms.
INFO: count=1 curr=1234
INFO: count=2 first=1234 curr=1236 min=1234 max=1236 avg=1235 std=1

INFO: Inference timings in us: Init: 1000, First inference: 1234, Warmup (avg): 1234, \
Inference (avg): 1235
"""
TAKEN = "INFO: Replacing 1 out of 1 node(s) with delegate (TfLiteGpuDelegateV2) node, "
TAKEN += "yielding 1 partitions\n"
REFUSED = "ERROR: No such op.\n"
Batch = Callable[[Sequence[bytes]], Iterator[Any]]  # the answers about models, or an error
Answer = Callable[[int, bytes], "tuple[int, str]"]  # of a model: exit status and output


@dataclass
class Played:
    """Batches as a test has them: ``answer`` for each model, unless ``next`` has whole ones."""

    answer: Answer = lambda index, content: (0, GOOD)
    next: Sequence[Batch] = field(default_factory=list)
    batches: list[list[bytes]] = field(default_factory=list)  # of each: the models
    cores: list[int] = field(default_factory=list)

    def run_batch(
        self, connection: object, command: str, models: Sequence[bytes], **settings: Any
    ) -> Iterator[Any]:
        self.batches.append(list(models[1:]))
        self.cores.append(settings["core"])
        batch, self.next = (self.next or [self.usual])[0], self.next[1:]
        for reported in batch(models):
            if isinstance(reported, Exception):
                raise reported
            yield reported

    def usual(self, models: Sequence[bytes]) -> Iterator[Any]:
        yield FINE
        for index, content in enumerate(models):
            status, output = self.answer(index, content)
            yield Running(index)
            yield ran(index, status, output)
            if index and status:
                yield ran(0, *self.answer(0, models[0]))
        yield FINE


def ran(index: int, status: int = 0, output: str = GOOD, most_khz: int | None = None) -> Ran:
    clock = Clock(now_khz=None, most_khz=most_khz)
    return Ran(
        index=index,
        output=output,
        status=status,
        seconds=0.1,
        started=1e9,
        before=clock,
        after=clock,
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()

    def begin(session: PhoneSession) -> Iterator[Notice]:
        session.guard.begin(Conditions(max_khz={2: 2_800_000}))
        session.has_begun = True
        return iter(())

    monkeypatch.setattr(
        measuring, "run_batch", lambda *args, **settings: _closing(played, args, settings)
    )
    monkeypatch.setattr(measuring, "recognise", lambda device: None)
    monkeypatch.setattr(measuring, "install", lambda connection, binary: Installed("/tool", ""))
    monkeypatch.setattr(measuring, "begin", begin)
    monkeypatch.setattr(measuring, "wait_until_back", lambda device, trouble: iter(()))
    monkeypatch.setattr(
        measuring, "wait_until_ready", lambda session, problems, **settings: iter(())
    )
    monkeypatch.setattr(BenchmarkModel, "write_model", lambda tool, graph: _content(graph))
    return played


def _content(graph: object) -> bytes:
    return graph if isinstance(graph, bytes) else b"sentinel"


def _closing(played: Played, args: Any, settings: Any) -> Iterator[Any]:
    yield from played.run_batch(*args, **settings)


def _device(**settings: Any) -> PhoneDevice:
    policy = GuardPolicy(poll_s=0.01)
    session = PhoneSession(
        connection=Connection("serial"),
        description=DESCRIPTION,
        binary=BINARY,
        policy=policy,
        **settings,
    )
    return PhoneDevice(session)


def _models(n: int, size: int = 1) -> list[Model]:
    contents = [f"{index}".encode().ljust(size) for index in range(n)]
    return [Model(f"model {index}", cast(Graph, each)) for index, each in enumerate(contents)]


def _measure(
    models: Sequence[Model], device: PhoneDevice | None = None, plan: TimingPlan = PLAN
) -> "tuple[dict[str, Round | Failure], list[str]]":
    outcomes: dict[str, Round | Failure] = {}
    notices = []
    for reported in (device or _device()).measure(models, plan):
        if isinstance(reported, Notice):
            notices.append(reported.text)
        else:
            assert reported[0] not in outcomes, "two outcomes of one model"
            outcomes[reported[0]] = reported[1]
    return outcomes, notices


def _fails(content: bytes, status: int, output: str = REFUSED) -> Answer:
    return lambda index, other: (status, output) if index and other == content else (0, GOOD)


# --- batches


def test_every_model_gets_one_outcome(played: Played) -> None:
    outcomes, notices = _measure(_models(130))
    assert list(outcomes) == [f"model {index}" for index in range(130)]
    assert all(isinstance(each, Round) for each in outcomes.values()) and notices == []
    assert [len(each) for each in played.batches] == [60, 60, 10]


@pytest.mark.parametrize(("plan", "n"), [(LAYERS, 60), (NETWORKS, 33)])
def test_a_batch_lasts_no_longer_than_twenty_seconds_of_runs(
    played: Played, plan: TimingPlan, n: int
) -> None:
    _measure(_models(100), plan=plan)
    assert len(played.batches[0]) == n
    assert n * plan.round_ms <= 20_000.0


def test_a_batch_brings_no_more_than_fits(played: Played) -> None:
    outcomes, _ = _measure(_models(10, size=20 * 2**20))
    assert [len(each) for each in played.batches] == [4, 4, 2]
    assert len(outcomes) == 10


def test_nothing_to_measure_needs_no_phone(played: Played) -> None:
    assert _measure([]) == ({}, [])
    assert played.batches == []


def test_models_that_do_not_fit_come_in_smaller_batches(played: Played) -> None:
    def refuse(models: Sequence[bytes]) -> Iterator[Any]:
        yield NotUnpacked("tar: No space left on device")

    played.next = [refuse, refuse]
    outcomes, notices = _measure(_models(40))
    assert len(outcomes) == 40
    assert [len(each) for each in played.batches] == [40, 20, 10, 10, 10, 10]
    assert "No space left on device; trying with 20 at a time" in notices[0]
    played.next = 10 * [refuse]
    with pytest.raises(DeviceError, match=r"No space left.* Free some storage .*the same command"):
        _measure(_models(60))


# --- failures


def test_a_refusal_is_tried_twice_and_is_for_good(played: Played) -> None:
    played.answer = _fails(b"1", 1)
    outcomes, _ = _measure(_models(3))
    assert outcomes["model 1"] == Failure(
        "the tool ended with exit status 1: ERROR: No such op. (tried 2 times)"
    )
    assert isinstance(outcomes["model 1"], Failure) and outcomes["model 1"].permanent
    assert played.batches == [[b"0", b"1", b"2"], [b"1"]]


@pytest.mark.parametrize(
    ("status", "output", "reason"),
    [
        (139, "", "the tool was ended by signal 11"),
        (137, "", "the tool was ended by signal 9"),
        (0, GOOD[:-60], "The output of benchmark_model cannot be used"),
        (0, "", "The output of benchmark_model cannot be used"),
    ],
)
def test_what_may_be_an_accident_is_tried_thrice_and_again_next_time(
    played: Played, status: int, output: str, reason: str
) -> None:
    played.answer = _fails(b"1", status, output)
    outcomes, _ = _measure(_models(3))
    failure = outcomes["model 1"]
    assert isinstance(failure, Failure) and not failure.permanent
    assert failure.reason.startswith(reason) and failure.reason.endswith("(tried 3 times)")
    assert len(played.batches) == 3


def test_a_run_that_was_killed_for_its_time_is_told_so(played: Played) -> None:
    def hang(models: Sequence[bytes]) -> Iterator[Any]:
        late = Ran(**{**vars(ran(1, 137, "")), "seconds": PLAN.timeout_s})
        yield from (FINE, ran(0), late, ran(0), FINE)

    played.next = [hang, hang, hang]
    failure = _measure(_models(1))[0]["model 0"]
    assert failure == Failure("no end within 1 s (tried 3 times)")


def test_a_failure_once_is_forgotten(played: Played) -> None:
    played.next = [
        lambda models: iter([FINE, ran(0), ran(1, 1, REFUSED), ran(0), ran(2), FINE]),
    ]
    outcomes, _ = _measure(_models(2))
    assert list(outcomes) == ["model 1", "model 0"]
    assert isinstance(outcomes["model 0"], Round)
    assert outcomes["model 0"].circumstances["attempts"] == "2"


@pytest.mark.parametrize("status", [1, 126, 127, 134, 137, 139])
def test_no_model_is_blamed_for_a_tool_that_fails_with_the_simplest_one(
    played: Played, status: int
) -> None:
    played.answer = lambda index, content: (status, REFUSED)
    with pytest.raises(DeviceError, match=r"no measurement 6 times in a row; at last: The bench.*"):
        _measure(_models(3))
    assert len(played.batches) == 6


def test_a_tool_that_breaks_in_the_middle_is_no_model_s_fault(played: Played) -> None:
    breaking = [FINE, ran(0), ran(1), ran(2, 1, REFUSED), ran(0, 1, REFUSED), ran(3, 1), FINE]
    played.next = 5 * [lambda models: iter(breaking)]
    outcomes, notices = _measure(_models(9))
    assert all(isinstance(each, Round) for each in outcomes.values()) and len(outcomes) == 9
    assert all("fails even with the simplest model" in text for text in notices)


# --- the delegate


def test_a_tool_without_the_delegate_is_an_error_and_no_latency(played: Played) -> None:
    with pytest.raises(DeviceError, match=r"runs nothing on the gpu delegate: .*--delegate"):
        _measure(_models(3), _device(delegate="gpu"))


def test_a_model_that_the_delegate_does_not_take_is_a_failure(played: Played) -> None:
    on_cpu = {b"1": GOOD, b"3": TAKEN.replace("Gpu", "XNNPack") + GOOD}
    played.answer = lambda index, content: (0, on_cpu.get(content, TAKEN + GOOD))
    outcomes, _ = _measure(_models(4), _device(delegate="gpu"))
    failure = outcomes["model 1"]
    assert isinstance(failure, Failure) and failure.permanent
    assert failure.reason.startswith("no part of it ran on the gpu delegate: nodes taken: none")
    assert "XNNPackDelegate" in str(outcomes["model 3"])
    taken = outcomes["model 0"]
    assert isinstance(taken, Round)
    assert taken.circumstances["delegated"] == "1/1 in 1 (TfLiteGpuDelegateV2)"


# --- conditions


def test_what_ran_before_bad_conditions_is_measured_again(played: Played) -> None:
    played.next = [
        lambda models: iter([FINE, ran(0), ran(1), FINE, ran(2), ran(3), HOT, ran(4), FINE])
    ]
    outcomes, _ = _measure(_models(4))
    assert len(outcomes) == 4
    assert played.batches == [[b"0", b"1", b"2", b"3"], [b"1", b"2", b"3"]]


def test_what_ran_at_a_capped_clock_is_measured_again(played: Played) -> None:
    capped = ran(2, most_khz=1_000_000)
    played.next = [lambda models: iter([FINE, ran(0), ran(1, most_khz=2_800_000), capped, FINE])]
    outcomes, notices = _measure(_models(2))
    assert len(outcomes) == 2 and played.batches[1] == [b"1"]
    assert notices == ["Model-012345: a round is repeated: core 2 is capped at 1.0 of 2.8 GHz"]


def test_the_clock_is_that_of_the_measured_cores_or_of_the_fastest(played: Played) -> None:
    for cores in ((1,), (3, 2), ()):
        _measure(_models(1), _device(cores=cores))
    assert played.cores == [1, 2, 2]


def test_a_phone_that_is_never_fit_is_given_up(played: Played) -> None:
    played.next = 9 * [lambda models: iter([FINE, ran(0), ran(1), HOT])]
    with pytest.raises(DeviceError, match="no round could be taken in good conditions"):
        _measure(_models(2))
    assert len(played.batches) == 6


# --- losses


def _lost_at(index: int) -> Batch:
    def lose(models: Sequence[bytes]) -> Iterator[Any]:
        yield FINE
        for each in range(index):
            yield ran(each)
        yield Running(index)
        yield DeviceLost("gone.")

    return lose


def test_what_was_not_followed_by_conditions_is_measured_again(played: Played) -> None:
    played.next = [_lost_at(3)]
    outcomes, _ = _measure(_models(3))
    assert len(outcomes) == 3 and len(played.batches[1]) == 3


def test_a_model_that_takes_the_phone_down_each_time_is_left_out(played: Played) -> None:
    def answer(models: Sequence[bytes]) -> Iterator[Any]:
        return _lost_at(models.index(b"1"))(models) if b"1" in models else played.usual(models)

    played.next = 9 * [answer]
    outcomes, _ = _measure(_models(3))
    failure = outcomes["model 1"]
    assert failure == Failure("the phone was lost each of the 3 times that it ran")
    assert isinstance(failure, Failure) and not failure.permanent
    assert isinstance(outcomes["model 0"], Round) and isinstance(outcomes["model 2"], Round)


def test_losses_in_a_row_have_an_end(played: Played) -> None:
    played.next = 20 * [_lost_at(0)]
    with pytest.raises(DeviceError, match=r"6 times in a row; at last: gone\. Restart the phone"):
        _measure(_models(3))


# --- a phone in software


@pytest.fixture
def device(phone: Phone, phone_benchmark_model: Path) -> PhoneDevice:
    connection = Connection(phone.serial)
    description = describe(connection)
    sha256 = hashlib.sha256(phone_benchmark_model.read_bytes()).hexdigest()
    session = PhoneSession(
        connection=connection,
        description=description,
        binary=Binary(phone_benchmark_model, sha256),
        cores=description.clusters[-1].cores,
        policy=GuardPolicy(poll_s=0.05),
    )
    return PhoneDevice(session)


def _layers(n: int) -> list[Model]:
    return [Model(each, Graph.parse(each)) for each in signatures(n)]


@pytest.mark.parametrize("format", ["new", "old"])
def test_both_formats_come_with_their_circumstances(
    phone: Phone, device: PhoneDevice, format: str
) -> None:
    phone.set_benchmark(format=format, mode="sleep")
    outcomes, _ = _measure(_layers(2), device)
    for signature, outcome in outcomes.items():
        assert isinstance(outcome, Round)
        assert outcome.min_ms == pytest.approx(made_up_ms(signature), abs=1e-3)
        assert (outcome.statistics.median_ms is None) == (format == "old")
        reported = outcome.circumstances
        assert reported["battery_percent"] == "87" and reported["thermal_status"] == "0"
        assert reported["clock_khz"] == "2841600 to 2841600"
        assert reported["delegated"] == "1/1 in 1 (TfLiteXNNPackDelegate)"
        assert reported["attempts"] == "1" and float(reported["sentinel_ms"]) > 0
        assert {"hottest_c", "battery_c", "charging", "max_khz", "started", "warmup_ms"} <= set(
            reported
        )


def test_models_are_really_run(phone: Phone, device: PhoneDevice) -> None:
    outcomes, _ = _measure(_layers(2), device)
    assert all(isinstance(each, Round) and each.min_ms < 5.0 for each in outcomes.values())
    assert f"--num_threads=1 --warmup_runs={PLAN.min_warmup_runs}" in phone.runs[-1]


@pytest.mark.parametrize("key", ["a b", "'; touch {0}; '", '"$(touch {0})"', "`touch {0}`", "\n"])
def test_a_model_s_name_is_never_run(
    phone: Phone, device: PhoneDevice, tmp_path: Path, key: str
) -> None:
    phone.set_benchmark(mode="sleep")
    key = key.format(tmp_path / "made")
    outcomes, _ = _measure([Model(key, Graph.parse(signatures(1)[0]))], device)
    assert list(outcomes) == [key]
    assert not (tmp_path / "made").exists()


def test_a_gpu_that_is_not_there(phone: Phone, device: PhoneDevice) -> None:
    device.session.delegate = "gpu"
    with pytest.raises(DeviceError, match="runs nothing on the gpu delegate"):
        _measure(_layers(2), device)
    phone.set_benchmark(gpu=True)
    outcomes, _ = _measure(_layers(2), device)
    assert all(isinstance(each, Round) for each in outcomes.values())


def test_two_processes_never_measure_on_one_phone(phone: Phone, device: PhoneDevice) -> None:
    phone.set_benchmark(mode="sleep")
    first = device.measure(_layers(2), PLAN)
    assert any(isinstance(reported, tuple) for reported in first)  # has begun
    try:
        match = rf"Phone {device.name} is in use by process \d+\. Wait until it is done or measure"
        with pytest.raises(WorkspaceBusy, match=match):
            next(device.measure(_layers(2), PLAN))
    finally:
        first.close()  # type: ignore[attr-defined]
    assert len(_measure(_layers(2), device)[0]) == 2


def test_where_no_lock_can_be_kept_a_phone_is_measured_all_the_same(
    phone: Phone, device: PhoneDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mnaslat").touch()  # in the way of the folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    phone.set_benchmark(mode="sleep")
    outcomes, notices = _measure(_layers(1), device)
    assert len(outcomes) == 1
    assert "the lock file cannot be made: Cannot write" in notices[0]


def test_a_phone_that_changed_since_it_was_opened_is_not_measured(
    phone: Phone, device: PhoneDevice
) -> None:
    phone.set_property("ro.build.fingerprint", "another")
    with pytest.raises(ConfigurationMismatch, match="never mixed"):
        _measure(_layers(1), device)
    assert phone.n_started == 0


def test_a_phone_that_is_capped_from_the_beginning_is_waited_for_a_minute(
    phone: Phone, device: PhoneDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnaslat.profiling.phone import readiness as fitness

    monkeypatch.setattr(fitness, "_CAP_LIFTS_S", 0.3)
    phone.set_benchmark(mode="sleep")
    phone.set_max_clock(1_000_000)
    outcomes, notices = _measure(_layers(1), device)  # its maker may have capped it for good
    assert notices[0].endswith(": guarded with poll-s=0.05")
    assert "is capped at 1.0 of 2.8 GHz; waiting a minute at most" in notices[1]
    assert len(outcomes) == 1


def test_a_phone_that_is_hot_and_capped_from_the_beginning_cools_down_first(
    phone: Phone, device: PhoneDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnaslat.profiling.phone import readiness as fitness

    monkeypatch.setattr(fitness, "_CAP_LIFTS_S", 0.3)
    phone.set_benchmark(mode="sleep")
    phone.set_max_clock(1_000_000)
    phone.set_thermal_status(3)
    measured = device.measure(_layers(1), PLAN)
    assert next(measured) == Notice(f"{device.name}: guarded with poll-s=0.05")
    assert next(measured) == Notice(f"{device.name}: thermal status 3 (severe); waiting")
    phone.set_max_clock(None)
    phone.set_thermal_status(0)
    rest = list(measured)
    assert len([each for each in rest if isinstance(each, tuple)]) == 1
    assert not any("capped" in each.text for each in rest if isinstance(each, Notice))
