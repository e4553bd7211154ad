"""Classifies one run of the benchmark tool: a latency, a failure of the model or of the tool."""

from contextlib import suppress

from mnaslat.data.delegates import DELEGATES
from mnaslat.errors import DeviceError
from mnaslat.profiling.device import Failure
from mnaslat.profiling.phone.batch import Ran
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.base import BenchmarkOutput, OutputError
from mnaslat.profiling.phone.tool.elf import loader

_NEARLY = 0.9  # lines come late: times between them are a little too short or too long


class ToolBroken(DeviceError):
    """The tool does not start, or fails with the simplest model: no model is to blame."""


def classify_run(session: PhoneSession, ran: Ran, *, timeout_s: float) -> BenchmarkOutput | Failure:
    """Classify the run of a model.

    Args:
        session: The phone and its tool.
        ran: The run.
        timeout_s: A run that took longer was killed.

    Raises:
        ToolBroken: If the tool does not start.
    """
    output = _read(session, ran, timeout_s)
    if isinstance(output, BenchmarkOutput) and _lacks_delegate(session, output):
        nodes = _delegated(session, output, ran)
        return Failure(f"no part of it ran on the {session.delegate} delegate: {nodes}")
    return output


def read_sentinel(session: PhoneSession, ran: Ran, *, timeout_s: float) -> BenchmarkOutput:
    """Read the run of the simplest model, which must be successful.

    Raises:
        ToolBroken: If it failed.
        DeviceError: If the tool does not have the delegate.
    """
    output = _read(session, ran, timeout_s)
    if isinstance(output, Failure):
        raise ToolBroken(f"The benchmark tool fails even with the simplest model: {output.reason}")
    if _lacks_delegate(session, output):
        raise DeviceError(
            f"Phone {session.name}: the benchmark tool runs nothing on the {session.delegate} "
            f"delegate: {_delegated(session, output, ran)}. Choose another one with --delegate, or "
            "give a tool that has it with --benchmark-binary PATH."
        )
    return output


def _read(session: PhoneSession, ran: Ran, timeout_s: float) -> BenchmarkOutput | Failure:
    if ran.status in (126, 127):
        raise ToolBroken(f"The benchmark tool does not start: {_why_not(session, ran)}")
    if ran.status > 128:
        if ran.seconds > _NEARLY * timeout_s:
            return Failure(f"no end within {timeout_s:g} s", permanent=False)
        return Failure(f"the tool was ended by signal {ran.status - 128}", permanent=False)
    if ran.status != 0:
        reason = session.tool.why_it_failed(ran.output) or "it said nothing"
        return Failure(f"the tool ended with exit status {ran.status}: {reason}")
    try:
        return session.tool.parse(ran.output)
    except OutputError as error:
        return Failure(str(error), permanent=False)


def _why_not(session: PhoneSession, ran: Ran) -> str:
    reason = session.tool.why_it_failed(ran.output) or "it said nothing"
    with suppress(OSError):
        if loader(session.binary.path.read_bytes()).startswith("/lib"):
            return (
                f"{reason}. It is built for Linux, not Android: give another one with "
                "--benchmark-binary PATH"
            )
    return reason


def _lacks_delegate(session: PhoneSession, output: BenchmarkOutput) -> bool:
    return DELEGATES[session.delegate].runtime_name not in output.delegated.lower()


def _delegated(session: PhoneSession, output: BenchmarkOutput, ran: Ran) -> str:
    return session.tool.why_it_failed(ran.output) or f"nodes taken: {output.delegated or 'none'}"
