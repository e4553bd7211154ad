"""A number is read from the tool's output only if it is the right one."""

import re
import statistics
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mnaslat.data.measurement import Statistics
from mnaslat.profiling.phone.tool.base import BenchmarkOutput, OutputError
from mnaslat.profiling.phone.tool.output import parse_output, why_it_failed

OLD = """\
Num threads: [1]
Graph: [/data/local/tmp/x.tflite]
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding \
150 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding \
150 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, \
Inference (avg): 2.95034e+06
Memory footprint delta from the start of the tool (MB): init=5.16 overall=9.2
"""
NEW = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/data/local/tmp/y.tflite]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 36 out of 38 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 5 \
partitions for subgraph 0.
INFO: Initialized session in 14.366ms.
INFO: Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=50 first=72635 curr=42240 min=42134 max=72635 avg=43536.2 std=4813 p5=42168 \
median=42430 p95=49447

INFO: Running benchmark for at least 5 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=24 first=42142 curr=42232 min=42142 max=42763 avg=42435.4 std=147 p5=42232 \
median=42405 p95=42729

INFO: Inference timings in us: Init: 14366, First inference: 72635, Warmup (avg): 43536.2, \
Inference (avg): 42435.4
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only \
APPROXIMATE to the actual memory footprint of the model at runtime.
INFO: Memory footprint delta from the start of the tool (MB): init=23.5625 overall=27.5859
"""
RIGHT_OLD = BenchmarkOutput(
    statistics=Statistics(
        n_runs=50,
        first_ms=2990.275,
        min_ms=2727.5685,
        max_ms=3189.954,
        mean_ms=2950.34,
        std_ms=109.798,
    ),
    warmup_ms=3512.391,
    init_ms=17.187,
)
RIGHT_NEW = BenchmarkOutput(
    statistics=Statistics(
        n_runs=24,
        first_ms=42.142,
        min_ms=42.1425,
        max_ms=42.763,
        mean_ms=42435.4 / 1e3,
        std_ms=0.147,
        median_ms=42.405,
    ),
    warmup_ms=43536.2 / 1e3,
    init_ms=14.366,
    delegated="36/38 in 5 (TfLiteXNNPackDelegate)",
)
BOTH = pytest.mark.parametrize(("text", "right"), [(OLD, RIGHT_OLD), (NEW, RIGHT_NEW)])
BOTH_TEXTS = st.sampled_from([OLD, NEW])


def _times(output: BenchmarkOutput) -> BenchmarkOutput:
    """What is promised of a damaged text: all but what the tool prints once, with nothing near it.

    An end of line that turns into a digit may lengthen the last number of a line: the deviation.
    """
    return replace(output, statistics=replace(output.statistics, std_ms=0.0), delegated="")


# --- what is read


@BOTH
def test_both_formats_are_read(text: str, right: BenchmarkOutput) -> None:
    assert parse_output(text) == right


@pytest.mark.parametrize(
    "prefix",
    [
        "I tflite  : ",
        "03-12 10:04:31.319  2638  2638 I tflite  : ",
        "I/tflite  ( 2638): ",
        "03-12 10:04:31.319 I/tflite( 2638): ",
        "10:04:31.319  2638-2638  tflite          org.tensorflow.lite.benchmark  I  ",
        "1700000000.123 ",
        "   INFO: ",
        "\t",
    ],
)
@BOTH
def test_logcats_and_levels_may_stand_before_the_lines(
    text: str, right: BenchmarkOutput, prefix: str
) -> None:
    lines = text.replace("INFO: ", "").replace("VERBOSE: ", "").splitlines()
    assert parse_output("".join(f"{prefix}{line}\n" for line in lines)) == right


def test_a_terminals_ends_of_line_are_read() -> None:
    assert parse_output(NEW.replace("\n", "\r\n")) == RIGHT_NEW


def test_equal_runs_are_a_statistic_without_spread() -> None:
    line = "count=24 curr=7(all same) p5=7 median=7 p95=7"
    text = re.sub("count=24.*", line, NEW).replace("(avg): 42435.4", "(avg): 7")
    assert parse_output(text).statistics == Statistics(
        n_runs=24, first_ms=0.007, min_ms=0.007, max_ms=0.007, mean_ms=0.007, std_ms=0.0,
        median_ms=0.007,
    )  # fmt: skip


@pytest.mark.parametrize("nan", ["nan", "-nan", "0"])
def test_a_warm_up_that_was_switched_off_is_no_run(nan: str) -> None:
    text = re.sub("count=50.*", "count=0 p5=0 median=0 p95=0", NEW)
    text = text.replace("First inference: 72635", "First inference: 0").replace("43536.2", nan)
    output = parse_output(text)
    assert output.warmup_ms == 0.0
    assert output.statistics == RIGHT_NEW.statistics


def test_the_tables_of_profiled_operators_are_no_statistics_of_the_model() -> None:
    table = (
        "============================== Run Order ==============================\n"
        "Timings (microseconds): count=50 first=108 curr=128 min=102 max=197 avg=150.8 std=24\n"
        "INFO: Timings (microseconds): count=5 first=8 curr=8 min=8 max=9 avg=8.5 std=0\n"
        "Memory (bytes): count=0\n31 nodes observed\n"
    )
    assert parse_output(NEW.replace("INFO: Note", f"{table}INFO: Note")) == RIGHT_NEW


def test_what_several_delegates_took_is_told() -> None:
    more = "INFO: Replacing 2 out of 3 node(s) with delegate (Other) node, yielding 1 partitions.\n"
    output = parse_output(NEW.replace("INFO: Initialized", f"{more}INFO: Initialized"))
    assert output.delegated == "36/38 in 5 (TfLiteXNNPackDelegate); 2/3 in 1 (Other)"


# --- never a wrong number


@BOTH
def test_a_text_cut_anywhere_gives_the_right_numbers_or_none(
    text: str, right: BenchmarkOutput
) -> None:
    summary_end = text.index("\n", text.index("Inference timings")) + 1
    for end in range(len(text)):
        if end < summary_end:
            with pytest.raises(OutputError, match="missing"):
                parse_output(text[:end])
        else:
            assert parse_output(text[:end]) == right


@given(BOTH_TEXTS, st.data())
def test_a_changed_byte_gives_the_right_times_or_none(text: str, data: st.DataObject) -> None:
    # A digit for another digit is the next test's.
    index = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255))
    assume(not (text[index].isdigit() and chr(byte).isdigit()))
    changed = bytearray(text.encode())
    changed[index] = byte
    try:
        output = parse_output(changed.decode(errors="replace"))
    except OutputError:
        return
    assert _times(output) == _times(parse_output(text))


@pytest.mark.parametrize("number", ["count=50", "min=2727568", "max=3189954", "std=109798"])
def test_a_lost_digit_of_what_is_printed_once_is_noticed(number: str) -> None:
    with pytest.raises(OutputError, match="contradicts itself"):
        parse_output(OLD.replace(number, number[:-1]))


def test_a_line_cut_before_its_quantiles_is_noticed() -> None:
    with pytest.raises(OutputError, match="is cut"):
        parse_output(NEW.replace("std=147 ", "std=147\n"))


@given(
    st.lists(st.integers(1, 10**7), min_size=2, max_size=50).filter(lambda each: len(set(each)) > 1)
)
def test_statistics_of_any_runs_are_believed(runs_us: list[int]) -> None:
    mean = f"{sum(runs_us) / len(runs_us):.6g}"
    spread = statistics.pstdev(runs_us)
    line = (
        f"count={len(runs_us)} first={runs_us[0]} curr={runs_us[-1]} min={min(runs_us)} "
        f"max={max(runs_us)} avg={mean} std={int(spread)}"
    )
    text = re.sub("count=50 .*", line, OLD).replace("(avg): 2.95034e+06", f"(avg): {mean}")
    found = parse_output(text).statistics
    assert (found.n_runs, found.first_ms) == (len(runs_us), runs_us[0] / 1e3)
    assert found.mean_ms == float(mean) / 1e3


@given(BOTH_TEXTS, st.data())
def test_a_changed_digit_of_what_is_printed_twice_is_noticed(
    text: str, data: st.DataObject
) -> None:
    mean, init, first = r"avg=([\d.]+)", r"Init: (\d+)", r"First inference: (\d+)"
    summary = r"\(avg\): ([\d.]+)"
    places = [
        index
        for pattern in (mean, init, first, summary)
        for found in re.finditer(pattern, text)
        for index in range(*found.span(1))
        if text[index].isdigit()
    ]
    index = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from("0123456789").filter(lambda each: each != text[index]))
    with pytest.raises(OutputError, match="contradict"):
        parse_output(text[:index] + digit + text[index + 1 :])


@given(
    BOTH_TEXTS,
    st.integers(min_value=0),
    st.text(st.characters(codec="utf-8", exclude_characters="\n")),
)
def test_other_lines_between_the_tools_change_nothing(text: str, place: int, other: str) -> None:
    assume(not re.search("count=|Inference timings|Running|Graph|Initialized|MB", other))
    assume("STARTING" not in other and "Replacing" not in other)
    lines = text.split("\n")[:-1]
    lines.insert(place % len(lines), other)
    assert parse_output("".join(f"{line}\n" for line in lines)) == parse_output(text)


@given(BOTH_TEXTS, st.lists(st.text(" \t", max_size=5), min_size=40, max_size=40))
def test_white_space_before_lines_changes_nothing(text: str, spaces: list[str]) -> None:
    lines = text.splitlines()
    changed = "".join(f"{space}{line}\n" for space, line in zip(spaces, lines, strict=False))
    assert parse_output(changed) == parse_output(text)


@given(BOTH_TEXTS, st.integers(min_value=0), BOTH_TEXTS)
def test_two_runs_in_one_text_are_refused(text: str, end: int, then: str) -> None:
    cut = text[: end % len(text)]
    assume("Graph" in cut or "count=" in cut)
    for glued in (cut + then, then + text[len(cut) // 2 :]):
        try:
            output = parse_output(glued)
        except OutputError:
            continue
        assert _times(output) in (_times(parse_output(text)), _times(parse_output(then)))
    with pytest.raises(OutputError, match="more than one run"):
        parse_output(text + then)


@pytest.mark.parametrize("start", ["INFO: count=50", "INFO: count=24", "INFO: Inference timings"])
def test_a_line_twice_is_refused(start: str) -> None:
    lines = NEW.splitlines(keepends=True)
    lines = [line for each in lines for line in ([each] * (1 + each.startswith(start)))]
    with pytest.raises(OutputError):
        parse_output("".join(lines))


@pytest.mark.parametrize(
    ("number", "instead", "reason"),
    [
        ("min=42142", "min=42143", "contradicts itself"),
        ("max=42763", "max=42700", "contradicts itself"),
        ("curr=42232 min=42142", "curr=42141 min=42142", "contradicts itself"),
        ("median=42405", "median=42764", "contradicts itself"),
        ("std=147", "std=622", "contradicts itself"),
        ("count=24 first=42142", "count=0 first=42142", "contradicts itself"),
        ("count=24 first=42142", "count=1 first=42142", "contradicts itself"),
        ("count=24 first=42142", "count=2 first=42142", "contradicts itself"),
        ("avg=42435.4", "avg=inf", "is damaged"),
        ("avg=42435.4", "avg=-42435.4", "is damaged"),
        ("Init: 14366", "Init: 14365", "contradicts the statistics"),
        ("First inference: 72635", "First inference: 0", "contradicts the statistics"),
        ("(avg): 43536.2", "(avg): nan", "contradicts the statistics"),
    ],
)
def test_what_cannot_be_true_is_refused(number: str, instead: str, reason: str) -> None:
    assert number in NEW
    with pytest.raises(OutputError, match=reason):
        parse_output(NEW.replace(number, instead))


def test_a_fastest_run_within_a_microsecond_lies_in_its_middle_or_at_the_mean() -> None:
    for mean, expected_ms in (("0.636007", 0.0005), ("0.25", 0.00025)):
        line = f"count=9000 first=16 curr=0 min=0 max=16 avg={mean} std=0 p5=0 median=1 p95=1"
        text = re.sub("count=24.*", line, NEW).replace("(avg): 42435.4", f"(avg): {mean}")
        assert parse_output(text).statistics.min_ms == pytest.approx(expected_ms, rel=1e-12)


def test_a_model_that_takes_no_time_is_refused() -> None:
    text = re.sub("count=24.*", "count=9 curr=0(all same) p5=0 median=0 p95=0", NEW)
    with pytest.raises(OutputError, match=r"less than a microsecond.* Measure a larger model\."):
        parse_output(text.replace("(avg): 42435.4", "(avg): 0"))


def test_a_run_without_a_timed_run_is_refused() -> None:
    text = re.sub("count=24.*", "count=0", NEW).replace("(avg): 42435.4", "(avg): nan")
    with pytest.raises(OutputError, match="no run was timed"):
        parse_output(text)


@given(st.text())
def test_any_other_text_is_refused_with_a_short_quotation(text: str) -> None:
    with pytest.raises(OutputError, match="Measure the model again") as caught:
        parse_output(text + "x" * 1000)
    assert len(str(caught.value)) < 1200  # 200 characters, each at most an escape such as \\U...


# --- why it failed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "INFO: STARTING!\nERROR: Model provided has model identifier 'xxxx'\n"
            "ERROR: Failed to load the model\nERROR: Benchmarking failed.\n",
            "ERROR: Model provided has model identifier 'xxxx'",
        ),
        ("ERROR: Benchmarking failed.", "ERROR: Benchmarking failed."),
        (
            "ERROR: odd\nsh: ./benchmark_model: not executable: 64-bit ELF file\n",
            "sh: ./benchmark_model: not executable: 64-bit ELF file",
        ),
        (
            'CANNOT LINK EXECUTABLE "./b": library "x.so" not found',
            'CANNOT LINK EXECUTABLE "./b": library "x.so" not found',
        ),
        ("sh: ./b: can't execute: Permission denied", "sh: ./b: can't execute: Permission denied"),
        ("sh: ./b: inaccessible or not found\r\n", "sh: ./b: inaccessible or not found"),
        ("WARN: Failed to get it\nUnconsumed cmdline flags: --x", "Unconsumed cmdline flags: --x"),
        ("WARNING: linker: Failed to find x\n", ""),
        ("E tflite  : No such op", "E tflite  : No such op"),
        (OLD, ""),
        ("", ""),
    ],
)
def test_the_most_telling_line_is_found(text: str, reason: str) -> None:
    assert why_it_failed(text) == reason


def test_an_output_that_fails_tells_why() -> None:
    with pytest.raises(OutputError, match="statistics is missing; it says 'ERROR: No such op'"):
        parse_output("INFO: STARTING!\nERROR: No such op\nERROR: Benchmarking failed.\n")
    with pytest.raises(OutputError, match="is missing; it is empty"):
        parse_output("")
