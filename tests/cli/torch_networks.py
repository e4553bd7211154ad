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
