"""Classifies one run of the benchmark tool: measured, crashed, unsupported or out of range."""

from contextlib import suppress
from dataclasses import dataclass

from mnaslat.errors import DeviceError
from mnaslat.profiling.device import Failure
from mnaslat.profiling.phone.batch import Ran
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.phone.tool.delegates import DELEGATES
from mnaslat.profiling.phone.tool.elf import loader
from mnaslat.profiling.phone.tool.output import (
    BenchmarkOutput,
    OutputError,
    parse_output,
    why_it_failed,
)

_NEARLY = 0.9  # lines come late: times between them are a little too short or too long


class ToolBroken(DeviceError):
    """The tool does not start, or fails with the simplest model: no model is to blame."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Classifies runs of the tool.

    Attributes:
        phone: Its name, for messages.
        binary: The tool.
        delegate: One of ``DELEGATES``, which the tool was asked for.
        timeout_s: A run that took longer was killed.
    """

    phone: str
    binary: Binary
    delegate: str
    timeout_s: float

    def model(self, ran: Ran) -> BenchmarkOutput | Failure:
        """Classify the run of a model.

        Raises:
            ToolBroken: If the tool does not start.
        """
        reported = self._read(ran)
        if isinstance(reported, BenchmarkOutput) and self._lacks_delegate(reported):
            return Failure(
                f"no part of it ran on the {self.delegate} delegate: {_said(reported, ran)}"
            )
        return reported

    def sentinel(self, ran: Ran) -> BenchmarkOutput:
        """Classify the run of the simplest model.

        Raises:
            ToolBroken: If it failed.
            DeviceError: If the tool has not the delegate.
        """
        reported = self._read(ran)
        if isinstance(reported, Failure):
            raise ToolBroken(
                f"The benchmark tool fails even with the simplest model: {reported.reason}"
            )
        if self._lacks_delegate(reported):
            raise DeviceError(
                f"Phone {self.phone}: the benchmark tool runs nothing on the {self.delegate} "
                f"delegate: {_said(reported, ran)}. Choose another one with --delegate, or give a "
                "tool that has it with --benchmark-binary PATH."
            )
        return reported

    def _read(self, ran: Ran) -> BenchmarkOutput | Failure:
        if ran.status in (126, 127):
            raise ToolBroken(f"The benchmark tool does not start: {self._why_not(ran)}")
        if ran.status > 128:
            if ran.seconds > _NEARLY * self.timeout_s:
                return Failure(f"no end within {self.timeout_s:g} s", permanent=False)
            return Failure(f"the tool was ended by signal {ran.status - 128}", permanent=False)
        if ran.status != 0:
            said = why_it_failed(ran.output) or "it said nothing"
            return Failure(f"the tool ended with exit status {ran.status}: {said}")
        try:
            return parse_output(ran.output)
        except OutputError as error:
            return Failure(str(error), permanent=False)

    def _why_not(self, ran: Ran) -> str:
        said = why_it_failed(ran.output) or "it said nothing"
        with suppress(OSError):
            if loader(self.binary.path.read_bytes()).startswith("/lib"):
                return (
                    f"{said}. It is built for Linux, not Android: give another one with "
                    "--benchmark-binary PATH"
                )
        return said

    def _lacks_delegate(self, reported: BenchmarkOutput) -> bool:
        return DELEGATES[self.delegate].runtime_name not in reported.delegated.lower()


def _said(reported: BenchmarkOutput, ran: Ran) -> str:
    return why_it_failed(ran.output) or f"nodes taken: {reported.delegated or 'none'}"
