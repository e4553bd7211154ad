"""Names the benchmark tools that phones can be measured with."""

from mnaslat.profiling.phone.tool.base import BenchmarkTool
from mnaslat.profiling.phone.tool.benchmark_model import BenchmarkModel

DEFAULT_TOOL = "benchmark_model"
TOOLS: dict[str, BenchmarkTool] = {
    "benchmark_model": BenchmarkModel(),
}


def tool_named(name: str) -> BenchmarkTool:
    """Look a tool up by its name.

    Raises:
        ValueError: If there is none of that name.
    """
    try:
        return TOOLS[name]
    except KeyError:
        known = ", ".join(sorted(TOOLS))
        raise ValueError(f"No benchmark tool named {name!r}. Known: {known}.") from None


def tool_of(runtime: str) -> tuple[BenchmarkTool, str] | None:
    """Split the runtime of a configuration into its tool and the hash of the program.

    Returns:
        The tool and the first digits of the program's SHA-256; None if it names no tool.
    """
    name, _, sha256 = runtime.partition(" ")
    return (TOOLS[name], sha256) if name in TOOLS and sha256 else None
