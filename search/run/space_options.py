"""Records how the space of a run was made, so that it can be made again."""

from dataclasses import dataclass

from mnaslat.space import SearchSpace, load_space


@dataclass(frozen=True, kw_only=True)
class SpaceOptions:
    """The options that a run's space is loaded with; they stand in ``run.json``."""

    space: str = "mnasnet"  # a name, or FILE.py:NAME
    width: float = 1.0
    resolution: int = 224
    n_classes: int = 1000

    @classmethod
    def of(cls, space: SearchSpace) -> "SpaceOptions":
        """Read the options from a space and its first network."""
        network = space.decode([0] * len(space.decisions))
        return cls(
            space=space.name,
            width=space.width,
            resolution=network.resolution,
            n_classes=network.n_classes,
        )

    def load(self) -> SearchSpace:
        """Load the space.

        Raises:
            ValueError: If there is no such space.
        """
        return load_space(
            self.space, width=self.width, resolution=self.resolution, n_classes=self.n_classes
        )
