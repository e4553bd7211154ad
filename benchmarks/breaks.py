"""Breaks the code in about fifty places, one after the other, and sees whether the tests notice.

Run with ``PYTHONPATH=benchmarks .venv/bin/python benchmarks/breaks.py``; takes about half an hour
on one core. Every break is made in a copy of the tracked files, and the tests that concern it run
there; no file of the checkout is changed. A test counts as having found a break if it fails with it
and passes without.

``--only NAME`` tries one break; a part of its name will do, and it can be given more than once.
``--json FILE`` says where the results go; with ``--only``, those of the other breaks stay there.

The exit status is 1 if a break could not be tried: its code is not in exactly one place, or its
tests are not there. One that no test finds is a result, not an error.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from _breaks import BREAKS, Break
from _results import header

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mnaslat", "profiling", "predictors", "search", "data")  # of the package
LIMIT_S = 600.0  # for the tests of one break
# A test's name in pytest's summary; brackets around its parameters may hold anything.
_FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\[\s]+(?:\[.*?\](?= - |$))?)", re.MULTILINE)


class BreakError(Exception):
    """A break that cannot be tried."""


@dataclass(frozen=True)
class Outcome:
    """What came of one break.

    Attributes:
        name: Of the break.
        file: That was changed.
        found: Whether a test failed; None if the break could not be tried.
        by: The first test that failed, or why the break could not be tried.
        seconds: Of the tests.
    """

    name: str
    file: str
    found: bool | None
    by: str
    seconds: float


class Copy:
    """A copy of the tracked files, with a Python that imports the package from there alone.

    The tests start programs, some with a ``PYTHONPATH`` of their own. An environment of its own
    makes all of them import the copy: it has the packages of this Python's environment, but reads
    none of the files there that lead to the checkout.
    """

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        for name in _tracked():
            source, target = ROOT / name, self.tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
        # The repository's other folders must not become packages of their own.
        (folder / "path").mkdir()
        (folder / "path" / "mnaslat").symlink_to(self.tree / "mnaslat")
        venv.create(folder / "venv", with_pip=False)
        self.python = folder / "venv" / "bin" / "python"
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        packages = [path for path in sys.path if path.endswith("site-packages")]
        (site / "copy.pth").write_text("\n".join([str(folder / "path"), *packages]) + "\n")
        self._check()

    def tests(self, patterns: Sequence[str]) -> list[str]:
        """Test files that match, each once, those of the first pattern first."""
        found = [path for pattern in patterns for path in sorted(self.tree.glob(pattern))]
        return [str(path.relative_to(self.tree)) for path in dict.fromkeys(found)]

    def first_failing(self, tests: Sequence[str]) -> str:
        """Run tests up to the first that fails; its name, or nothing if all pass.

        Raises:
            BreakError: If pytest fails in another way, or takes too long.
        """
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        process = subprocess.Popen(
            [str(self.python), "-P", "-m", "pytest", *options, *tests],
            cwd=self.tree,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise BreakError(f"no end of the tests within {LIMIT_S:g} s") from None
        finally:
            _end_group(process)
        if process.returncode == 0:
            return ""
        failed = _FAILED.search(output)
        if process.returncode != 1 or failed is None:
            raise BreakError(f"pytest ended with {process.returncode}: {output[-2000:]}")
        return failed[1]

    def _check(self) -> None:
        code = "import mnaslat.data, mnaslat.search; print(mnaslat.data.__file__, mnaslat.__file__)"
        for at in (self.tree, Path("/")):
            done = subprocess.run(
                [str(self.python), "-P", "-c", code],
                cwd=at,
                env=_environment(),
                capture_output=True,
                text=True,
                check=True,
            )
            for imported in done.stdout.split():
                if self.tree.resolve() not in Path(imported).resolve().parents:
                    raise RuntimeError(f"Python imports {imported}, not the copy {self.tree}.")


def place_of(change: Break) -> Path:
    """The one file of the package that has the break's code, from the root on.

    Raises:
        BreakError: If the code is in no place, or in several.
    """
    places = []
    for name in _tracked():
        if name.endswith(".py") and name.split("/")[0] in FOLDERS:
            path = ROOT / name
            if not path.is_symlink():
                n_found = len(change.pattern.findall(path.read_text(encoding="utf-8")))
                places += [Path(name)] * n_found
    if len(places) != 1:
        listed = ", ".join(map(str, places)) or "no file"
        raise BreakError(f"the code must be in one place, but is in {listed}: {change.old}")
    return places[0]


def tried(change: Break, sound: Copy, folder: Path) -> Outcome:
    """Make a break in a copy of its own, and run its tests."""
    file, started = "", time.monotonic()
    try:
        place = place_of(change)
        file = str(place)
        broken = Copy(folder)
        path = broken.tree / place
        text = change.pattern.sub(lambda _: change.new, path.read_text(encoding="utf-8"))
        compile(text, file, "exec")
        path.write_text(text, encoding="utf-8")
        tests = broken.tests(change.tests)
        if not tests:
            raise BreakError(f"no test file matches {', '.join(change.tests)}")
        started = time.monotonic()
        by = broken.first_failing(tests)
        seconds = round(time.monotonic() - started, 1)
        if by and sound.first_failing([by]):
            raise BreakError(f"{by} fails without the break, too")
    except BreakError as error:
        return Outcome(change.name, file, None, str(error), round(time.monotonic() - started, 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(change.name, file, bool(by), by, seconds)


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and os.path.lexists(ROOT / name)]


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "PYTHONSAFEPATH": "1"}


def _end_group(process: subprocess.Popen[str]) -> None:
    """End what the tests started and left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _chosen(parts: Sequence[str]) -> list[Break]:
    for part in parts:
        if not any(part in each.name for each in BREAKS):
            raise SystemExit(f"No break's name has {part!r} in it.")
    return [each for each in BREAKS if not parts or any(part in each.name for part in parts)]


def main() -> None:
    """Try the breaks, print what found each and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", action="append", default=[])
    parser.add_argument("--json", metavar="FILE", type=Path)
    arguments = parser.parse_args()
    results: Path | None = arguments.json
    if results is None and not arguments.only:
        results = Path(__file__).resolve().parent / "results" / "breaks.json"
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mnaslat-breaks-") as temporary:
        sound = Copy(Path(temporary) / "sound")
        for change in _chosen(arguments.only):
            outcome = tried(change, sound, Path(temporary) / "broken")
            outcomes.append(outcome)
            word = {True: "found", False: "NOT FOUND", None: "ERROR"}[outcome.found]
            print(f"{word:9} {outcome.seconds:6.1f} s  {outcome.name}: {outcome.by}", flush=True)
    if results is not None:
        rows = {each.name: asdict(each) for each in outcomes}
        if arguments.only and results.exists():
            known = {row["name"]: row for row in json.loads(results.read_text("utf-8"))[1:]}
            rows = {**known, **rows}
        text = json.dumps([header(), *rows.values()], indent=1)
        results.write_text(text + "\n", encoding="utf-8")
    n_found = sum(each.found is True for each in outcomes)
    n_errors = sum(each.found is None for each in outcomes)
    print(f"{n_found} of {len(outcomes)} breaks found, {n_errors} could not be tried")
    sys.exit(1 if n_errors else 0)


if __name__ == "__main__":
    main()
