"""Settings of a controller and its learning, checked without loading torch."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Advantages = Literal["ranks", "ema"]


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """Settings of the controller's learning."""

    n_samples: int = 20  # architectures an update: the paper's
    n_epochs: int = 4  # steps on the same samples; PPO's usual number
    learning_rate: float = 0.15
    clip: float = 0.2  # PPO's usual range; not published for MnasNet
    max_grad_norm: float = math.inf
    # "ranks": how a reward ranks in the update, as a normal score: outliers and scale are nothing.
    # "ema": rewards less their exponential moving average, as in the paper.
    advantages: Advantages = "ranks"
    ema_decay: float = 0.95  # the paper's
    entropy: float = 1.0  # bonus for one nat in the average decision; the first where it is planned
    # Share of the largest possible entropy at the start; the bonus is scheduled so that
    # the entropy falls evenly to 0 over the run. None: the bonus stays.
    entropy_plan: float | None = 0.95
    entropy_step: float = 0.1  # by which share the bonus is changed in an update
    n_replayed: int = 4  # updates whose networks are learned from: the present one and the last
    max_weight: float = 10.0  # of a network that another policy has drawn
    n_draws: int = 20  # a network seen before is drawn again, so many draws at most

    def __post_init__(self) -> None:
        for name in ("n_samples", "n_epochs", "n_replayed", "n_draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "clip", "max_grad_norm", "max_weight"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        for name in ("entropy", "entropy_step"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must be 0 or positive, got {getattr(self, name)}.")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay must lie in [0, 1), got {self.ema_decay}.")
        if self.entropy_plan is not None and not 0.0 <= self.entropy_plan <= 1.0:
            raise ValueError(f"entropy_plan must lie in [0, 1], got {self.entropy_plan}.")
        if self.advantages not in get_args(Advantages):
            raise ValueError(
                f"advantages must be one of {get_args(Advantages)}, got {self.advantages}."
            )


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings:
    """The shape of the network."""

    n_units: int = 100  # of the LSTM: the paper's
    n_embedding: int = 32  # numbers that stand for a token; not published, and 100 are no better
    init_range: float = 0.1  # all weights start uniform within +-0.1: the paper's

    def __post_init__(self) -> None:
        for name in ("n_units", "n_embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not self.init_range > 0.0:
            raise ValueError(f"init_range must be positive, got {self.init_range}.")
