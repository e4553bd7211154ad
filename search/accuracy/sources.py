"""Makes accuracy sources from the text of the option ``--accuracy``."""

from collections.abc import Callable
from pathlib import Path

from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import AccuracySource
from mnaslat.search.accuracy.user_function import FunctionAccuracy
from mnaslat.space import SearchSpace

KNOWN_SOURCES = (
    "proxy, proxy:IMAGES, supernet, supernet:IMAGES, table:FILE.csv, table-surrogate:FILE.csv or "
    "module:function"
)


def accuracy_source(
    text: str,
    space: SearchSpace,
    *,
    folder: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracySource:
    """The source that a user names, one of `KNOWN_SOURCES`.

    Args:
        text: The name.
        space: The networks to be judged.
        folder: Where a source that has to be trained keeps its checkpoint.
        seed: Of a source that draws.
        progress: Called with (steps done, steps in all) while a source is trained.

    Raises:
        SearchError: If the source cannot be made.
    """
    kind, separator, rest = text.partition(":")
    if kind in ("proxy", "supernet") and bool(separator) == bool(rest):
        from mnaslat.search.accuracy.image_trained import image_source

        return image_source(kind, rest, space, folder=folder, seed=seed, progress=progress)
    if kind == "table" and rest:
        from mnaslat.search.accuracy.table import TableAccuracy

        return TableAccuracy(Path(rest), space)
    if kind == "table-surrogate" and rest:
        from mnaslat.search.accuracy.table_surrogate import TableSurrogateAccuracy

        return TableSurrogateAccuracy(Path(rest), space, seed=seed, progress=progress)
    if separator and kind and rest:
        return FunctionAccuracy(text)
    raise SearchError(f"No accuracy source {text!r}. Expected {KNOWN_SOURCES}.")
