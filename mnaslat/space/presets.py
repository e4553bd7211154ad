"""Loads search spaces: presets by name, and those that functions of the user make."""

from collections.abc import Callable
from dataclasses import replace

from mnaslat.space.accel_nasbench import accel_nasbench
from mnaslat.space.check import check_space
from mnaslat.space.mnasnet import mnasnet
from mnaslat.space.nas_bench_macro import nas_bench_macro
from mnaslat.space.search_space import SearchSpace
from mnaslat.user_code import FORMS, call_user_code, names_user_code

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
    """Load a preset by name, or a user's space as ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``.

    The function is called with ``width``, ``resolution`` and ``n_classes`` and returns a
    ``SearchSpace``. The file is run: name only files you trust. The space is then checked on some
    of its networks, which takes a part of a second.

    Args:
        name: Of the space.
        width: Multiplier of all filters but the head's.
        resolution: Pixels of the square input; if left out, those that the preset was published
            with (224, ``nas-bench-macro`` 32), or 224.
        n_classes: Outputs of the classifier; if left out, as published (1000, ``nas-bench-macro``
            10), or 1000.

    Raises:
        ValueError: If there is no such preset, file or function, or a user's space does not work.
    """
    if name in _PRESETS:
        given = {"resolution": resolution, "n_classes": n_classes}
        preset = _PRESETS[name](
            width=width, **{key: value for key, value in given.items() if value is not None}
        )
        return replace(preset, width=width)
    if not names_user_code(name):
        raise ValueError(f"No space named {name!r}. Known: {', '.join(space_names())}; or {FORMS}.")
    space = call_user_code(
        name,
        width=width,
        resolution=224 if resolution is None else resolution,
        n_classes=1000 if n_classes is None else n_classes,
    )
    if not isinstance(space, SearchSpace):
        raise ValueError(f"{name} returned a {type(space).__name__}, not a SearchSpace.")
    space = replace(space, name=name, width=width)
    check_space(space)
    return space
