"""Imports go one way: each module may import what its row below allows, late imports included.

The rows follow the layout of the package (``docs/architecture.md``). A module belongs to the row
with the longest prefix of its name. Type-only imports and imports inside functions count.
"""

import ast
import importlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "mnaslat": "mnaslat",
    "mnaslat.data": "data",
    "mnaslat.predictors": "predictors",
    "mnaslat.profiling": "profiling",
    "mnaslat.search": "search",
}
MAX_MODULES_PER_FOLDER = 17

BASE = ("errors", "units", "arrays", "files", "lazy", "html_table")
SPINE = (
    *BASE,
    "user_code",
    "graph",
    "architecture",
    "lowering",
    "space",
    "network",
    "zoo",
    "tflite",
    "torch_import",
)
_PROTOCOLS = ("search.reward", "search.targets", "search.pareto", "search.tokens")
_SEARCH_DATA = (
    *_PROTOCOLS,
    "search.settings",
    "search.problem",
    "search.tensor_file",
    "search.decoder",
)
# A registry names all of a kind; protocols beside it do not know it.
REGISTRIES = ("search.accuracy.sources", "search.searchers.registry")
_PHONE_PARTS = (
    *SPINE,
    "data",
    "profiling.device",
    "profiling.phone.adb",
    "profiling.phone.guard",
    "profiling.phone.tool",
)
# What a module may import, beside its own row. Names are below ``mnaslat``.
ALLOWED: dict[str, tuple[str, ...]] = {
    "": (
        *SPINE,
        "data",
        "profiling",
        "predictors",
        "search",
        "workflow",
        "cli",
    ),  # lazily, and python -m mnaslat
    "errors": (),
    "units": (),
    "arrays": (),
    "lazy": (),
    "html_table": (),
    "files": ("errors",),
    "user_code": BASE,
    "graph": BASE,
    "architecture": (*BASE, "graph"),
    "lowering": (*BASE, "graph", "architecture"),
    "space": (*BASE, "user_code", "graph", "architecture", "lowering"),
    "network": (*BASE, "graph", "architecture", "lowering"),
    "zoo": (*BASE, "graph", "architecture", "lowering", "space"),
    "tflite": (*BASE, "graph"),
    "torch_import": (*BASE, "graph"),
    "data": (*BASE, "graph", "architecture"),
    "profiling": (*SPINE, "data"),
    "predictors": (*SPINE, "data"),
    "search": (*SPINE, "data", "predictors", "search"),
    "reports": (*SPINE, "data", "predictors", "search"),
    "workflow": (*SPINE, "data", "profiling", "predictors", "search", "reports"),
    # Registries and delegates: names for the help.
    "cli": (*SPINE, "workflow", "reports", "data.delegates", *REGISTRIES),
    # Inside search: values know no package, protocols no registry, and only ``run`` knows all.
    "search.reward": BASE,
    "search.targets": BASE,
    "search.pareto": BASE,
    "search.tokens": BASE,
    "search.tensor_file": BASE,
    "search.decoder": (*SPINE, "search.tokens"),
    "search.settings": (*SPINE, *_PROTOCOLS, "search.controllers.presets"),
    "search.problem": (
        *SPINE,
        *_PROTOCOLS,
        "data",
        "predictors",
        "search.accuracy.source",
        "search.accuracy.user_function",  # functions are sources
    ),
    "search.accuracy": (*SPINE, *_SEARCH_DATA, "data", "predictors"),
    "search.accuracy.source": (*SPINE, *_PROTOCOLS),
    "search.accuracy.user_function": (*SPINE, *_PROTOCOLS, "search.accuracy.source"),
    "search.controllers": (*SPINE, *_SEARCH_DATA),
    "search.controllers.presets": (*BASE, "search.controllers.settings"),
    "search.controllers.settings": BASE,
    "search.latency": (*SPINE, *_SEARCH_DATA, "data", "predictors"),
    "search.searchers": (*SPINE, *_SEARCH_DATA, "search.accuracy.source", "search.controllers"),
    # Inside phone: connection, then tool and guard, then the session that the rest works in.
    "profiling.phone.adb": (*SPINE, "data", "profiling.device"),
    "profiling.phone.tool": (
        *SPINE,
        "data",
        "profiling.device",
        "profiling.timing_plan",  # which each tool writes as its own options
        "profiling.phone.adb",
    ),
    "profiling.phone.guard": (*SPINE, "data", "profiling.device", "profiling.phone.adb"),
    "profiling.phone.session": _PHONE_PARTS,
    "profiling.phone.readiness": (*_PHONE_PARTS, "profiling.phone.session"),
    "profiling.phone.reconnection": (*_PHONE_PARTS, "profiling.phone.session"),
    "profiling.phone.batch": (*_PHONE_PARTS, "profiling.phone.session"),
    "profiling.phone.run_outcome": (
        *_PHONE_PARTS,
        "profiling.phone.session",
        "profiling.phone.batch",
    ),
}
MAY_USE_REGISTRIES = ("search.run", "workflow", "cli", "search")

# Arrows that the layout does not allow and that are still there.
KNOWN_VIOLATIONS: frozenset[tuple[str, str]] = frozenset()
KNOWN_CIRCLES: frozenset[frozenset[str]] = frozenset()
KNOWN_LARGE_FOLDERS: frozenset[Path] = frozenset()


def _modules() -> dict[str, Path]:
    """Name below ``mnaslat`` and path of each module of the package."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if any((ROOT / folder / Path(*parts[:n])).is_symlink() for n in range(1, len(parts))):
                continue  # a room, seen through its link in mnaslat/
            name = ".".join([package, *(part for part in parts if part != "__init__")])
            found[name.removeprefix("mnaslat").removeprefix(".")] = path
    return found


MODULES = _modules()


def _imported(name: str) -> Iterator[str]:
    """Modules of ours that a module names in import statements, wherever they stand."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        for target in targets:
            if target != "mnaslat" and not target.startswith("mnaslat."):
                continue
            below = target.removeprefix("mnaslat").removeprefix(".")
            while below not in MODULES and below:
                below = below.rpartition(".")[0]
            if below:
                yield below


IMPORTS = {name: frozenset(_imported(name)) - {name} for name in MODULES}


def _row(name: str) -> str:
    while name not in ALLOWED and name:
        name = name.rpartition(".")[0]
    return name


def _may_import(name: str, target: str) -> bool:
    row = _row(name)
    if target in REGISTRIES:
        return name.startswith(MAY_USE_REGISTRIES) and name.rpartition(".")[2] not in (
            "source",
            "base",
        )
    if target == row or target.startswith(f"{row}."):
        return True
    return any(target == each or target.startswith(f"{each}.") for each in ALLOWED[row])


def violations() -> set[tuple[str, str]]:
    return {
        (name, target)
        for name, targets in IMPORTS.items()
        for target in targets
        if not _may_import(name, target)
    }


def circles() -> set[frozenset[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in IMPORTS[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = set()
            while name not in group:
                group.add(stack.pop())
            if len(group) > 1:
                found.add(frozenset(group))

    for name in MODULES:
        if name not in index:
            visit(name)
    return found


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name} imports {target}" for name, target in sorted(pairs))


def test_the_package_is_found() -> None:
    assert len(MODULES) > 150 and {"graph", "search", "cli"} <= {
        name.partition(".")[0] for name in MODULES
    }
    assert "errors" in IMPORTS["graph"] or any(IMPORTS.values())


def test_imports_go_one_way() -> None:
    new = violations() - KNOWN_VIOLATIONS
    assert not new, _lines(new)


def test_no_modules_import_each_other_in_a_circle() -> None:
    new = circles() - KNOWN_CIRCLES
    assert not new, "\n".join(" - ".join(sorted(circle)) for circle in new)


def test_known_exceptions_are_still_there() -> None:
    assert KNOWN_VIOLATIONS <= violations()
    assert KNOWN_CIRCLES <= circles()


def folder_sizes() -> dict[Path, int]:
    """How many modules each folder holds, ``__init__.py`` aside."""
    folders = sorted({path.parent for path in MODULES.values()})
    return {
        folder: sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }


def test_no_folder_holds_too_many_modules() -> None:
    for folder, n_modules in folder_sizes().items():
        assert n_modules <= MAX_MODULES_PER_FOLDER or folder in KNOWN_LARGE_FOLDERS, folder


def test_only_the_command_line_knows_the_terminal() -> None:
    """What notebooks import neither draws on a terminal nor parses a command line."""
    for name, path in MODULES.items():
        if name.startswith("cli") or name == "__main__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {"rich", "typer"} & {each.partition(".")[0] for each in names}, name


def test_the_workflow_prints_nothing() -> None:
    for name, path in MODULES.items():
        if name.startswith("workflow"):
            calls = [
                node.func.id
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            assert "print" not in calls, name


PUBLIC = (
    "mnaslat",
    "mnaslat.data",
    "mnaslat.graph",
    "mnaslat.predictors",
    "mnaslat.profiling",
    "mnaslat.search",
    "mnaslat.space",
    "mnaslat.tflite",
    "mnaslat.torch_import",
)


def not_public() -> list[str]:
    """Imports of benchmarks and examples that are not of a public name, as sentences."""
    scripts = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in scripts}
    for path in (ROOT / "examples").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        texts[path.name] = "\n".join(code)
    found = []
    for script, text in texts.items():
        for module, name in _imported_names(text):
            if module.partition(".")[0] != "mnaslat":
                continue
            if module not in PUBLIC:
                found.append(f"{script} imports {module}")
            elif name and name not in importlib.import_module(module).__all__:
                found.append(f"{script} imports {name} from {module}")
    return found


def _imported_names(text: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import; no name where a whole module is imported."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def test_benchmarks_and_examples_import_public_names_only() -> None:
    assert not_public() == []
