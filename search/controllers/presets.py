"""Names two settings of the controller and its learning."""

from dataclasses import dataclass

from mnaslat.search.controllers.settings import PPOSettings, RecurrentSettings


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A controller and how it learns.

    Attributes:
        ppo: How it learns.
        recurrent: Shape of the paper's controller; None: a table of logits.
        n_knots: Tables over a range of targets.
    """

    ppo: PPOSettings
    recurrent: RecurrentSettings | None = None
    n_knots: int = 8


PRESETS: dict[str, Preset] = {
    # What Tan et al. (CVPR 2019) and NASNet publish: one embedding and softmax for all decisions,
    # learning rate 3.5e-4, entropy 1e-5, moving average 0.95, 20 architectures an update.
    "paper": Preset(
        recurrent=RecurrentSettings(),
        ppo=PPOSettings(
            learning_rate=3.5e-4,
            max_grad_norm=0.5,  # PPO's usual limit
            advantages="ema",
            entropy=1e-5,
            entropy_plan=None,
            n_replayed=1,
            n_draws=1,
        ),
    ),
    # Tuned on tables of published accuracies. What each difference from the paper is worth stands
    # in docs/decisions.md: planned entropy is worth most, then replay and ranks.
    "fast": Preset(ppo=PPOSettings()),
}


def preset(name: str) -> Preset:
    """Look a preset up by name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"No preset named {name!r}. Known: {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]
