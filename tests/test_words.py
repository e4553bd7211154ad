"""Comments, docstrings, messages and pages use plain technical words.

``FORBIDDEN`` lists words that were replaced by the field's terms, and the replacement of each.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mnaslat", "data", "profiling", "predictors", "search")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "examples")

FORBIDDEN = {
    r"told": "reported, stated",
    r"telling": "informative, reporting",
    r"whatever": "any",
    r"(gone|going|goes|went|go) on with": "resumed, continued",
    r"gone on": "resumed",
    r"sittings?": "batch",
    r"(held|hold|holds|holding) (\w+ )?against": "compared with",
    r"legs?": "restart",
    r"child|children": "candidate",
    r"doubt|doubts|doubtful": "uncertainty, uncertain",
    r"steer|steered|steers": "schedule",
    r"shipped": "pretrained",
    r"judges?|judged|judging": "classify, evaluate",
    r"take home|taking home": "winning",
    r"lucky|luck|merit": "biased, noise",
    r"never lived|outlive\w*": "the technical word",
}
# Uses that are right: a process or node has children, and quotations keep their words.
ALLOWED = (
    r"child process(es)?",
    r"children_?time",
    r"(left|right)_child(ren)?",
    r"(left|right) child(ren)?",
    r"children (come|before|or)",
    r"have children",
    r"--[\w-]+",  # options
    r"`[^`\n]*`",  # names of things in code
)
# Openings that make a sentence without a verb.
OPENINGS = ("What", "Which", "Whose", "Of", "Those", "That", "How", "Whatever", "Why")
# Uses that are still there, by folder or page. The lists only become shorter.
KNOWN_WORDS: dict[str, int] = {
    "mnaslat": 6,  # a key of `predictors --json`, and what it is called there
    "search": 6,  # names in stores and checkpoints
}
KNOWN_OPENINGS: dict[str, int] = {}

_WORD = re.compile(rf"\b({'|'.join(FORBIDDEN)})\b", re.IGNORECASE)
_RIGHT = re.compile("|".join(ALLOWED), re.IGNORECASE)


def found_in(text: str) -> list[str]:
    """List the forbidden words of a text, without the allowed uses."""
    return [match.group() for match in _WORD.finditer(_RIGHT.sub(" ", re.sub(r"\s+", " ", text)))]


def _sources(folder: str) -> Iterator[Path]:
    top = ROOT / folder
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top).parts
        if not any((top / Path(*parts[:n])).is_symlink() for n in range(1, len(parts))):
            yield path


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines of comments and texts of a source file; comments of several lines as one."""
    comment, start, last = "", 0, -2
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        name = tokenize.tok_name[token.type]
        if name == "COMMENT":
            if token.start[0] > last + 1:
                if comment:
                    yield start, comment
                comment, start = "", token.start[0]
            comment, last = f"{comment} {token.string.lstrip('# ')}", token.start[0]
        elif name == "STRING" or name.startswith("FSTRING_MIDDLE"):
            yield token.start[0], token.string
    if comment:
        yield start, comment


def _in_code(folder: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in _sources(folder)
        for line, text in _texts(path)
        for word in found_in(text)
    ]


def _in_page(page: str) -> list[str]:
    path = ROOT / page
    files = sorted(path.rglob("*.md")) if path.is_dir() else [path] if path.exists() else []
    return [
        f"{file.relative_to(ROOT)}: {word}"
        for file in files
        for word in found_in(re.sub(r"```.*?```", "", file.read_text("utf-8"), flags=re.DOTALL))
    ]


def _openings(folder: str) -> list[str]:
    found = []
    for path in _sources(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                if text.split(" ", 1)[0].strip(",.:;`") in OPENINGS:
                    line = getattr(node, "lineno", 1)
                    found.append(f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}")
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_code_speaks_plainly(folder: str) -> None:
    found = _in_code(folder)
    assert len(found) <= KNOWN_WORDS.get(folder, 0), "\n".join(found)


@pytest.mark.parametrize("page", PAGES)
def test_pages_speak_plainly(page: str) -> None:
    found = _in_page(page)
    assert len(found) <= KNOWN_WORDS.get(page, 0), "\n".join(found)


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_begin_with_a_verb_or_a_noun(folder: str) -> None:
    found = _openings(folder)
    assert len(found) <= KNOWN_OPENINGS.get(folder, 0), "\n".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A run that was gone on\n    with.", ["gone on with"]),
        ("Told by the legs, and the legend.", ["Told", "legs"]),
        ("A child process, the left child and the child.", ["child"]),
        ("Set `child` with --child-size.", []),
    ],
)
def test_words_are_found_by_hand(text: str, words: list[str]) -> None:
    assert found_in(text) == words
