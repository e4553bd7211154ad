"""How a search is run: everything that, with the problem, decides its result."""

import math
from dataclasses import dataclass

from mnaslat.search.presets import preset
from mnaslat.search.reward import RewardSettings
from mnaslat.space import SearchSpace, load_space


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The settings of one run; a run folder belongs to one set of them.

    The target of ``reward`` is also the limit that the result has to keep.
    """

    reward: RewardSettings
    space: str = "mnasnet"
    width: float = 1.0
    resolution: int = 224
    n_classes: int = 1000
    n_samples: int = 8000  # networks: about as many as the paper's search
    seed: int = 0
    preset: str = "fast"
    validate_every: int = 20  # updates between two validations; only with a validator
    validate_top: int = 5  # networks measured in each
    # At the end networks predicted this little above the target are measured too: the prediction
    # may be that wrong, and they may be more accurate.
    near_target: float = 0.02
    n_final_validations: int = 40  # at most, at the end

    def __post_init__(self) -> None:
        preset(self.preset)  # raises for a wrong name
        for name in ("n_samples", "validate_every", "validate_top", "n_final_validations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0.0 <= self.near_target < 1.0:
            raise ValueError(f"near_target must lie in [0, 1), got {self.near_target}.")

    @property
    def n_updates(self) -> int:
        """Updates of the controller that ``n_samples`` networks make; the last may have fewer."""
        return math.ceil(self.n_samples / preset(self.preset).ppo.n_samples)

    def load_space(self) -> SearchSpace:
        """The space to search in.

        Raises:
            ValueError: If there is no such space.
        """
        return load_space(
            self.space, width=self.width, resolution=self.resolution, n_classes=self.n_classes
        )
