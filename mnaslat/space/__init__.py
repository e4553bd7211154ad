"""Defines search spaces: decisions, their choices, and the networks that they describe."""

from mnaslat.space.presets import load_space, space_names
from mnaslat.space.search_space import Choice, Choices, Decision, SearchSpace

__all__ = [
    "Choice",
    "Choices",
    "Decision",
    "SearchSpace",
    "load_space",
    "space_names",
]
