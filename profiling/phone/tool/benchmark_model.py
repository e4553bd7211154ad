"""Runs models with ``benchmark_model``, the tool of LiteRT (TensorFlow Lite)."""

from collections.abc import Mapping

from mnaslat.graph import Graph
from mnaslat.profiling.phone.tool.base import BenchmarkOutput
from mnaslat.profiling.phone.tool.output import parse_output, why_it_failed
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.tflite import write_tflite

OPTIONS: Mapping[str, str] = {  # by delegate
    "xnnpack": "--use_xnnpack=true",
    "gpu": "--use_gpu=true",
    "nnapi": "--use_nnapi=true",
    "none": "--use_xnnpack=false",
}
PLATFORMS: Mapping[str, str] = {"arm64-v8a": "android_arm64"}


class BenchmarkModel:
    """LiteRT's ``benchmark_model``."""

    name = "benchmark_model"
    package = "ai-edge-litert"
    # Where Google's own litert-cli fetches it from.
    published = "https://storage.googleapis.com/litert/binaries"
    platforms: Mapping[str, str] = PLATFORMS
    model_suffix = ".tflite"
    options: Mapping[str, str] = OPTIONS

    def write_model(self, graph: Graph) -> bytes:
        """Write a graph as a ``.tflite`` file."""
        return write_tflite(graph)

    def command(
        self, program: str, model: str, plan: TimingPlan, *, threads: int, delegate: str
    ) -> str:
        """Write the shell command of one run; it ends when it has had its runs and its time."""
        options = (
            f"--num_threads={threads}",
            f"--warmup_runs={plan.min_warmup_runs}",
            f"--warmup_min_secs={plan.warmup_ms / 1e3:.6f}",
            f"--num_runs={plan.min_runs}",
            f"--min_secs={plan.round_ms / 1e3:.6f}",
            f"--max_secs={plan.timeout_s:.6f}",
            self.options[delegate],
            f"--graph={model}",
        )
        return f"{program} {' '.join(options)}"

    def parse(self, text: str) -> BenchmarkOutput:
        """Read what a run printed.

        Raises:
            OutputError: If something is missing, damaged or contradictory.
        """
        return parse_output(text)

    def why_it_failed(self, text: str) -> str:
        """Return the most informative line about a failure; empty if there is none."""
        return why_it_failed(text)
