"""Reads what ``benchmark_model`` prints, and never reads a wrong number."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mnaslat.data.measurement import Statistics
from mnaslat.profiling.phone.tool.base import BenchmarkOutput, OutputError

_QUOTED = 200

# A logcat's date, time and process; level and tag in the three ways logcats write them; a level.
_PREFIX = re.compile(
    r"(?:[\d\s:./-]*\s)?"
    r"(?:[VDIWEF] [\w.-]+\s*:\s+|[VDIWEF]/[\w.-]+\s*\(\s*\d+\):\s+|[\w.-]+\s+[\w.]+\s+[VDIWEF]\s+)?"
    r"(?:[A-Z]+:\s+)?",
    re.ASCII,
)
_WHOLE = r"(\d{1,15})"  # the tool counts whole microseconds
_REAL = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"  # C++'s six digits
_QUANTILES = rf"(?: p5={_WHOLE} median={_WHOLE} p95={_WHOLE})?\s*"
_NO_RUN = re.compile(rf"count=0{_QUANTILES}", re.ASCII)
_EQUAL_RUNS = re.compile(rf"count={_WHOLE} curr={_WHOLE}(\(all same\))?{_QUANTILES}", re.ASCII)
_RUNS = re.compile(
    rf"count={_WHOLE} first={_WHOLE} curr={_WHOLE} min={_WHOLE} max={_WHOLE} "
    rf"avg={_REAL} std={_WHOLE}{_QUANTILES}",
    re.ASCII,
)
_SUMMARY_START = "Inference timings in us:"
_SUMMARY = re.compile(
    rf"{_SUMMARY_START} Init: {_WHOLE}, First inference: {_WHOLE}, "
    rf"Warmup \(avg\): (?:{_REAL}|-?nan), Inference \(avg\): (?:{_REAL}|-?nan)\s*",
    re.ASCII,
)
_SESSION = re.compile(rf"Initialized session in {_REAL}ms\.\s*", re.ASCII)
_DELEGATED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, "
    r"yielding (\d+) partitions",
    re.ASCII,
)
# What one run of the tool prints once (and twice), by which two runs in one text are recognised.
_ONCE = ("STARTING!", "Graph: [", "Initialized session in", "Memory footprint delta", "Peak memory")
_TWICE = "Running benchmark for at least"

# The most informative first: what kept the tool from starting, then what it says itself.
_REASONS = (
    re.compile(
        "not executable|CANNOT LINK EXECUTABLE|[Pp]ermission denied|inaccessible or not found"
        "|No such file|Unconsumed cmdline flags"
    ),
    re.compile(r"ERROR: (?!Benchmarking failed)|\bE tflite|E/tflite|Failed to"),
    re.compile("Benchmarking failed|Segmentation fault|Aborted|Killed"),
)
_WARNING = re.compile(r"WARN|Warning|\bW tflite|W/tflite")


def parse_output(text: str) -> BenchmarkOutput:
    """Read what ``benchmark_model`` printed, whether to a terminal or through logcat.

    Other lines may stand between the tool's. The two lines of statistics (warm-up, then timed runs;
    both are printed even if one has no run) and the summary must be whole, and agree: the means and
    the first warm-up run are printed twice, and so is the time to initialise. Of the other numbers
    a wrong digit can only be noticed where no runs have such statistics. The tool cuts times to
    whole microseconds: the fastest run is taken to be in the middle of its microsecond, unless the
    mean is below that.

    Raises:
        OutputError: If something is missing, damaged or contradictory, or if there are two runs.
    """
    contents = [_content(line) for line in text.split("\n")[:-1]]  # the last line has no end
    tool = [each for each in contents if each.startswith(("count=", _SUMMARY_START))]
    counts = [each for each in tool if each.startswith("count=")]
    _refuse_a_second_run(contents)
    if len(tool) < 3 or len(counts) < 2 or len(counts) == len(tool):
        missing = "the summary of the timings" if len(counts) >= 2 else "a line of statistics"
        raise _error(f"{missing} is missing", why_it_failed(text) or _last_line(text))
    if len(tool) > 3 or not tool[2].startswith(_SUMMARY_START):
        raise _error("it holds more than one run, or its lines are out of order", tool[-1])
    warmup, timed = _read_runs(tool[0]), _read_runs(tool[1])
    init_us = _agreed_init_us(tool[2], warmup, timed, contents)
    if timed is None:
        raise _error("no run was timed", tool[1])
    if warmup is not None and (warmup.median_us is None) != (timed.median_us is None):
        raise _error("one of two lines of statistics is cut", tool[1])
    if timed.mean_us == 0:
        raise OutputError(
            "The model runs in less than a microsecond, which benchmark_model cannot time: it "
            f"says {tool[1].strip()[:_QUOTED]!r}. Measure a larger model."
        )
    return BenchmarkOutput(
        statistics=Statistics(
            n_runs=timed.n,
            first_ms=max(timed.first_us, 0.5) / 1e3,
            min_ms=min(timed.min_us + 0.5, timed.mean_us) / 1e3,
            max_ms=timed.max_us / 1e3,
            mean_ms=timed.mean_us / 1e3,
            std_ms=timed.std_us / 1e3,
            median_ms=None if timed.median_us is None else timed.median_us / 1e3,
        ),
        warmup_ms=warmup.mean_us / 1e3 if warmup else 0.0,
        init_ms=init_us / 1e3,
        delegated=_delegated(contents),
    )


def why_it_failed(text: str) -> str:
    r"""Find the most informative line about a failure, shortened; empty if no line tells anything.

    >>> why_it_failed("STARTING!\nERROR: No such op.\nERROR: Benchmarking failed.\n")
    'ERROR: No such op.'
    """
    lines = [line.strip() for line in text.split("\n")]
    for reason in _REASONS:
        for line in lines:
            if reason.search(line) and not _WARNING.search(line):
                return line[:_QUOTED]
    return ""


@dataclass(frozen=True)
class _Runs:
    """One line of statistics, in microseconds."""

    n: int
    first_us: int
    min_us: int
    max_us: int
    mean_us: float
    std_us: int
    median_us: int | None


def _content(line: str) -> str:
    """The line without what a logcat or a log level puts before it."""
    prefix = _PREFIX.match(line)
    return line[prefix.end() :] if prefix else line


def _read_runs(line: str) -> _Runs | None:
    """Statistics of a line; None if no run was made.

    Raises:
        OutputError: If the line is damaged or contradicts itself.
    """
    if _NO_RUN.fullmatch(line):
        return None
    if match := _EQUAL_RUNS.fullmatch(line):
        n, time = int(match[1]), int(match[2])
        curr, quantiles = time, match.groups()[3:]
        runs = _Runs(n, time, time, time, float(time), 0, _whole(match[5]))
        whole = n == 1 if match[3] is None else n > 1
    elif match := _RUNS.fullmatch(line):
        n, first, curr, fastest, slowest = (int(match[group]) for group in range(1, 6))
        quantiles = match.groups()[7:]
        runs = _Runs(n, first, fastest, slowest, float(match[6]), int(match[7]), _whole(match[9]))
        whole = n > 1 and fastest < slowest
    else:
        raise _error("a line of statistics is damaged", line)
    if not whole or not _is_possible(runs, curr, quantiles):
        raise _error("a line of statistics contradicts itself", line)
    return runs


def _is_possible(runs: _Runs, curr_us: int, quantiles: Sequence[str | None]) -> bool:
    """Could these be statistics of any runs at all?"""
    ordered = [int(each) for each in quantiles if each is not None]
    inside = [runs.first_us, curr_us, *ordered]
    slack_us = 1 + 1e-5 * runs.mean_us  # the mean has six digits, the deviation no fraction
    # One run is the fastest and one the slowest, which leaves the mean less than the whole range.
    margin_us = (runs.max_us - runs.min_us) / runs.n - slack_us
    below_us, above_us = runs.mean_us - runs.min_us, runs.max_us - runs.mean_us
    # Samuelson's inequality: no run is further from the mean than that many deviations.
    farthest_us = (runs.std_us + 1) * math.sqrt(runs.n - 1) + slack_us
    return (
        all(runs.min_us <= each <= runs.max_us for each in inside)
        and ordered == sorted(ordered)
        and margin_us <= min(below_us, above_us)
        and max(below_us, above_us) <= farthest_us
        and runs.std_us <= runs.max_us - runs.min_us
    )


def _agreed_init_us(
    line: str, warmup: _Runs | None, timed: _Runs | None, contents: Sequence[str]
) -> int:
    """Time to initialise, from a summary that agrees with the statistics."""
    summary = _SUMMARY.fullmatch(line)
    if summary is None:
        raise _error("the summary of the timings is damaged", line)
    init_us = int(summary[1])
    if warmup is None:
        agrees = summary[3] in (None, "0") and int(summary[2]) == 0
    else:
        agrees = _is_mean(summary[3], warmup) and int(summary[2]) == warmup.first_us
    if timed is not None:
        agrees = agrees and _is_mean(summary[4], timed)
    for content in contents:
        if session := _SESSION.fullmatch(content):
            agrees = agrees and _six_digits(session[1]) == _six_digits(init_us / 1e3)
    if not agrees:
        raise _error("the summary of the timings contradicts the statistics", line)
    return init_us


def _refuse_a_second_run(contents: Sequence[str]) -> None:
    for start in _ONCE:
        found = [each for each in contents if each.startswith(start)]
        if len(found) > 1:
            raise _error("it holds more than one run", found[1])
    if sum(each.startswith(_TWICE) for each in contents) > 2:
        raise _error("it holds more than one run", _TWICE)


def _delegated(contents: Sequence[str]) -> str:
    taken = (_DELEGATED.match(content) for content in contents)
    return "; ".join(f"{each[1]}/{each[2]} in {each[4]} ({each[3]})" for each in taken if each)


def _is_mean(printed: str | None, runs: _Runs) -> bool:
    return printed is not None and _six_digits(printed) == _six_digits(runs.mean_us)


def _six_digits(number: float | str) -> str:
    """As the tool prints it: equal texts are all that two printed numbers can promise."""
    return f"{float(number):.6g}"


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _last_line(text: str) -> str:
    return text.strip().split("\n")[-1]


def _error(what: str, quote: str) -> OutputError:
    said = f"it says {quote.strip()[:_QUOTED]!r}" if quote.strip() else "it is empty"
    return OutputError(
        f"The output of benchmark_model cannot be used: {what}; {said}. Measure the model again."
    )
