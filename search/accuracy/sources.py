"""Lists the accuracy sources by name and makes them from the text of the option ``--accuracy``.

A new source is its module and a row here. Importing this loads no source: torch and scikit-learn
come with the first one that needs them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from mnaslat.errors import SearchError
from mnaslat.user_code import names_user_code

if TYPE_CHECKING:
    from mnaslat.search.accuracy.source import AccuracySource
    from mnaslat.space import SearchSpace

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Arguments of a source, beside the text that names it.

    Attributes:
        space: The networks to be evaluated.
        folder: Where a source that has to be trained keeps its checkpoint; None keeps none.
        seed: Of a source that draws.
        progress: Called with (steps done, steps in all) while a source is trained.
    """

    space: "SearchSpace"
    folder: str | PathLike[str] | None = None
    seed: int = 0
    progress: Progress | None = None


@dataclass(frozen=True)
class SourceKind:
    """An accuracy source that can be named.

    Attributes:
        title: Half a sentence for people.
        make: From the text behind the colon, "" where there is none.
        argument: What stands behind the colon.
        needs_argument: Whether it has to be there.
    """

    title: str
    make: Callable[[str, SourceOptions], "AccuracySource"]
    argument: str
    needs_argument: bool = True

    def forms(self, name: str) -> list[str]:
        """List the ways to write it.

        >>> SOURCES["proxy"].forms("proxy")
        ['proxy', 'proxy:IMAGES']
        """
        return [name] * (not self.needs_argument) + [f"{name}:{self.argument}"]


def _trained(kind: str) -> Callable[[str, SourceOptions], "AccuracySource"]:
    def make(text: str, options: SourceOptions) -> "AccuracySource":
        from mnaslat.search.accuracy.image_trained import image_source

        return image_source(
            kind,
            text,
            options.space,
            folder=options.folder,
            seed=options.seed,
            progress=options.progress,
        )

    return make


def _table(text: str, options: SourceOptions) -> "AccuracySource":
    from mnaslat.search.accuracy.table import TableAccuracy

    return TableAccuracy(text, options.space)


def _table_surrogate(text: str, options: SourceOptions) -> "AccuracySource":
    from mnaslat.search.accuracy.table_surrogate import TableSurrogateAccuracy

    return TableSurrogateAccuracy(text, options.space, seed=options.seed, progress=options.progress)


SOURCES: Mapping[str, SourceKind] = {
    "proxy": SourceKind(
        "every network is trained a little; slow, but nearest to the truth",
        _trained("proxy"),
        "IMAGES",
        needs_argument=False,
    ),
    "supernet": SourceKind(
        "one network with shared weights is trained for all",
        _trained("supernet"),
        "IMAGES",
        needs_argument=False,
    ),
    "table": SourceKind("read from a file", _table, "FILE.csv"),
    "table-surrogate": SourceKind("a model of a file's rows", _table_surrogate, "FILE.csv"),
}
_FUNCTION = "FILE.py:FUNCTION or MODULE:FUNCTION"


def known_sources() -> str:
    """List the forms of ``--accuracy``, as in a sentence."""
    forms = [form for name, kind in SOURCES.items() for form in kind.forms(name)]
    return f"{', '.join(forms)}, {_FUNCTION}"


def sources_help() -> str:
    """Explain each source, for the help of ``--accuracy``."""
    lines = [f"{' or '.join(kind.forms(name))} ({kind.title})" for name, kind in SOURCES.items()]
    return (
        f"{', '.join(lines)}, or {_FUNCTION}: a function that is called with an Architecture and "
        "returns a fraction. IMAGES are for example fashion-mnist."
    )


def accuracy_source(
    text: str,
    space: "SearchSpace",
    *,
    folder: str | PathLike[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> "AccuracySource":
    """Make the accuracy source that a text names, such as ``table:FILE.csv``.

    Args:
        text: As the option ``--accuracy`` takes it: one of `known_sources`.
        space: The networks to be evaluated.
        folder: Where a source that has to be trained keeps its checkpoint; None keeps none.
        seed: Of a source that draws.
        progress: Called with (steps done, steps in all) while a source is trained.

    Raises:
        SearchError: If the source cannot be made.
    """
    name, separator, argument = text.partition(":")
    kind = SOURCES.get(name)
    if kind is not None and (argument or not (separator or kind.needs_argument)):
        options = SourceOptions(space=space, folder=folder, seed=seed, progress=progress)
        return kind.make(argument, options)
    if kind is None and names_user_code(text):
        from mnaslat.search.accuracy.user_function import FunctionAccuracy

        return FunctionAccuracy(text)
    raise SearchError(f"No accuracy source {text!r}. Expected {known_sources()}.")
