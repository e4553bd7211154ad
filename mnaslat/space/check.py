"""Checks that the functions of a search space fit each other and its list of parts."""

import itertools
import math
from collections.abc import Hashable, Mapping

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower
from mnaslat.space.search_space import Choice, Choices, SearchSpace
from mnaslat.user_code import failure_of

_MAX_FORMS = 1_000_000  # of a part: listing its layers takes minutes
_MAX_LISTED = 1000  # forms of a part that no network has: listing them takes about a second
_MAX_CHOICES = 64  # of a decision, that a network is built for


def check_space(space: SearchSpace, n_networks: int = 32, seed: int = 0) -> None:
    """Check a space on some of its networks: random ones, and one or more for every choice.

    Each is built, lowered and read back, and its layers must be those that ``parts`` gives them.
    Takes a few hundred builds for a space like ``mnasnet``. Of a decision with more than 64
    choices, the first 64 and the last have a network of their own.

    Args:
        space: To be checked.
        n_networks: Random networks.
        seed: Of the random networks.

    Raises:
        ValueError: If something does not fit; names the decision or the part.
    """
    n_turns = min(int(space.n_choices.max()), _MAX_CHOICES)
    every_choice = [number % space.n_choices for number in range(n_turns)]
    random = space.sample(n_networks, np.random.default_rng(seed))
    networks = [space.choices_of(row) for row in (*every_choice, space.n_choices - 1, *random)]
    for choices in networks:
        _require_network(space, choices)
    parts = _Parts(space, networks[0])
    for choices in networks:
        parts.check(choices)
    parts.check_names()


def _require_network(space: SearchSpace, choices: Choices) -> None:
    """Raise ValueError if a network cannot be built, lowered or read back."""
    problem = _problem(space, choices)
    if problem:
        raise ValueError(f"Space {space.name} does not work: {_where(space, choices, problem)}")


def _problem(space: SearchSpace, choices: Choices) -> str:
    """Say what goes wrong when a network is built, lowered and read; "" if nothing does."""
    try:
        architecture = space.build(dict(choices))  # a copy: it may take choices out
    except (Exception, SystemExit) as error:
        return f"build failed {failure_of(error)}"
    if not isinstance(architecture, Architecture):
        return f"build returned a {type(architecture).__name__}, not an Architecture."
    try:
        lower(architecture)
    except ValueError as error:
        return f"the network that build makes cannot be lowered: {error}"
    try:
        found = space.read(architecture)
    except (Exception, SystemExit) as error:
        return f"read failed {failure_of(error)}"
    if not isinstance(found, Mapping):
        return f"read returned a {type(found).__name__}, not the choices by decision name."
    for decision in space.decisions:
        name = decision.name
        if name not in found:
            return f"read returned no choice for the decision {name}."
        if not isinstance(found[name], Hashable) or found[name] not in decision.choices:
            return f"read returned {found[name]!r} for the decision {name}, which is no choice."
    try:
        again = space.build(dict(found))
    except (Exception, SystemExit) as error:
        return f"build failed for the choices that read returned {failure_of(error)}"
    if again != architecture:
        others = [
            f"{name} = {found[name]!r} (built with {chosen!r})"
            for name, chosen in choices.items()
            if found[name] != chosen
        ]
        return f"read returned choices of another network: {', '.join(others) or 'the same ones'}."
    return ""


def _where(space: SearchSpace, choices: Choices, problem: str) -> str:
    """Add to a problem the one decision that brings it up, where it is one."""
    first = {decision.name: decision.choices[0] for decision in space.decisions}
    found = _problem(space, first)
    if found:
        return found
    for name, chosen in choices.items():
        found = _problem(space, {**first, name: chosen}) if chosen != first[name] else ""
        if found:
            return f"with {name} = {chosen!r}, {found}"
    tokens = ",".join(
        str(decision.choices.index(choices[decision.name])) for decision in space.decisions
    )
    return f"with the tokens {tokens}, {problem}"


class _Parts:
    """Compares the layers of networks with those that ``parts`` allows."""

    def __init__(self, space: SearchSpace, first: Mapping[str, Choice]) -> None:
        self.space = space
        self.first = first
        self._layers: dict[tuple[Choice, ...], dict[str, list[str]]] = {}
        self._seen: set[str] = set()

    def layers(self, choices: Choices) -> dict[str, list[str]]:
        """List the signatures of a network's layers, by part.

        Raises:
            ValueError: If the network cannot be built, lowered or read back.
        """
        key = tuple(choices[decision.name] for decision in self.space.decisions)
        if key not in self._layers:
            try:
                graph = lower(self.space.build(dict(choices)))
            except (Exception, SystemExit):
                _require_network(self.space, choices)  # says where it fails
                raise
            found: dict[str, list[str]] = {}
            for place, signature in zip(graph.places, graph.layer_signatures, strict=True):
                found.setdefault(place.split(".")[0], []).append(signature)
            self._layers[key] = found
        return self._layers[key]

    def check(self, choices: Choices) -> None:
        """Compare one network's layers.

        Raises:
            ValueError: If a part is not listed, or depends on a decision that is not listed.
        """
        space, found = self.space, self.layers(choices)
        self._seen.update(found)
        missing = [part for part in found if part not in space.parts]
        if missing:
            raise ValueError(
                f"Space {space.name}: parts does not list {', '.join(missing)}, where networks "
                "have layers. Add each with the names of the decisions that its layers depend on."
            )
        for part, names in space.parts.items():
            alone = self._network(names, tuple(choices[name] for name in names))
            if self.layers(alone).get(part) == found.get(part):
                continue
            for name in choices:
                other = {**choices, name: self.first[name]}
                if name not in names and self.layers(other).get(part) != found.get(part):
                    raise ValueError(
                        f"Space {space.name}: the layers of {part} depend on the decision {name}, "
                        f"which parts[{part!r}] does not list."
                    )
            raise ValueError(
                f"Space {space.name}: the layers of {part} depend on other decisions than those "
                f"that parts[{part!r}] lists: {', '.join(names) or 'none'}."
            )

    def check_names(self) -> None:
        """Check that each part can be listed and is one of a network's.

        Raises:
            ValueError: If it is not.
        """
        choices = {decision.name: decision.choices for decision in self.space.decisions}
        for part, names in self.space.parts.items():
            n_forms = math.prod(len(choices[name]) for name in names)
            if n_forms > _MAX_FORMS:
                raise ValueError(
                    f"Space {self.space.name}: {part} has {n_forms:,} forms, too many to list "
                    "their layers. Name only the decisions that its layers depend on."
                )
            if part not in self._seen and n_forms <= _MAX_LISTED:
                forms = itertools.product(*(choices[name] for name in names))
                if not any(part in self.layers(self._network(names, form)) for form in forms):
                    raise ValueError(
                        f"Space {self.space.name}: parts lists {part!r}, where no network has a "
                        f"layer. Networks have {', '.join(sorted(self._seen))}."
                    )

    def _network(self, names: tuple[str, ...], form: tuple[Choice, ...]) -> Choices:
        """Make the choices of a part's form, all others the first."""
        return {**self.first, **dict(zip(names, form, strict=True))}
