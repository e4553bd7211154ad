"""The pages run: their Python, their commands and options, their links, their figures."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mnaslat
from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.predictors import CalibratedPredictor, TablePredictor, save_predictor
from mnaslat.profiling.phone.device import LAYERS, NETWORKS
from mnaslat.search.accuracy.sources import SOURCES
from mnaslat.search.searchers.registry import SEARCHERS
from mnaslat.space import load_space
from tests.command_line import CommandLine, help_of
from tests.workflow.made_up_device import MadeUpDevice, by_size, small_space

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}
README, PHONES, SEARCH = PAGES["README.md"], PAGES["docs/phones.md"], PAGES["docs/search.md"]
# Pages whose Python other tests run, because it is written to files.
RUN_BY = {
    "docs/extending.md": "tests/test_extending.py",
    "docs/spaces.md": "tests/space/test_spaces_page.py",
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^│ ([a-z]+) ", help_of(), re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES)


def _blocks(page: str, kind: str) -> list[str]:
    """List a page's code blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def _lines(page: str) -> Iterator[str]:
    """Yield what a page's shell blocks type, without comments."""
    typed = [
        line.removeprefix("$ ")
        for block in _blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    for block in [*_blocks(page, "sh"), *typed]:
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield shlex.join(words)


def _quoted_commands(page: str) -> Iterator[str]:
    """Yield the commands of mnaslat in a page's sentences and in its outputs."""
    sentences = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(mnaslat [^`]+)`", sentences)
    for block in _blocks(page, "text"):
        yield from re.findall(r"(?:Next|or): (mnaslat .*)", block)


def _check_mnaslat(words: list[str]) -> None:
    """Check that a command of mnaslat and its options exist."""
    if words[1] in ("COMMAND", *(word for word in words if word.startswith("-"))):
        shown = help_of()
    else:
        shown = ""
        for command in words[1].split("|"):
            assert command in COMMANDS, f"There is no command mnaslat {command}."
            of_group = [word for word in words[2:3] if words[1:3] == ["devices", "clean"]]
            shown += help_of(command, *of_group)
    for word in words[2:]:
        if word.startswith("--"):
            assert f"{word.partition('=')[0]} " in shown, f"{shlex.join(words)}: no {word}"


def _check_line(line: str) -> None:
    """Check one line of a shell block; a program that is not known here fails."""
    for part in line.replace("'&&'", "&&").split(" && "):
        words = shlex.split(part)
        if words[0] == "mnaslat":
            _check_mnaslat(words)
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", MAKEFILE, re.MULTILINE), part
        elif words[:3] == ["pip", "install", "."]:
            assert words[3:] == []
        elif words[:2] == ["python", "-m"]:
            assert (ROOT / words[2].replace(".", "/") / "__main__.py").is_file(), part
        else:
            assert part in (
                ".venv/bin/pip install pre-commit",
                ".venv/bin/pre-commit install",
            ), f"No test knows how to check: {part}"


@each_page
def test_lines_are_short(page: str) -> None:
    lines = [line for line in PAGES[page].splitlines() if len(line) > 120]
    assert lines == []


@each_page
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    targets += re.findall(r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE)
    for target in targets:
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        assert place.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            known = [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]
            assert anchor in known, f"{page} links to {target}"


@each_page
def test_every_line_of_a_shell_block_can_be_typed(page: str) -> None:
    for line in _lines(page):
        _check_line(line)


@each_page
def test_every_command_in_a_sentence_exists(page: str) -> None:
    for command in _quoted_commands(page):
        _check_mnaslat(shlex.split(command))


@each_page
def test_every_option_in_a_sentence_exists(page: str) -> None:
    if page in ("CONTRIBUTING.md", "docs/extending.md"):
        return  # options of other programs
    everywhere = " ".join(help_of(command) for command in COMMANDS) + help_of()
    for quoted in re.findall(r"`(--[^`\n]+)`", PAGES[page]):
        for option in re.findall(r"--[\w-]+", quoted):
            assert f"{option} " in everywhere, f"{page}: no {option}"


@each_page
def test_make_targets_exist(page: str) -> None:
    for target in re.findall(r"`make ([\w-]+)", PAGES[page]):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


@each_page
def test_extras_exist(page: str) -> None:
    for extra in re.findall(r"pip install '\.\[(\w+)\]'", PAGES[page]):
        assert re.search(rf"^{extra} = \[", PROJECT, re.MULTILINE), extra


def _made_up_predictor(path: Path) -> None:
    """Save a predictor with invented latencies where a page expects one."""
    space = load_space("mnasnet")
    signatures = list(space.layer_frequencies())[::40]
    rows = {signature: Row(1.0 + index) for index, signature in enumerate(signatures)}
    configuration = Configuration(device="host", fingerprint="made up")
    base = TablePredictor(LatencyTable(configuration, rows))
    networks = [space.decode(row) for row in space.sample(4, np.random.default_rng(0))]
    predictor = CalibratedPredictor(base).fit(networks, base.predict_ms(networks))
    path.parent.mkdir(parents=True)
    save_predictor(predictor, path)


def _made_up_device(name: str) -> MadeUpDevice:
    """Stand in for `open_device`: what is measured here costs no time."""
    assert name == "host"
    return MadeUpDevice()


def _short_search(*arguments: Any, **options: Any) -> Any:
    """Search as asked, but for a moment and without training a supernet."""
    from mnaslat.workflow.search import run_search

    fast = {"n_samples": min(20, options["n_samples"])}
    if options["accuracy"] == "supernet":
        fast["accuracy"] = by_size
    return run_search(*arguments, **{**options, **fast})


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")])
def test_python_runs(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if page in RUN_BY:
        assert (ROOT / RUN_BY[page]).is_file()
        return
    if "NotebookEvents" in PAGES[page] and find_spec("IPython") is None:
        pytest.skip("notebooks need IPython: pip install ipykernel")
    _made_up_predictor(tmp_path / "mnaslat-workspace" / "predictors" / "NAME.mnaslat")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnaslat, "run_search", _short_search)
    if page == "README.md":
        monkeypatch.setattr(mnaslat, "open_device", _made_up_device)
        monkeypatch.setattr(mnaslat, "load_space", lambda name: small_space())
    names: dict[str, Any] = {"__name__": "page"}
    for block in _blocks(page, "python"):
        exec(compile(block, page, "exec"), names)  # noqa: S102  # our own page
    if page == "README.md":
        assert len(names["best"]) == 5 and Path("report.html").stat().st_size > 10_000
    if page == "docs/predictors.md":
        assert capsys.readouterr().out.startswith("18,127,360 multiply-adds")
        assert Path("my-phone.mnaslat").is_file()


def test_the_first_command_prints_what_readme_shows() -> None:
    install, predict, *_ = _lines("README.md")
    assert install == "pip install ."
    done = CommandLine().run(*shlex.split(predict)[1:])
    assert done.stdout == _blocks("README.md", "text")[0]


def test_the_examples_of_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in _lines("docs/commands.md"):
        assert CommandLine().run(*shlex.split(line)[1:]).stdout
    assert Path("mnasnet-a1.tflite").stat().st_size > 1e6


def test_readme_is_short_and_leads_to_a_report_in_four_commands() -> None:
    assert len(README.splitlines()) <= 130
    _, _, *steps = [shlex.split(line)[1] for line in _lines("README.md")]
    assert steps == ["profile", "calibrate", "search", "report"]
    (journey,) = _blocks("README.md", "console")
    assert "$ " not in re.sub(r"\$ .*\n(?!\$ )", "", journey)  # each command has an output
    assert re.search(r"^!\[.+\]\(benchmarks/results/\w+\.svg\)$", README, re.MULTILINE)


def _result(file: str, task: str, metric: str) -> float:
    """Read one published figure."""
    rows = json.loads((ROOT / "benchmarks" / "results" / f"{file}.json").read_text("utf-8"))
    (value,) = (
        row["value"] for row in rows if (row.get("task"), row.get("metric")) == (task, metric)
    )
    return float(value)


def test_the_figures_in_readme_are_those_of_the_benchmarks() -> None:
    host = "30 fresh networks, 20 calibration networks, full sweep"
    phone = "journey: 20 fresh networks"
    kinds = ("big core fp32", "int8", "GPU")
    new = [f"new phone, 10 suggested networks, {kind}, 10f" for kind in kinds]

    def errors(file: str, *tasks: str, metric: str = "MAPE") -> str:
        return "; ".join(f"{100 * _result(file, task, metric):.1f} %" for task in tasks)

    expected = [
        f"error {errors('host', host, metric='mape')}, "
        f"Spearman {_result('host', host, 'spearman'):.3f}",
        f"error {errors('phone', phone)}, Spearman {_result('phone', phone, 'Spearman'):.3f}",
        f"error {errors('prediction', *(f'{kind}, 10f' for kind in kinds))}",
        f"error {errors('prediction', *new)}",
        f"{_result('search', 'default, anb p20, 500 evaluations', 'regret, %'):.2f} %",
    ]
    section = README.split("## How accurate is it?")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| ([^|]*\d[^|]*) \| \[\w+\] \|$", section, re.MULTILINE)
    assert rows == expected


def test_the_page_on_search_lists_all_searchers_and_sources() -> None:
    rows = re.findall(r"^\| (`.*?) \|", SEARCH, re.MULTILINE)
    named = set(re.findall(r"`([\w-]+)", " ".join(rows)))
    assert set(SEARCHERS) <= named
    assert set(SOURCES) <= named


def test_the_newest_release_is_this_version() -> None:
    releases = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", PAGES["CHANGELOG.md"], re.M)
    assert releases[0] == mnaslat.__version__
    assert f'version = "{mnaslat.__version__}"' in PROJECT.splitlines()
    kinds = set(re.findall(r"^### (.*)$", PAGES["CHANGELOG.md"], re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_limits_of_the_guard_are_documented_as_they_are() -> None:
    (section,) = re.findall(r"## The guard\n(.*?)\n## ", PHONES, re.DOTALL)
    section = re.sub(r"`--guard [^`]*`", "", section)  # an example
    documented = dict(re.findall(r"`([a-z-]+)=([\d.]+)`", section))
    limits = {name.replace("_", "-"): value for name, value in asdict(GuardPolicy()).items()}
    assert {name: float(text) for name, text in documented.items()} == limits


def test_the_documented_example_of_a_guard_is_read() -> None:
    (example,) = re.findall(r"`--guard ([a-z-]+=\d[^`]*)`", PHONES)
    assert GuardPolicy.parse(example).changes == example


def test_the_rounds_of_phones_are_documented_as_they_are() -> None:
    text = " ".join(PHONES.split())
    (documented,) = re.findall(
        r"timed for (\d+) ms a round and networks for (\d+) ms, "
        r"in (\w+) to (\w+) \((\w+) to (\w+)\)",
        text,
    )
    words = {"two": 2, "three": 3, "five": 5, "six": 6}
    assert [int(each) for each in documented[:2]] == [LAYERS.round_ms, NETWORKS.round_ms]
    planned = [LAYERS.n_rounds, LAYERS.max_rounds, NETWORKS.n_rounds, NETWORKS.max_rounds]
    assert [words[each] for each in documented[2:]] == planned
