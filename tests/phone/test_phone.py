"""The phone in software: what it says of itself, every trouble it can make, and its benchmark."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import adbutils
import pytest

from mnaslat.graph import Graph
from mnaslat.profiling.phone.adb.conditions import CONDITIONS, parse_conditions
from mnaslat.tflite import write_tflite
from tests.phone.adb_server import AdbServer
from tests.phone.fixtures import PhoneBox
from tests.phone.loss import adb_fails
from tests.phone.phone import Phone
from tests.phone.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_HERE = "/data/local/tmp"

SMALL = write_tflite(Graph.parse("fp32 8x8x8 conv1x1>8:relu"))
LARGE = write_tflite(Graph.parse("fp32 56x56x32 conv3x3>64:relu"))


@pytest.fixture
def device(phone: Phone, adb_server: AdbServer) -> adbutils.AdbDevice:
    return adb_server.client.device(serial=phone.serial)


def _run(device: adbutils.AdbDevice, command: str) -> tuple[int, str, str]:
    done = device.shell2(command, v2=True)
    return done.returncode, done.stdout, done.stderr


def _say(device: adbutils.AdbDevice, command: str) -> str:
    return str(_run(device, command)[1])


def _is_ready(server: AdbServer, phone: Phone) -> bool:
    return any(
        each.serial == phone.serial and each.state == "device" for each in server.client.list()
    )


# --- Android's userland


def test_the_shell_is_android_s_user_in_android_s_folders(device: adbutils.AdbDevice) -> None:
    assert _say(device, "echo $PATH $TMPDIR $KSH_VERSION").startswith(
        "/system/bin /data/local/tmp @(#)MIRBSD KSH"
    )
    assert _say(device, "pwd") == "/\n"
    assert "home" not in _say(device, "ls /").split()
    assert _run(device, "awk")[0] == 127
    for tool in ("taskset", "timeout", "tar", "sha256sum", "stat", "grep", "nproc", "df"):
        assert _say(device, f"readlink $(which {tool})") == "toybox\n"


def test_the_shell_may_not_write_everywhere(phone: Phone, device: adbutils.AdbDevice) -> None:
    if phone.userland.owner is None:
        pytest.skip("Commands run as another user only where the phone is root's.")
    assert _say(device, "id -u; whoami") == "2000\nshell\n"
    for path in ("/data/new", "/system/new", "/sys/new", "/new", "/metadata/new"):
        assert _run(device, f"touch {path}")[0] == 1


def test_the_phone_s_files_are_its_own(phone: Phone, device: adbutils.AdbDevice) -> None:
    _run(device, f"echo mine >{_HERE}/file; echo mine >/sdcard/file")
    assert phone.place(f"{_HERE}/file").read_text() == "mine\n"
    assert not (phone.userland.root / "data/local/tmp/file").exists()
    assert str(phone.userland.root) not in Path("/proc/self/mountinfo").read_text()


def test_programs_run_in_the_temporary_folder_but_not_on_the_sdcard(
    device: adbutils.AdbDevice,
) -> None:
    for folder, status in ((_HERE, 0), ("/sdcard", 126)):
        copied = f"cp /system/bin/toybox {folder}/true; chmod 755 {folder}/true; {folder}/true"
        assert _run(device, copied)[0] == status


def test_properties(phone: Phone, device: adbutils.AdbDevice) -> None:
    assert _say(device, "getprop ro.product.model") == "Test Phone\n"
    assert _say(device, "getprop ro.no.such") == "\n"
    assert "[ro.serialno]: [SIM0001]\n" in _say(device, "getprop")
    phone.set_property("ro.build.fingerprint", "a/b:15/C=D")
    assert _say(device, "getprop ro.build.fingerprint") == "a/b:15/C=D\n"


def test_clusters_and_their_clocks(phone: Phone, device: adbutils.AdbDevice) -> None:
    cores = "/sys/devices/system/cpu"
    last = (os.cpu_count() or 1) - 1
    clock = f"cat {cores}/cpu{last}/cpufreq/scaling_max_freq"
    assert len(_say(device, f"cat {cores}/cpu*/cpufreq/cpuinfo_max_freq").split()) == last + 1
    assert _say(device, clock) == "2841600\n"
    phone.set_max_clock(1_500_000)
    assert _say(device, clock) == "1500000\n"
    assert _say(device, f"cat {cores}/cpu{last}/cpufreq/cpuinfo_max_freq") == "2841600\n"
    phone.set_max_clock(None)
    assert _say(device, clock) == "2841600\n"


def test_temperatures(phone: Phone, device: adbutils.AdbDevice) -> None:
    phone.set_zone("cpu-1-0-usr", 91.5)
    phone.set_zone("new-zone", 20.0)
    phone.set_thermal_status(3)
    zones = _say(device, "for z in /sys/class/thermal/thermal_zone*; do cat $z/type $z/temp; done")
    assert "cpu-1-0-usr\n91500\n" in zones and "new-zone\n20000\n" in zones
    thermal = _say(device, "dumpsys thermalservice")
    assert "\nThermal Status: 3\n" in thermal and "mValue=91.5, mType=0" in thermal


def test_battery_and_screen(phone: Phone, device: adbutils.AdbDevice) -> None:
    phone.set_battery(percent=14, temperature_c=43.2, charging=False)
    phone.set_screen(False)
    battery = _say(device, "dumpsys battery")
    assert "\n  level: 14\n" in battery and "\n  temperature: 432\n" in battery
    assert "\n  status: 3\n" in battery and "\n  USB powered: false\n" in battery
    assert "\n  mWakefulness=Asleep\n" in _say(device, "dumpsys power")
    phone.set_battery(charging=True)
    assert "\n  level: 14\n" in _say(device, "dumpsys battery")


def test_what_a_phone_does_not_say(phone: Phone, device: adbutils.AdbDevice) -> None:
    phone.hide("/sys/devices/system/cpu/cpu0/cpufreq")
    phone.hide("/sys/class/thermal/thermal_zone0/temp")
    phone.hide("/system/etc/phone/dumpsys/thermalservice")
    assert _run(device, "cat /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")[0] == 1
    assert _run(device, "cat /sys/class/thermal/thermal_zone0/temp")[0] == 1
    assert _run(device, "dumpsys thermalservice")[1:] == (
        "",
        "Can't find service: thermalservice\n",
    )


def test_a_change_is_never_half_there(phone: Phone, device: adbutils.AdbDevice) -> None:
    zone = "/sys/class/thermal/thermal_zone0"
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for celsius in (5.0, 100.123):
                phone.set_zone("cpu-0-0-usr", celsius)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        read = f"i=0; while [ $i -lt 3000 ]; do read t <{zone}/temp; echo $t; i=$((i+1)); done"
        said = set(_say(device, read).split("\n"))
    finally:
        stop.set()
        changing.join()
    assert said <= {"5000", "100123", "41300", ""} and len(said) >= 3


# --- the cable


def test_unplugging_ends_commands_and_connections(
    phone: Phone, device: adbutils.AdbDevice, adb_server: AdbServer
) -> None:
    ended = threading.Event()

    def work() -> None:
        with adb_fails():
            _run(device, "sleep 1000 & setsid sleep 1001 & wait")
        ended.set()

    working = threading.Thread(target=work)
    working.start()
    wait_until(lambda: len(phone.userland.processes()) >= 3)
    phone.unplug()
    working.join(20.0)
    assert ended.is_set()
    assert phone.userland.processes() == []
    wait_until(lambda: not _is_ready(adb_server, phone))
    phone.plug_in()
    wait_until(lambda: _is_ready(adb_server, phone))
    assert _say(device, "echo back") == "back\n"


def test_a_command_may_outlive_its_connection(make_phone: PhoneBox, adb_server: AdbServer) -> None:
    phone = make_phone(orphans=True)
    device = adb_server.client.device(serial=phone.serial)

    def work() -> None:
        with adb_fails():
            _run(device, "sleep 1; echo done >/data/local/tmp/done; sleep 0.1; ls; ls; ls; :")

    working = threading.Thread(target=work)
    working.start()
    wait_until(lambda: len(phone.userland.processes()) == 2)  # the shell and the sleep
    phone.unplug()
    working.join(20.0)
    assert phone.userland.processes() != []  # the sleep is still there, as on a real phone
    wait_until(lambda: not phone.userland.processes())


def test_a_reboot_keeps_files_and_nothing_that_runs(
    phone: Phone, device: adbutils.AdbDevice, adb_server: AdbServer
) -> None:
    boot = "cat /proc/sys/kernel/random/boot_id"
    before = _say(device, boot)
    _run(device, f"echo kept >{_HERE}/file; setsid sleep 1000 >/dev/null 2>&1 &")
    wait_until(phone.userland.processes)
    phone.reboot(0.3)
    assert phone.userland.processes() == []
    wait_until(lambda: not _is_ready(adb_server, phone))
    wait_until(lambda: _is_ready(adb_server, phone))
    assert _say(device, f"cat {_HERE}/file") == "kept\n"
    assert _say(device, boot) != before


def test_the_load_is_the_phone_s_and_not_this_computer_s(
    phone: Phone, device: adbutils.AdbDevice
) -> None:
    asked = CONDITIONS + "conditions"
    assert parse_conditions(_say(device, asked).splitlines()).load == 0.52  # at rest
    for load in (115.5, 3.0):
        phone.set_load(load)
        assert _say(device, "cat /proc/loadavg").split()[:3] == [f"{load:.2f}"] * 3
        assert parse_conditions(_say(device, asked).splitlines()).load == load


def test_a_frozen_phone_keeps_its_connection_and_is_silent(
    phone: Phone, device: adbutils.AdbDevice, adb_server: AdbServer
) -> None:
    said: list[str] = []
    phone.freeze()
    asking = threading.Thread(target=lambda: said.append(_say(device, "echo late")))
    asking.start()
    asking.join(1.0)
    assert asking.is_alive() and _is_ready(adb_server, phone)
    phone.thaw()
    asking.join(20.0)
    assert said == ["late\n"]


def test_a_frozen_phone_can_be_unplugged_and_stopped(
    phone: Phone, device: adbutils.AdbDevice
) -> None:
    phone.freeze()
    asking = threading.Thread(target=_expect_loss, args=(lambda: _run(device, "echo"),))
    asking.start()
    asking.join(0.3)
    phone.unplug()
    asking.join(20.0)
    assert not asking.is_alive()


def test_a_link_is_cut_after_so_many_bytes(
    phone: Phone, device: adbutils.AdbDevice, adb_server: AdbServer
) -> None:
    phone.cut_after(1000)
    stream = device.shell("seq 1 1000", stream=True)
    try:
        received = b""
        while part := stream.conn.recv(4096):
            received += part
    finally:
        stream.close()
    assert received == "".join(f"{number}\n" for number in range(1, 1001)).encode()[:1000]
    wait_until(lambda: _is_ready(adb_server, phone))
    assert len(_say(device, "seq 1 1000").split()) == 1000


def test_noise_on_the_link(phone: Phone, device: adbutils.AdbDevice) -> None:
    phone.garble_link(20)
    done = device.shell2("seq 100 199", v2=True, encoding=None)
    expected = "".join(f"{number}\n" for number in range(100, 200)).encode()
    assert len(done.stdout) == len(expected)
    assert done.stdout[:20] != expected[:20] and done.stdout[20:] == expected[20:]
    assert _say(device, "echo clear") == "clear\n"


def _expect_loss(work: Callable[[], object]) -> None:
    with adb_fails():
        work()


# --- the disk


def test_a_full_disk_is_full_for_shells_and_for_pushed_files(
    phone: Phone, device: adbutils.AdbDevice
) -> None:
    device.sync.push(bytes(100_000), f"{_HERE}/before")
    phone.fill_disk(leave_bytes=1_000_000)
    with adb_fails():
        device.sync.push(bytes(5_000_000), f"{_HERE}/after")
    assert not phone.place(f"{_HERE}/after").exists()
    status, _, trouble = _run(device, f"yes | head -c 5000000 >{_HERE}/after")
    assert "No space left on device" in trouble
    assert _say(device, f"stat -c %s {_HERE}/before") == "100000\n"
    assert int(_say(device, f"df {_HERE}").splitlines()[1].split()[3]) < 1000
    phone.free_disk()
    device.sync.push(bytes(5_000_000), f"{_HERE}/after")
    assert phone.place(f"{_HERE}/after").stat().st_size == 5_000_000


def test_a_disk_has_the_size_asked_for(make_phone: PhoneBox, adb_server: AdbServer) -> None:
    phone = make_phone(disk_bytes=8 * 1024 * 1024)
    device = adb_server.client.device(serial=phone.serial)
    assert _say(device, f"df {_HERE}").splitlines()[1].split()[1] == "8192"


# --- benchmark_model


@pytest.fixture
def benchmark(
    phone: Phone, device: adbutils.AdbDevice, phone_benchmark_model: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs ``benchmark_model`` on a model: exit status, stdout, stderr."""
    device.sync.push(phone_benchmark_model, f"{_HERE}/benchmark_model")
    device.sync.push(SMALL, f"{_HERE}/small.tflite")
    device.sync.push(LARGE, f"{_HERE}/large.tflite")

    def run(*flags: str, model: str = "small.tflite", before: str = "") -> tuple[int, str, str]:
        short = "--num_runs=20 --min_secs=0.02 --warmup_min_secs=0.01 --num_threads=1"
        command = f"chmod 755 benchmark_model; {before} ./benchmark_model --graph={model} {short}"
        return _run(device, f"cd {_HERE}; {command} {' '.join(flags)}")

    return run


Benchmark = Callable[..., tuple[int, str, str]]


def _average_us(output: str) -> float:
    return float(re.findall(r"Inference \(avg\): (\S+)", output)[0])


def test_models_are_really_run(benchmark: Benchmark) -> None:
    small, large = (benchmark(model=name)[1] for name in ("small.tflite", "large.tflite"))
    assert _average_us(large) > 20 * _average_us(small) > 0


def test_the_new_wording(benchmark: Benchmark) -> None:
    status, out, err = benchmark(model="large.tflite")
    assert status == 0
    lines = [line for line in out.splitlines() if line]
    assert all(line.startswith("INFO: ") for line in lines)
    counts = [line for line in lines if line.startswith("INFO: count=")]
    number = r"\d+"
    pattern = rf"INFO: count={number} (first={number} curr={number} min={number} max={number} "
    pattern += rf"avg=\S+ std={number}|curr={number}) p5={number} median={number} p95={number}"
    assert len(counts) == 2 and all(re.fullmatch(pattern, line) for line in counts)
    assert re.search(
        r"^INFO: Inference timings in us: Init: \d+, First inference: \d+, ", out, re.M
    )
    assert re.search(
        r"^INFO: Memory footprint delta from the start of the tool \(MB\): init=", out, re.M
    )
    assert "INFO: Replacing 1 out of 1 node(s) with delegate (TfLiteXNNPackDelegate) node, " in err


def test_the_old_wording(phone: Phone, benchmark: Benchmark) -> None:
    phone.set_benchmark(format="old")
    _, out, _ = benchmark(model="large.tflite")
    assert "INFO" not in out and "median" not in out
    assert re.search(r"^count=\d+ first=\d+ curr=\d+ min=\d+ max=\d+ avg=\S+ std=\d+$", out, re.M)
    assert re.search(r"^Inference timings in us: Init: ", out, re.M)


def test_averages_of_slow_models_have_exponents(phone: Phone, benchmark: Benchmark) -> None:
    phone.set_benchmark(slow=1_000_000.0)
    out = benchmark(model="large.tflite")[1]
    assert re.search(r"Inference \(avg\): \d\.\d+e\+\d\d$", out, re.M)
    assert _average_us(out) >= 1_000_000


def test_as_many_runs_as_asked_and_as_long(benchmark: Benchmark) -> None:
    begin = time.monotonic()
    out = benchmark("--num_runs=3", "--min_secs=0.5")[1]
    assert time.monotonic() - begin > 0.5
    assert "at least 3 iterations and at least 0.5 seconds" in out
    out = benchmark("--num_runs=1000000000", "--min_secs=0", "--max_secs=0.2")[1]
    assert 3 < int(re.findall(r"count=(\d+)", out)[1]) < 1_000_000_000


def test_it_runs_on_the_cores_it_is_given(phone: Phone, benchmark: Benchmark) -> None:
    assert benchmark(before="taskset 1")[0] == 0
    assert phone.runs[-1].split()[0] == "0"
    assert phone.runs[-1].split()[1] == "--graph=small.tflite"


def test_sleeping_prints_made_up_numbers_that_stay(phone: Phone, benchmark: Benchmark) -> None:
    phone.set_benchmark(mode="sleep", sleep_ms=300)
    begin = time.monotonic()
    first, again, other = benchmark()[1], benchmark()[1], benchmark(model="large.tflite")[1]
    assert time.monotonic() - begin > 0.9
    assert _average_us(first) == _average_us(again) != _average_us(other)


@pytest.mark.parametrize(
    ("fault", "status", "is_complete"),
    [("crash", 139, False), ("garble", 0, False), ("truncate", 0, False), ("exit1", 1, False)]
    + [("lowmem", 137, False), ("none", 0, True)],
)
def test_faults(
    phone: Phone, benchmark: Benchmark, fault: str, status: int, is_complete: bool
) -> None:
    phone.set_benchmark(fault=fault)
    done = benchmark()
    assert done[0] == status
    assert ("Inference (avg)" in done[1]) == is_complete


def test_a_hanging_benchmark_is_ended_by_a_timeout(phone: Phone, benchmark: Benchmark) -> None:
    phone.set_benchmark(fault="hang")
    status, out, _ = benchmark(before="timeout 1")
    assert status in (124, 143) and out.count("count=") == 1


def test_faults_of_certain_runs_and_models(phone: Phone, benchmark: Benchmark) -> None:
    phone.set_benchmark(fault="exit1", fault_after=1, fault_until=3)
    assert [benchmark()[0] for _ in range(4)] == [0, 1, 1, 0]
    phone.set_benchmark(fault_after=0, fault_until=None, fault_model=LARGE)
    assert [benchmark()[0], benchmark(model="large.tflite")[0]] == [0, 1]
    assert phone.n_started == len(phone.runs) == 6


def test_something_happens_at_a_certain_run(phone: Phone, benchmark: Benchmark) -> None:
    at: list[int] = []
    phone.when_started(2, lambda: at.append(phone.n_started))
    benchmark()
    time.sleep(0.1)
    assert at == []
    benchmark()
    wait_until(lambda: at == [2])


def test_graphics_delegates(phone: Phone, benchmark: Benchmark) -> None:
    status, out, err = benchmark("--use_gpu=true")
    assert status == 0 and "WARN: GPU acceleration is unsupported" in out
    assert "delegate (TfLiteXNNPackDelegate) node" in err  # the real tool goes on without a word
    assert "Replacing" not in benchmark("--use_xnnpack=false")[2]
    phone.set_benchmark(gpu=True)
    assert "delegate (TfLiteGpuDelegateV2) node" in benchmark("--use_gpu=true")[2]


def test_flags_it_does_not_know(phone: Phone, benchmark: Benchmark) -> None:
    status, out, _ = benchmark("--no_such=1", "--nor_this")
    assert status == 0 and "WARN: Unconsumed cmdline flags: --no_such=1 --nor_this\n" in out
    phone.set_benchmark(unknown_flags="fail")
    assert benchmark("--no_such=1")[0] == 1
    assert benchmark("--num_runs=many")[0] == 1


def test_models_that_are_none(device: adbutils.AdbDevice, benchmark: Benchmark) -> None:
    damaged = {"empty": b"", "text": b"hello, this is no model", "half": LARGE[: len(LARGE) // 2]}
    damaged["cut"] = SMALL[:-40]
    damaged["zeros"] = SMALL[:8] + bytes(len(SMALL) - 8)
    for name, content in damaged.items():
        device.sync.push(content, f"{_HERE}/{name}")
        status, out, err = benchmark(model=name)
        assert (status, "Inference (avg)" in out) == (1, False), name
        assert err.endswith("ERROR: Benchmarking failed.\n")
    status, _, err = benchmark(model="nowhere.tflite")
    assert status == 1 and "Could not open 'nowhere.tflite'" in err


# --- nothing stays


def test_nothing_stays_after_a_stop(tmp_path: Path, adb_server: AdbServer) -> None:
    n_threads, before = threading.active_count(), _children()
    with Phone(tmp_path) as phone:
        device = adb_server.connect(phone)
        _run(device, "setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null 2>&1 &")
        processes = phone.userland.processes()
        assert len(processes) == 2
        phone.when_started(10, lambda: None)
    adb_server.disconnect(phone)
    wait_until(lambda: not any(_is_alive(process) for process in processes))
    assert _children() == before and threading.active_count() == n_threads
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    phone.start()  # it may be switched on again
    phone.stop()


def test_nothing_stays_when_the_computer_s_process_is_killed(
    tmp_path: Path, adb_server: AdbServer
) -> None:
    command = [sys.executable, "-m", "tests.phone", "--folder", str(tmp_path)]
    with _program(command) as program:
        assert program.stdout is not None
        serial = re.findall(r"Phone (\S+) is on", program.stdout.readline())[0]
        said = adb_server.client.connect(serial, timeout=20.0)
        assert "connected" in said
        device = adb_server.client.device(serial=serial)
        _run(device, "setsid sleep 9731 >/dev/null 2>&1 &")
        sleepers = _find("sleep\x009731")
        assert sleepers
        program.kill()
    adb_server.client.disconnect(serial)
    wait_until(lambda: not any(_is_alive(process) for process in sleepers))
    wait_until(lambda: not _find(str(tmp_path)))


def test_the_program_ends_with_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.phone", "--folder", str(tmp_path), "--model", "Mine"]
    with _program(command) as program:
        assert program.stdout is not None
        assert any("Ctrl-C" in line for line in iter(program.stdout.readline, ""))
        program.send_signal(2)
        assert program.wait(20.0) == 0
    assert not _find(str(tmp_path))


def _program(command: list[str]) -> "subprocess.Popen[str]":
    """As somebody types it in a checkout: the current folder is on the path."""
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env={**os.environ, "PYTHONSAFEPATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have made them ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def _children() -> set[str]:
    me = os.getpid()
    return set(Path(f"/proc/{me}/task/{me}/children").read_text().split())


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _find(text: str) -> list[int]:
    """Processes with a text in their command line, this one aside."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if text in (folder / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(folder.name))
            except OSError:
                pass
    return found
