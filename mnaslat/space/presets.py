"""Loads search spaces by name, and those of users from Python files."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mnaslat.space.accel_nasbench import accel_nasbench
from mnaslat.space.mnasnet import mnasnet
from mnaslat.space.nas_bench_macro import nas_bench_macro
from mnaslat.space.search_space import SearchSpace

_PRESETS: dict[str, Callable[..., SearchSpace]] = {
    "accel-nasbench": accel_nasbench,
    "mnasnet": mnasnet,
    "mnasnet-paper": lambda **settings: mnasnet(paper=True, **settings),
    "nas-bench-macro": nas_bench_macro,
}


def space_names() -> tuple[str, ...]:
    """The names of the presets."""
    return tuple(sorted(_PRESETS))


def load_space(
    name: str,
    *,
    width: float = 1.0,
    resolution: int | None = None,
    n_classes: int | None = None,
) -> SearchSpace:
    """A preset by name, or a space from a Python file of the user as ``FILE.py:FUNCTION``.

    The function is called with ``width``, ``resolution`` and ``n_classes`` and returns a
    ``SearchSpace``. The file is run: name only files you trust.

    Args:
        name: Of the space.
        width: Multiplier of all filters but the head's.
        resolution: Pixels of the square input; if left out, those that the preset was published
            with (224, ``nas-bench-macro`` 32), or 224.
        n_classes: Outputs of the classifier; if left out, as published (1000, ``nas-bench-macro``
            10), or 1000.

    Raises:
        ValueError: If there is no such preset, file or function.
    """
    if name in _PRESETS:
        given = {"resolution": resolution, "n_classes": n_classes}
        preset = _PRESETS[name](
            width=width, **{key: value for key, value in given.items() if value is not None}
        )
        return replace(preset, width=width)
    path, _, function = name.rpartition(":")
    if not path.endswith(".py"):
        raise ValueError(
            f"No space named {name!r}. Known: {', '.join(space_names())}; or FILE.py:FUNCTION."
        )
    spec = importlib.util.spec_from_file_location("mnaslat_user_space", Path(path))
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise ValueError(f"No Python file {path}: cannot load a space from it.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is executed
    with _errors_of(f"Cannot run {path}"):
        spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise ValueError(f"{path} has no function {function!r}.")
    with _errors_of(f"Calling {name} with width, resolution and n_classes failed"):
        space = getattr(module, function)(
            width=width,
            resolution=224 if resolution is None else resolution,
            n_classes=1000 if n_classes is None else n_classes,
        )
    if not isinstance(space, SearchSpace):
        raise ValueError(f"{function} in {path} returned {type(space).__name__}, no SearchSpace.")
    return replace(space, name=name, width=width)


@contextmanager
def _errors_of(what: str) -> Iterator[None]:
    """Turn whatever a user's file raises into a ``ValueError`` that names the file."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ValueError(f"{what}: {type(error).__name__}: {error}") from error
