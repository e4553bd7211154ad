"""Batches: only whole reports are believed, and no two batches run at the same time."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.errors import DeviceLost
from mnaslat.profiling.phone.adb.conditions import Conditions
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.batch import (
    MODEL,
    BatchReader,
    Clock,
    NotUnpacked,
    Ran,
    Running,
    ToolChanged,
    run_batch,
)
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.phone.tool.installation import FOLDER, Installed, install
from tests.phone.phone import Phone
from tests.phone.waiting import wait_until
from tests.profiling.phone.sweeping import model, signatures

MARK = "mnaslat-00112233aabbccdd"
TEXT = f"""\
a line of the shell
{MARK} conditions .
battery level: 80
{MARK} tool 11:22:33 .
{MARK} reported .
{MARK} model 0 .
{MARK} clock 1800000/2841600 .
INFO: count=1
mnaslat-ffffffffffffffff exit 0 0 .
no end{MARK} clock 2841600/2841600 .
{MARK} exit 0 0 .
{MARK} model 1 .
{MARK} clock / .
{MARK} clock / .
{MARK} exit 1 137 .
{MARK} conditions .
battery level: 79
{MARK} tool 11:22:33 .
{MARK} reported .
{MARK} done .
"""
FIRST = ("INFO: count=1\nmnaslat-ffffffffffffffff exit 0 0 .\nno end", 0)
KNOWN = Clock(now_khz=1_800_000, most_khz=2_841_600)
UNKNOWN = Clock(now_khz=None, most_khz=None)


def _lines(stream: bytes) -> Iterator[str]:
    """As a connection hands them out: also the last one, which may be cut off."""
    *complete, rest = stream.split(b"\n")
    yield from (line.decode(errors="replace") for line in complete)
    if rest:
        yield rest.decode(errors="replace")


def _read(stream: bytes) -> "tuple[list[object], bool]":
    reader = BatchReader(MARK, n_models=2, identity="11:22:33")
    reported: list[object] = []
    try:
        for each in reader.read(_lines(stream)):
            reported.append(
                (each.index, each.output, each.status, each.before, each.after)
                if isinstance(each, Ran)
                else each
            )
    except ToolChanged:
        reported.append("changed")
    return reported, reader.is_done


WHOLE = [
    Conditions(battery_percent=80),
    Running(0),
    (0, FIRST[0], 0, KNOWN, Clock(now_khz=2_841_600, most_khz=2_841_600)),
    Running(1),
    (1, "", 137, UNKNOWN, UNKNOWN),
    Conditions(battery_percent=79),
]


def test_a_whole_batch_is_read() -> None:
    assert _read(TEXT.encode()) == (WHOLE, True)


def test_a_batch_cut_off_anywhere_is_the_beginning_of_the_whole_one() -> None:
    stream = TEXT.encode()
    for end in range(len(stream)):
        reported, is_done = _read(stream[:end])
        reported = [
            each for each in reported if each != "changed"
        ]  # a line on the tool that is cut off
        assert reported == WHOLE[: len(reported)], end
        assert is_done == (end == len(stream) - 1)


@pytest.mark.parametrize("n_lines", [1, 2, 3])
def test_lines_that_are_lost_take_nothing_whole_with_them(n_lines: int) -> None:
    lines = TEXT.splitlines(keepends=True)
    for first in range(len(lines)):
        reported, _ = _read("".join(lines[:first] + lines[first + n_lines :]).encode())
        for each in reported:
            if isinstance(each, tuple):  # tool's own lines may be missing: its reader finds out
                index, output, status, _, _ = each
                assert (index, status) in ((0, 0), (1, 137))
                assert index == 1 or set(output.split("\n")) <= set(FIRST[0].split("\n"))


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 40), st.integers(0, 2**32))
def test_noise_never_moves_a_result_to_another_model(first: int, length: int, seed: int) -> None:
    noise = random.Random(seed).randbytes(length)
    stream = TEXT.encode()
    reported, _ = _read(stream[:first] + noise + stream[first + length :])
    results = [each for each in reported if isinstance(each, tuple)]
    assert [each[0] for each in results] in ([], [0], [1], [0, 1])
    for index, _, status, *_ in results:
        assert status == (0, 137)[index]


@pytest.mark.parametrize(
    "line",
    [
        "model 2 .",
        "model -1 .",
        "model \u00b2 .",
        "model x .",
        "model .",
        "exit 0 0 .",
        "exit 0 256 .",
        "exit \u00b2 \u00b2 .",
        "clock \u00b2/\u00b2 .",
        "reported .",
        "tool 11:22:33 .",
        "anything .",
        ".",
        "",
    ],
)
def test_a_line_out_of_place_says_nothing(line: str) -> None:
    assert _read(f"{MARK} {line}\n".encode()) == ([], False)


def test_conditions_with_another_tool_or_none_are_not_believed() -> None:
    for identity in ("11:22:34", "", "11:22:33 11:22:33"):
        stream = TEXT.replace("tool 11:22:33", f"tool {identity}").encode()
        assert _read(stream) == (["changed"], False)


def test_errors_stand_before_output_and_complete_none_of_its_lines() -> None:
    clock = f"{MARK} clock / .\n"
    stream = (
        f"{MARK} model 0 .\n{clock}avg=2.9{clock}{MARK} errors .\nERROR: it\nhas no end"
        f"{MARK} exit 0 1 .\n"
    )
    reported, _ = _read(stream.encode())
    assert [each[1] for each in reported if isinstance(each, tuple)] == [
        "ERROR: it\nhas no end\navg=2.9"
    ]


def test_errors_of_the_tool_do_not_break_its_lines(phone: Phone, tool: Installed) -> None:
    (first, *_) = (each for each in _run(phone, tool) if isinstance(each, Ran))
    delegated = "Replacing 1 out of 1 node(s)"  # the real tool says this as an error
    assert first.output.index(delegated) < first.output.index("count=")


def test_marks_of_another_batch_are_output() -> None:
    stream = TEXT.replace(MARK, "mnaslat-0000000000000000").encode()
    assert _read(stream) == ([], False)


# --- on a phone


@pytest.fixture
def tool(phone: Phone, phone_benchmark_model: Path) -> Installed:
    phone.set_benchmark(mode="sleep", sleep_ms=1.0)
    sha256 = hashlib.sha256(phone_benchmark_model.read_bytes()).hexdigest()
    return install(Connection(phone.serial), Binary(phone_benchmark_model, sha256))


QUICK = "--min_secs=0 --warmup_min_secs=0"
MODELS = [model(signature) for signature in signatures(3)]


def _run(phone: Phone, tool: Installed, models: Sequence[bytes] = MODELS) -> list[object]:
    return list(_batch(phone, tool, f"{tool.path} --num_runs=2 {QUICK}", models))


def _batch(
    phone: Phone,
    tool: Installed,
    command: str,
    models: Sequence[bytes] = MODELS,
    limit_s: float = 5.0,
) -> Iterator[object]:
    return run_batch(
        Connection(phone.serial),
        f"{command} --graph={MODEL}",
        models,
        suffix=".tflite",
        tool=tool,
        limit_s=limit_s,
    )


def _order(reported: Sequence[object]) -> list[object]:
    return [
        each.index if isinstance(each, Running) else (each.index, each.status)
        for each in reported
        if isinstance(each, (Running, Ran))
    ]


def test_models_are_run_in_order_between_conditions(phone: Phone, tool: Installed) -> None:
    reported = _run(phone, tool)
    assert _order(reported) == [0, (0, 0), 1, (1, 0), 2, (2, 0)]
    assert isinstance(reported[0], Conditions) and isinstance(reported[-1], Conditions)
    assert not phone.place(f"{FOLDER}/models").exists()


def test_after_a_failure_the_first_model_runs_again(phone: Phone, tool: Installed) -> None:
    phone.set_benchmark(fault="crash", fault_model=MODELS[1])
    assert _order(_run(phone, tool)) == [0, (0, 0), 1, (1, 139), 0, (0, 0), 2, (2, 0)]


def test_a_model_that_hangs_is_killed(phone: Phone, tool: Installed) -> None:
    phone.set_benchmark(fault="hang", fault_model=MODELS[1])
    reported = _batch(phone, tool, tool.path, limit_s=1.0)
    ran = [each for each in reported if isinstance(each, Ran) and each.index == 1]
    assert [each.status for each in ran] == [137] and 0.9 < ran[0].seconds < 5.0


def test_models_that_do_not_fit(phone: Phone, tool: Installed) -> None:
    phone.fill_disk(leave_bytes=100_000)
    with pytest.raises(NotUnpacked, match="No space left on device"):
        _run(phone, tool, [bytes(1_000_000)])


def test_a_folder_that_cannot_be_entered(phone: Phone, tool: Installed) -> None:
    phone.place(FOLDER).rename(phone.place(f"{FOLDER}-moved"))
    with pytest.raises(ToolChanged, match=f"{FOLDER} on phone .* is gone"):
        _run(phone, tool)


def test_a_tool_of_another_identity(phone: Phone, tool: Installed) -> None:
    with pytest.raises(ToolChanged, match="changed, replaced or removed"):
        _run(phone, Installed(tool.path, "1:2:3"))


def test_a_shell_that_is_killed_is_a_loss(phone: Phone, tool: Installed) -> None:
    phone.set_benchmark(sleep_ms=10_000.0)
    with pytest.raises(DeviceLost, match=r"ended from outside \(exit status 137\)"):
        list(_batch(phone, tool, f"kill -KILL $$; {tool.path}"))


def test_what_an_earlier_batch_left_running_is_ended(phone: Phone, tool: Installed) -> None:
    """Its shell is gone, its tool is in a process group of its own."""
    phone.set_benchmark(fault="hang", fault_model=MODELS[1])
    tool_start = f"{FOLDER}/bin".encode()

    def tools() -> list[int]:
        return [
            process
            for process in phone.userland.processes()
            if _command_line(process).startswith(tool_start)
        ]

    left = f"cd {FOLDER}; cat > bad; read -r a b c d e s rest < /proc/$$/stat; echo $s > running; "
    left += f"timeout 1000 {tool.path} --graph=bad < /dev/null > /dev/null 2>&1 & sleep 0.1"
    Connection(phone.serial).run(left, stdin=MODELS[1])
    wait_until(tools)
    (orphan,) = tools()
    phone.set_benchmark(fault="none")
    assert _order(_run(phone, tool)) == [0, (0, 0), 1, (1, 0), 2, (2, 0)]
    assert orphan not in tools()


@pytest.mark.parametrize(
    "content", ["", "0", "1", "; touch made", "$(touch made)", "99999999", "-1"]
)
def test_any_note_of_an_earlier_batch_is_harmless(
    phone: Phone, tool: Installed, content: str
) -> None:
    phone.place(f"{FOLDER}/running").write_text(content)
    assert len(_order(_run(phone, tool))) == 6
    assert not phone.place(f"{FOLDER}/made").exists()


def _command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
