"""One run of the benchmark tool is classified; a whole measurement is tested elsewhere."""

from pathlib import Path

import pytest

from mnaslat.errors import DeviceError
from mnaslat.profiling.device import Failure
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.batch import Clock, Ran
from mnaslat.profiling.phone.run_outcome import ToolBroken, classify_run, read_sentinel
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.base import BenchmarkOutput
from mnaslat.profiling.phone.tool.binary import Binary
from tests.profiling.phone.test_elf import elf
from tests.profiling.phone.test_measurement_loop import DESCRIPTION
from tests.profiling.phone.test_output import NEW  # delegates to XNNPACK

NOT_FOUND = "/system/bin/sh: /data/local/tmp/mnaslat/bin/0: No such file or directory\n"


def session(tool: Path = Path("/nowhere"), delegate: str = "xnnpack") -> PhoneSession:
    return PhoneSession(
        connection=Connection("serial"),
        description=DESCRIPTION,
        binary=Binary(tool, "0" * 64),
        delegate=delegate,
    )


def classified(ran: Ran, session: PhoneSession) -> BenchmarkOutput | Failure:
    return classify_run(session, ran, timeout_s=10.0)


def sentinel(ran: Ran, session: PhoneSession) -> BenchmarkOutput:
    return read_sentinel(session, ran, timeout_s=10.0)


def ran(status: int, output: str = "", seconds: float = 1.0) -> Ran:
    clock = Clock(now_khz=None, most_khz=None)
    return Ran(
        index=1,
        output=output,
        status=status,
        seconds=seconds,
        started=0.0,
        before=clock,
        after=clock,
    )


@pytest.mark.parametrize(
    ("interpreter", "is_for_linux"),
    [("/lib/ld-linux-aarch64.so.1", True), ("/system/bin/linker64", False)],
)
def test_a_tool_for_linux_that_does_not_start_is_named_as_such(
    tmp_path: Path, interpreter: str, is_for_linux: bool
) -> None:
    tool = tmp_path / "tool"
    tool.write_bytes(elf(interpreter=interpreter))
    with pytest.raises(ToolBroken, match="does not start: .*No such file") as caught:
        classified(ran(127, NOT_FOUND), session(tool))
    assert ("built for Linux, not Android" in str(caught.value)) == is_for_linux


def test_a_tool_that_is_gone_here_does_not_hide_what_the_phone_said() -> None:
    with pytest.raises(ToolBroken, match="does not start: .*No such file"):
        classified(ran(127, NOT_FOUND), session())


@pytest.mark.parametrize(
    ("run", "reason", "permanent"),
    [
        (ran(137, seconds=9.5), "no end within 10 s", False),
        (ran(137), "the tool was ended by signal 9", False),
        (ran(1), "the tool ended with exit status 1: it said nothing", True),
        (ran(0, "nonsense\n"), "cannot be used", False),
    ],
)
def test_a_run_without_a_latency_says_why(run: Ran, reason: str, permanent: bool) -> None:
    outcome = classified(run, session())
    assert isinstance(outcome, Failure)
    assert reason in outcome.reason and outcome.permanent == permanent
    with pytest.raises(ToolBroken, match="even with the simplest model"):
        sentinel(run, session())


def test_the_cpu_does_not_stand_under_the_name_of_the_gpu() -> None:
    assert isinstance(classified(ran(0, NEW), session(delegate="xnnpack")), BenchmarkOutput)
    outcome = classified(ran(0, NEW), session(delegate="gpu"))
    assert (
        isinstance(outcome, Failure) and "no part of it ran on the gpu delegate" in outcome.reason
    )
    with pytest.raises(
        DeviceError, match=f"{DESCRIPTION.name}: the benchmark tool runs nothing on the gpu"
    ):
        sentinel(ran(0, NEW), session(delegate="gpu"))
