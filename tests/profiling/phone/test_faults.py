"""Sweeps of a phone in software that are disturbed at a random moment.

Each ends complete, or stops with a message that says what to do and is resumed to completion. The
benchmark prints the same numbers for the same model whenever it is undisturbed, so a table that is
equal to the one known beforehand has nothing in it that was damaged, throttled or of another tool.
"""

import gc
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import adbutils
import pytest

from mnaslat.errors import ConfigurationMismatch, DeviceError
from mnaslat.profiling.phone import batch
from mnaslat.profiling.phone import readiness as fitness
from mnaslat.profiling.phone import reconnection as presence
from mnaslat.profiling.phone.adb import connection
from mnaslat.profiling.phone.tool.installation import FOLDER
from tests.phone.adb_server import AdbServer
from tests.phone.fixtures import PhoneBox
from tests.phone.waiting import wait_until
from tests.profiling.phone.sweeping import Sweeping, model

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice within a second what takes half a minute on a real phone."""
    monkeypatch.setattr(batch, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(presence, "_POLL_S", 0.1)
    monkeypatch.setattr(presence, "_ANSWER_S", 2.0)
    monkeypatch.setattr(connection, "_DIAL_S", 1.0)


@pytest.fixture
def server(adb_server: AdbServer) -> Iterator[AdbServer]:
    """The adb server; it is there again after the test."""
    yield adb_server
    try:
        adb_server.client.server_version()
    except (adbutils.AdbError, OSError, subprocess.SubprocessError):
        adb_server.kill()
        adb_server.start()
    gc.collect()  # sockets that adbutils left open while there was no server


# --- the cable


def unplugged(sweeping: Sweeping) -> None:
    def act() -> None:
        sweeping.phone.unplug()
        sweeping.pause(0.3)
        sweeping.phone.plug_in()

    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())
    assert any("is back after" in text or "answers again" in text for text in sweeping.notices)


def unplugged_often(sweeping: Sweeping) -> None:
    def act() -> None:
        for _ in range(3):
            sweeping.phone.unplug()
            sweeping.pause(0.1)
            sweeping.phone.plug_in()
            sweeping.pause(0.4)

    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())


def cut_within_a_line(sweeping: Sweeping) -> None:
    n_bytes = sweeping.rng.randint(1, 5000)
    sweeping.at_random(lambda: sweeping.phone.cut_after(n_bytes))
    sweeping.check(sweeping.sweep())


def away_for_too_long(sweeping: Sweeping) -> None:
    sweeping.at_random(sweeping.phone.unplug)
    with pytest.raises(
        DeviceError, match=r"did not come back within 1.0 s: .*type the same command"
    ):
        sweeping.sweep(absence_limit_s=1.0)
    sweeping.phone.plug_in()
    sweeping.check(sweeping.sweep())


def rebooted(sweeping: Sweeping) -> None:
    sweeping.at_random(lambda: sweeping.phone.reboot(0.5))
    sweeping.check(sweeping.sweep())


def rebooted_and_starting_slowly(sweeping: Sweeping) -> None:
    def act() -> None:
        sweeping.phone.set_property("sys.boot_completed", "")
        sweeping.phone.reboot(0.2)
        n_started = sweeping.phone.n_started
        sweeping.pause(1.0)
        assert sweeping.phone.n_started == n_started, "measured while Android was starting"
        sweeping.phone.set_property("sys.boot_completed", "1")

    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())


def frozen_briefly(sweeping: Sweeping) -> None:
    def act() -> None:
        sweeping.phone.freeze()
        sweeping.pause(sweeping.rng.choice((0.3, 3.0)))
        sweeping.phone.thaw()

    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())


def frozen_for_too_long(sweeping: Sweeping) -> None:
    sweeping.at_random(sweeping.phone.freeze)
    with pytest.raises(
        DeviceError, match=r"did not come back within 1.0 s: .*type the same command"
    ):
        sweeping.sweep(absence_limit_s=1.0)
    sweeping.phone.thaw()
    sweeping.check(sweeping.sweep())


def no_longer_authorised(sweeping: Sweeping) -> None:
    def act() -> None:
        sweeping.phone.authorised = False

    def accept(text: str) -> None:
        if "asks to be authorised: unlock it" in text:
            sweeping.phone.authorised = True

    sweeping.on_notice = accept
    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())
    assert any("asks to be authorised" in text for text in sweeping.notices)


def another_build(sweeping: Sweeping) -> None:
    phone, build = sweeping.phone, "ro.build.fingerprint"
    before = phone.state.property(build)

    def act() -> None:
        phone.unplug()
        phone.set_property(build, "mnaslat/test/phone:15/NEW/2:user/release-keys")
        phone.plug_in()

    sweeping.at_random(act)
    with pytest.raises(ConfigurationMismatch, match=r"another one: .*15/NEW.*profile --new-table"):
        sweeping.sweep()
    with pytest.raises(ConfigurationMismatch, match="never mixed"):  # also when it is tried again
        sweeping.sweep()
    phone.set_property(build, before)
    sweeping.check(sweeping.sweep())


# --- the adb server


def server_restarted(sweeping: Sweeping) -> None:
    def start(text: str) -> None:  # from this thread: the server ends with the one that started it
        if not _answers(sweeping.server.port):
            sweeping.server.start()

    sweeping.on_notice = start
    sweeping.at_random(sweeping.server.kill)
    sweeping.check(sweeping.sweep())
    assert any("is back after" in text for text in sweeping.notices)


def server_started_anew_by_adbutils(sweeping: Sweeping) -> None:
    server, port = sweeping.server, sweeping.server.port
    adb = sweeping.folder / "adb-that-starts"
    adb.write_text(_ADB_THAT_STARTS.format(folder=sweeping.folder, adb=_REAL_ADB, port=port))
    adb.chmod(0o755)
    sweeping.at_random(server.kill)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADBUTILS_ADB_PATH", str(adb))
        try:
            sweeping.check(sweeping.sweep())
        finally:
            server.client.server_kill()
            wait_until(lambda: not _answers(port))
    assert any("is back after" in text for text in sweeping.notices)


# --- the tool


def one_model_always_crashes(sweeping: Sweeping) -> None:
    bad = sweeping.rng.choice(sweeping.job.signatures)
    sweeping.phone.set_benchmark(fault="crash", fault_model=model(bad))
    result = sweeping.sweep()
    sweeping.check(result, but=bad)
    assert result.failures[bad] == "the tool was ended by signal 11 (tried 3 times)"
    sweeping.phone.set_benchmark(fault="none")
    sweeping.check(sweeping.sweep())  # not its fault for ever


def one_model_is_refused(sweeping: Sweeping) -> None:
    bad = sweeping.rng.choice(sweeping.job.signatures)
    sweeping.phone.set_benchmark(fault="exit1", fault_model=model(bad))
    sweeping.check(sweeping.sweep(), but=bad)
    n_started = sweeping.phone.n_started
    result = sweeping.sweep()  # is not asked for again
    sweeping.check(result, but=bad)
    assert sweeping.phone.n_started == n_started
    assert "Failed to allocate tensors" in result.failures[bad]


def crashes_now_and_then(sweeping: Sweeping) -> None:
    _for_some_runs(sweeping, "crash", 3)


def hangs_once(sweeping: Sweeping) -> None:
    _for_some_runs(sweeping, "hang", 1)


def output_cut_off_with_exit_0(sweeping: Sweeping) -> None:
    _for_some_runs(sweeping, "truncate", 3)


def output_garbled_with_exit_0(sweeping: Sweeping) -> None:
    _for_some_runs(sweeping, "garble", 3)


def tool_out_of_memory(sweeping: Sweeping) -> None:
    _for_some_runs(sweeping, "lowmem", 3)


def nothing_works_for_a_while(sweeping: Sweeping) -> None:
    """All models fail; none of them is to blame."""

    def act() -> None:
        sweeping.phone.set_benchmark(fault=sweeping.rng.choice(("crash", "exit1", "lowmem")))
        sweeping.pause(0.5)
        sweeping.phone.set_benchmark(fault="none")

    sweeping.at_random(act)
    sweeping.check(sweeping.sweep(poll_s=0.5))


def link_garbled(sweeping: Sweeping) -> None:
    def act() -> None:
        for _ in range(3):
            sweeping.phone.garble_link(sweeping.rng.randint(1, 4000))
            sweeping.pause(0.2)

    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())


def shell_killed(sweeping: Sweeping) -> None:
    sweeping.at_random(lambda: wait_until(lambda: _kill_shells(sweeping)))
    sweeping.check(sweeping.sweep())
    assert any("ended from outside (exit status 137)" in text for text in sweeping.notices)


def tool_replaced(sweeping: Sweeping) -> None:
    """By one that works as well, and is slower."""
    sweeping.at_random(lambda: _replace_tool(sweeping, _OTHER_TOOL.encode()))
    sweeping.check(sweeping.sweep())


def tool_damaged(sweeping: Sweeping) -> None:
    content = sweeping.binary.path.read_bytes()
    half = content[: sweeping.rng.randrange(len(content))]
    sweeping.at_random(lambda: _replace_tool(sweeping, half))
    sweeping.check(sweeping.sweep())


def tool_loses_its_execute_bit(sweeping: Sweeping) -> None:
    sweeping.at_random(lambda: sweeping.tool_on_phone.chmod(0o644))
    sweeping.check(sweeping.sweep())


def folder_deleted(sweeping: Sweeping) -> None:
    sweeping.at_random(lambda: shutil.rmtree(sweeping.phone.place(FOLDER), ignore_errors=True))
    sweeping.check(sweeping.sweep())


# --- the phone's conditions


def throttled(sweeping: Sweeping) -> None:
    _slow_for_a_while(sweeping, thermal_status=2)
    sweeping.check(sweeping.sweep())


def hot_at_its_usual_clock(sweeping: Sweeping) -> None:
    """Only Android's thermal status tells."""

    def act() -> None:
        sweeping.phone.set_thermal_status(2)
        sweeping.phone.set_benchmark(slow=1000.0)

    def cool(text: str) -> None:
        if "thermal status 2 (moderate)" in text:
            sweeping.phone.set_benchmark(slow=1.0)
            sweeping.phone.set_thermal_status(0)

    sweeping.on_notice = cool
    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())
    assert any("rounds will be repeated" in text for text in sweeping.notices)


def capped_without_a_word(sweeping: Sweeping) -> None:
    _slow_for_a_while(sweeping, thermal_status=0)
    sweeping.check(sweeping.sweep())


def capped_for_too_long(sweeping: Sweeping) -> None:
    phone = sweeping.phone

    def act() -> None:
        phone.set_max_clock(1_000_000)
        phone.set_benchmark(slow=1000.0)

    sweeping.at_random(act)
    with pytest.raises(DeviceError, match=r"not fit .*capped at 1.0 of 2.8 GHz.*the same command"):
        sweeping.sweep(cooldown_limit_s=0.5)
    phone.set_benchmark(slow=1.0)
    phone.set_max_clock(None)
    sweeping.check(sweeping.sweep())


def battery_empty(sweeping: Sweeping) -> None:
    sweeping.at_random(lambda: sweeping.phone.set_battery(percent=9, charging=False))
    with pytest.raises(DeviceError, match=r"battery at 9 % and not charging: charge it to 15 %"):
        sweeping.sweep()
    sweeping.phone.set_battery(percent=60)
    sweeping.check(sweeping.sweep())


def battery_charging(sweeping: Sweeping) -> None:
    def act() -> None:
        sweeping.phone.set_battery(percent=9, charging=True)

    def charge(text: str) -> None:
        if "battery at 9 %, waiting" in text:
            sweeping.phone.set_battery(percent=60)

    sweeping.on_notice = charge
    sweeping.at_random(act)
    sweeping.check(sweeping.sweep())
    assert any("fit again" in text for text in sweeping.notices)


def disk_full(sweeping: Sweeping) -> None:
    sweeping.at_random(sweeping.phone.fill_disk)
    with pytest.raises(DeviceError, match=r"0 MB left in /data/local/tmp: free at least 64 MB"):
        sweeping.sweep()
    sweeping.phone.free_disk()
    sweeping.check(sweeping.sweep())


def disk_too_small_for_all_models(sweeping: Sweeping) -> None:
    n_bytes = sweeping.rng.choice((0, 100_000, 250_000, 300_000))
    sweeping.phone.fill_disk(leave_bytes=sweeping.binary.path.stat().st_size + 500_000)
    sweeping.at_random(lambda: sweeping.phone.fill_disk(leave_bytes=n_bytes))
    try:
        sweeping.check(sweeping.sweep(min_free_mb=0))
    except DeviceError as error:
        assert "Free some storage on it" in str(error)
    sweeping.phone.free_disk()
    sweeping.check(sweeping.sweep(min_free_mb=0))


# --- this computer


def sweeper_killed(sweeping: Sweeping) -> None:
    _kill_and_start_again(sweeping)


def sweeper_killed_while_the_tool_hangs(sweeping: Sweeping) -> None:
    """What it leaves behind on the phone would run beside the next batch."""
    moment = sweeping.moment()
    sweeping.phone.set_benchmark(fault="hang", fault_after=moment, fault_until=moment + 1)
    _kill_and_start_again(sweeping, moment + 1)


# --- all of it


def one_thing_after_another(sweeping: Sweeping) -> None:
    phone, rng = sweeping.phone, sweeping.rng

    def plug_in_again() -> None:
        phone.unplug()
        sweeping.pause(0.2)
        phone.plug_in()

    def thaw_again() -> None:
        phone.freeze()
        sweeping.pause(rng.uniform(0.1, 2.0))
        phone.thaw()

    def crash_for_a_while() -> None:
        phone.set_benchmark(fault="crash")
        sweeping.pause(0.1)
        phone.set_benchmark(fault="none")

    trouble: list[Callable[[], object]] = [
        plug_in_again,
        thaw_again,
        crash_for_a_while,
        lambda: phone.reboot(0.3),
        lambda: phone.garble_link(rng.randint(1, 3000)),
        lambda: phone.cut_after(rng.randint(1, 3000)),
        lambda: _kill_shells(sweeping),
        lambda: _replace_tool(sweeping, _OTHER_TOOL.encode()),
        lambda: _throttle(sweeping, thermal_status=2, seconds=0.3),
    ]
    rng.shuffle(trouble)

    def act() -> None:
        for each in trouble[: sweeping.n_layers // 10]:
            each()
            sweeping.pause(rng.uniform(0.2, 1.0))

    phone.when_started(5, act)
    try:
        result = sweeping.sweep()
    except DeviceError as error:
        assert "type the same command" in str(error)
        result = sweeping.sweep()
    sweeping.check(result)


FAULTS = (
    one_thing_after_another,
    unplugged,
    unplugged_often,
    cut_within_a_line,
    away_for_too_long,
    rebooted,
    rebooted_and_starting_slowly,
    frozen_briefly,
    frozen_for_too_long,
    no_longer_authorised,
    another_build,
    pytest.param(server_restarted, marks=pytest.mark.filterwarnings("ignore::ResourceWarning")),
    pytest.param(
        server_started_anew_by_adbutils,
        marks=pytest.mark.filterwarnings("ignore::ResourceWarning"),
    ),
    one_model_always_crashes,
    one_model_is_refused,
    crashes_now_and_then,
    hangs_once,
    output_cut_off_with_exit_0,
    output_garbled_with_exit_0,
    tool_out_of_memory,
    nothing_works_for_a_while,
    link_garbled,
    shell_killed,
    tool_replaced,
    tool_damaged,
    tool_loses_its_execute_bit,
    folder_deleted,
    throttled,
    hot_at_its_usual_clock,
    capped_without_a_word,
    capped_for_too_long,
    battery_empty,
    battery_charging,
    disk_full,
    disk_too_small_for_all_models,
    sweeper_killed,
    sweeper_killed_while_the_tool_hangs,
)

# One of each kind: the link, the tool's output, heat, the disk, and the program itself.
EVERY_TIME = (unplugged, output_garbled_with_exit_0, throttled, disk_full, sweeper_killed)

Fault = Callable[[Sweeping], None]


def _now_and_then(fault: Any) -> Any:
    """The fault as a parameter, marked as slow unless it is made every time."""
    if fault in EVERY_TIME:
        return fault
    values, marks = (fault.values, fault.marks) if hasattr(fault, "marks") else ((fault,), ())
    return pytest.param(*values, marks=(*marks, pytest.mark.slow))


@pytest.mark.parametrize("fault", [_now_and_then(fault) for fault in FAULTS])
@pytest.mark.parametrize(
    ("n_layers", "seed"),
    [(40, 0)] + [pytest.param(200, seed, marks=pytest.mark.slow) for seed in (1, 2, 3)],
)
def test_a_disturbed_sweep_ends_as_an_undisturbed_one(
    fault: Fault,
    n_layers: int,
    seed: int,
    make_phone: PhoneBox,
    server: AdbServer,
    phone_benchmark_model: Path,
    tmp_path: Path,
) -> None:
    rng = random.Random(f"{fault.__name__} {seed}")
    phone = make_phone(orphans=rng.random() < 0.5 or "sweeper" in fault.__name__)
    sweeping = Sweeping(
        phone, server, phone_benchmark_model, tmp_path, n_layers=n_layers, sleep_ms=5.0, rng=rng
    )
    try:
        fault(sweeping)
    finally:
        sweeping.store.close()


def test_an_undisturbed_sweep(
    make_phone: PhoneBox, server: AdbServer, phone_benchmark_model: Path, tmp_path: Path
) -> None:
    sweeping = Sweeping(
        make_phone(),
        server,
        phone_benchmark_model,
        tmp_path,
        n_layers=40,
        sleep_ms=5.0,
        rng=random.Random(0),
    )
    try:
        sweeping.check(sweeping.sweep())
        assert sweeping.notices == []
        assert sweeping.phone.n_started == 2 * (40 + 1)  # and the sentinel's, one a batch
    finally:
        sweeping.store.close()


@pytest.mark.parametrize("wait", ["for a battery", "for a phone"])
def test_waiting_ends_with_the_budget(
    wait: str,
    make_phone: PhoneBox,
    server: AdbServer,
    phone_benchmark_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (fitness, presence):
        monkeypatch.setattr(module, "_SAY_AGAIN_S", 0.2)  # when a sweep looks at its clock
    phone = make_phone()
    sweeping = Sweeping(
        phone,
        server,
        phone_benchmark_model,
        tmp_path,
        n_layers=40,
        sleep_ms=5.0,
        rng=random.Random(0),
    )
    if wait == "for a phone":
        phone.unplug()
    else:
        phone.set_battery(percent=9, charging=True)
    try:
        assert sweeping.sweep(budget_s=0.5).n_left == 40
    finally:
        sweeping.store.close()


# ---

_REAL_ADB = adbutils.adb_path()

_ADB_THAT_STARTS = """#!/bin/sh
cd '{folder}'
unset ANDROID_ADB_SERVER_ADDRESS
export HOME="$PWD" TMPDIR="$PWD" ADB_MDNS=0 ADB_USB=0 ADB_EMU=0 ADB_LOCAL_TRANSPORT_MAX_PORT=5554
exec '{adb}' -P {port} "$@" >log 2>&1 </dev/null
"""

_OTHER_TOOL = """#!/system/bin/sh
cat <<'END'
Initialized session in 1ms.
count=1 curr=77777
count=2 first=77777 curr=77779 min=77777 max=77779 avg=77778 std=1

Inference timings in us: Init: 1000, First inference: 77777, Warmup (avg): 77777, \
Inference (avg): 77778
END
"""

_PROGRAM = """
import random, sys
from pathlib import Path
from tests.phone.phone import Phone
from tests.profiling.phone.sweeping import Sweeping

class Nobody:
    def __init__(self, serial):
        self.serial = serial
    def set_benchmark(self, **changes):
        pass

serial, tool, folder, n_layers = sys.argv[1:]
sweeping = Sweeping(
    Nobody(serial), None, Path(tool), Path(folder), n_layers=int(n_layers), sleep_ms=0, rng=None
)
result = sweeping.sweep()
sys.exit(result.n_left)
"""


def _for_some_runs(sweeping: Sweeping, fault: str, most: int) -> None:
    first = sweeping.moment()
    until = first + sweeping.rng.randint(1, most)
    sweeping.phone.set_benchmark(fault=fault, fault_after=first, fault_until=until)
    sweeping.check(sweeping.sweep())


def _slow_for_a_while(sweeping: Sweeping, *, thermal_status: int) -> None:
    seconds = sweeping.rng.uniform(0.3, 1.5)
    sweeping.at_random(lambda: _throttle(sweeping, thermal_status=thermal_status, seconds=seconds))


def _throttle(sweeping: Sweeping, *, thermal_status: int, seconds: float) -> None:
    phone = sweeping.phone
    phone.set_thermal_status(thermal_status)
    phone.set_max_clock(1_000_000)
    phone.set_benchmark(slow=1000.0)
    sweeping.pause(seconds)
    phone.set_benchmark(slow=1.0)
    sweeping.pause(0.2)  # runs that began slow have ended
    phone.set_max_clock(None)
    phone.set_thermal_status(0)


def _kill_shells(sweeping: Sweeping) -> int:
    """End the shells of batches; returns how many there were."""
    n_killed = 0
    for process in sweeping.phone.userland.processes():
        try:
            if b"sh\0-c\0mark=" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
                n_killed += 1
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            pass
    return n_killed


def _replace_tool(sweeping: Sweeping, content: bytes) -> None:
    other = sweeping.tool_on_phone.with_name("other")
    other.write_bytes(content)
    other.chmod(0o755)
    other.replace(sweeping.tool_on_phone)


def _kill_and_start_again(sweeping: Sweeping, moment: int | None = None) -> None:
    moment = moment or sweeping.moment()
    before = _sweeper(sweeping)
    try:
        wait_until(lambda: sweeping.phone.n_started >= moment or before.poll() is not None)
    finally:
        before.kill()
        before.wait()
    after = _sweeper(sweeping)
    most = 0
    while after.poll() is None:
        most = max(most, _n_tools_at_once(sweeping))
        time.sleep(0.01)
    assert after.returncode == 0
    assert most == 1
    sweeping.check(sweeping.sweep())


def _sweeper(sweeping: Sweeping) -> "subprocess.Popen[bytes]":
    arguments = (
        sweeping.phone.serial,
        str(sweeping.binary.path),
        str(sweeping.folder),
        str(sweeping.n_layers),
    )
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments], env={**os.environ, "PYTHONPATH": str(_ROOT)}
    )


def _n_tools_at_once(sweeping: Sweeping) -> int:
    """How many benchmarks certainly run at the same moment, at least two moments being looked at.

    The first look may find one that ends before the next begins: only who is still there counts.
    """
    tool = f"{FOLDER}/bin/{sweeping.binary.sha256}\0".encode()

    def is_tool(process: int) -> bool:
        try:
            return Path(f"/proc/{process}/cmdline").read_bytes().startswith(tool)
        except OSError:
            return False

    found = [process for process in sweeping.phone.userland.processes() if is_tool(process)]
    return sum(map(is_tool, found))


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True
