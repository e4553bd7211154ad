"""Shared by the importers: which functions translate which operators, and recognised patterns."""

from collections.abc import Callable
from typing import Generic, Literal, TypeVar, get_args

from mnaslat.graph.kinds import Shape

# An operator without a meaning here is an error, or an op of kind "unknown".
Unknown = Literal["error", "estimate"]

State = TypeVar("State")
Operator = TypeVar("Operator")


class Translations(Generic[State, Operator]):
    """Functions of an importer, by the names of the operators that they translate.

    A function is called with the importer's state and the operator; it returns whether it knew what
    to do.

    >>> translations: Translations[list[str], str] = Translations()
    >>> @translations.of("RELU", "RELU6")
    ... def add(graph: list[str], operator: str) -> bool:
    ...     graph.append(operator)
    ...     return True
    >>> [translations.apply(name, [], "an operator") for name in ("RELU", "SORT")]
    [True, False]
    """

    def __init__(self) -> None:
        self._functions: dict[str, Callable[[State, Operator], bool]] = {}

    @property
    def names(self) -> frozenset[str]:
        """The names of all operators that have a function."""
        return frozenset(self._functions)

    def of(
        self, *names: str
    ) -> Callable[[Callable[[State, Operator], bool]], Callable[[State, Operator], bool]]:
        """Register a function for operators.

        Raises:
            ValueError: If one of them has a function.
        """

        def register(
            function: Callable[[State, Operator], bool],
        ) -> Callable[[State, Operator], bool]:
            for name in names:
                if name in self._functions:
                    raise ValueError(
                        f"{name!r} is translated by {self._functions[name].__qualname__} already."
                    )
                self._functions[name] = function
            return function

        return register

    def apply(self, name: str, state: State, operator: Operator) -> bool:
        """Translate an operator; return False if no function knows it."""
        function = self._functions.get(name)
        return function is not None and function(state, operator)


def check_unknown(unknown: Unknown) -> None:
    """Check the argument ``unknown`` of an importer.

    Raises:
        ValueError: If it is no ``Unknown``.
    """
    if unknown not in get_args(Unknown):
        raise ValueError(f"unknown must be 'error' or 'estimate', got {unknown!r}.")


def shuffled_groups(before: Shape, after: Shape) -> int:
    """Return the groups of a channel shuffle, 0 if it is none.

    Channels that lie as (..., groups, n) are written as (..., n, groups).

    >>> shuffled_groups((8, 8, 2, 16), (8, 8, 16, 2)), shuffled_groups((8, 2, 16), (8, 16, 2))
    (2, 0)
    """
    swapped = len(before) == 4 == len(after) and after == (*before[:2], before[3], before[2])
    return before[2] if swapped and min(before[2:]) > 1 else 0
