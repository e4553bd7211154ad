"""The two ways to set the controller and its learning, by name."""

from dataclasses import dataclass

from mnaslat.search.controller import ControllerSettings
from mnaslat.search.ppo import PPOSettings


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A controller and how it learns."""

    controller: ControllerSettings
    ppo: PPOSettings


PRESETS: dict[str, Preset] = {
    # What Tan et al. (CVPR 2019) and NASNet publish: one embedding and softmax for all decisions,
    # learning rate 3.5e-4, entropy 1e-5, moving average 0.95, 20 architectures an update.
    "paper": Preset(
        controller=ControllerSettings(per_position=False),
        ppo=PPOSettings(learning_rate=3.5e-4, entropy=1e-5, baseline="ema"),
    ),
    # Tuned on a table of published accuracies, where it is nearer to the best network after 500
    # samples than "paper" after 2,000. The advantages are normalised per update, which helps most;
    # then come embeddings and softmaxes of their own for every decision, then the entropy.
    "fast": Preset(controller=ControllerSettings(), ppo=PPOSettings()),
}


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"No preset named {name!r}. Known: {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]
