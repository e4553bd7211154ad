"""Torch modules, found by the command line as a user's own would be."""

from torch import Tensor, nn

import mnaslat


def mobilenet() -> nn.Module:
    """A module that the command line knows nothing about."""
    return mnaslat.Network(mnaslat.lower(mnaslat.load_network("mobilenet-v2")))


def plain() -> nn.Module:
    """A network for images of any size."""
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))


class _Odd(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        """Something that no phone's runtime has."""
        return image.cumsum(2)


def odd() -> nn.Module:
    """A network with an operation that has no meaning to predictors."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), _Odd())


def number() -> int:
    """No network."""
    return 3


def attentive() -> nn.Module:
    """A network with operations that CNNs do not have."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 8, 1), nn.Flatten(2), nn.Linear(784, 16), nn.Softmax(2)
    )


def deciding() -> nn.Module:
    """A network that looks at what its image is."""
    return _Deciding()


class _Deciding(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        """One branch or the other."""
        return image if image.sum() > 0 else -image


def grey() -> nn.Module:
    """A network for images of one channel."""
    return nn.Conv2d(1, 8, 3)


def failing() -> nn.Module:
    """A function of the user's that raises an error."""
    raise RuntimeError("weights are missing")


def asking(n_classes: int) -> nn.Module:
    """A function that cannot be called without arguments."""
    return nn.Linear(3, n_classes)
