"""Defines what a benchmark tool must offer, and what its output is read into."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mnaslat.data.measurement import Statistics
from mnaslat.errors import MnaslatError
from mnaslat.graph import Graph
from mnaslat.profiling.timing_plan import TimingPlan


class OutputError(MnaslatError):
    """The output of a benchmark tool has no latency that can be trusted."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkOutput:
    """One run of a benchmark tool.

    Attributes:
        statistics: Of the timed runs.
        warmup_ms: Mean of the warm-up runs; 0 if there was none.
        init_ms: Loading the model and preparing its kernels.
        delegated: Nodes that a delegate took, as ``12/12 in 1 (TfLiteXNNPackDelegate)``.
    """

    statistics: Statistics
    warmup_ms: float
    init_ms: float
    delegated: str = ""


class BenchmarkTool(Protocol):
    """A program for phones that loads one model, times it and prints the latencies.

    Attributes:
        name: First word of the runtime in a configuration, and the name of the published file.
        package: The Python package whose version says which file fits; empty if none is published.
        published: Address under which ``VERSION/PLATFORM/NAME`` lies.
        platforms: Names of the published platforms, by ABI.
        model_suffix: Of the model files that it reads, as ``.tflite``.
        options: The option that asks for a delegate, by the delegate's name; a name from
            ``mnaslat.data.delegates``.
    """

    name: str
    package: str
    published: str
    platforms: Mapping[str, str]
    model_suffix: str
    options: Mapping[str, str]

    def write_model(self, graph: Graph) -> bytes:
        """Write a graph as a model file of the tool's runtime."""

    def command(
        self, program: str, model: str, plan: TimingPlan, *, threads: int, delegate: str
    ) -> str:
        """Write the shell command of one run, which lasts at least one round of the plan.

        Args:
            program: The tool on the phone, quoted for the shell.
            model: The model file on the phone, quoted for the shell.
            plan: How long to warm up and to time.
            threads: Threads of the runtime.
            delegate: One of ``options``.
        """

    def parse(self, text: str) -> BenchmarkOutput:
        """Read what a run printed, standard output and errors.

        Raises:
            OutputError: If something is missing, damaged or contradictory.
        """

    def why_it_failed(self, text: str) -> str:
        """Return the most informative line about a failure; empty if there is none."""
