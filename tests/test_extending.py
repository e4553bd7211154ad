"""Every section of docs/extending.md is carried out on a copy of the package, and works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = dict(
    section.split("\n", 1) for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
)
FOLDERS = ("mnaslat", "data", "profiling", "predictors", "search")
_PLACE = re.compile(r"(?P<path>[\w/.]+\.py)(, (?P<where>before|in) (?P<name>\w+))?")


def _blocks(body: str) -> list[tuple[str, str]]:
    """The first line's comment and the other lines of each block."""
    return re.findall(r"^```python\n# ([^\n]*)\n(.*?)^```", body, re.MULTILINE | re.DOTALL)


def _put(package: Path, heading: str, lines: str) -> Path:
    """Write one block where its heading says, and return the file."""
    if heading.startswith("own:"):
        path = package.parent / "own" / heading.removeprefix("own:")
        path.write_text(lines, encoding="utf-8")
        return path
    place = _PLACE.fullmatch(heading)
    assert place, heading
    path = package / place["path"]
    if not place["where"]:
        assert not path.exists(), f"{path.name} is there already."
        path.write_text(lines, encoding="utf-8")
        return path
    text = path.read_text(encoding="utf-8")
    (anchor,) = re.finditer(rf"^{place['name']}\b.*$", text, re.MULTILINE)
    if place["where"] == "before":
        text = f"{text[: anchor.start()]}{lines}\n\n{text[anchor.start() :]}"
    else:
        end = re.compile(r"[{(\[] *(#.*)?\n").search(text, anchor.start())
        assert end and end.start() < anchor.end(), f"{place['name']} opens no bracket."
        text = f"{text[: end.end()]}{lines}{text[end.end() :]}"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, which an interpreter finds before the installed one."""
    copy = tmp_path / "package"
    (tmp_path / "own").mkdir()
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder,
            copy / folder,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    return copy


@pytest.mark.parametrize("title", SECTIONS)
def test_a_part_is_added_as_the_page_says(title: str, package: Path) -> None:
    blocks = _blocks(SECTIONS[title])
    *parts, (last, check) = blocks
    assert last == "check" and parts, "The last block of a section checks it."
    changed = {_put(package, heading, lines) for heading, lines in parts}
    assert f": {len(changed)} file" in title, f"{title!r} changes {len(changed)} files."

    where = f"import mnaslat, sys; assert mnaslat.__file__.startswith({str(package)!r})\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", where + check],
        capture_output=True,
        text=True,
        cwd=package.parent / "own",
        env={**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{package.parent / 'own'}"},
    )
    assert done.returncode == 0, done.stderr


def test_the_check_fails_without_the_part(package: Path) -> None:
    for title, body in SECTIONS.items():
        assert any(heading == "check" for heading, _ in _blocks(body)), title
    *_, (_, check) = _blocks(next(iter(SECTIONS.values())))
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        cwd=package.parent / "own",
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    assert done.returncode != 0 and "local" in done.stderr
