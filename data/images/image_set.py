"""Image data sets in three parts, ready to train on, and how a user names them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnaslat.errors import ImageSetError

Images = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Indices = NDArray[np.int64]

CHANNELS = 3  # what networks take; grey images are repeated
PARTS = ("train", "validation", "test")
_SPLIT_SEED = 20190601  # the parts are the same for every user and every run: figures compare


class PixelSource(Protocol):
    """Square images of one size, held in memory or read from files when they are asked for."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, indices: Indices, /) -> Pixels:
        """Some of them, shape ``(len(indices), channels, size, size)``."""

    @property
    def digest(self) -> str:
        """Tells images apart by what the source goes by: pixels, or no more than files."""


@dataclass(frozen=True, eq=False)
class ArrayPixels:
    """Images in memory, shape ``(n, channels, size, size)`` with 1 or 3 channels."""

    pixels: Pixels

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or shape[1] not in (1, CHANNELS):
            raise ValueError(
                "pixels must be uint8 (n, 1 or 3 channels, height, width), got "
                f"{self.pixels.dtype} {shape}."
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: Indices, /) -> Pixels:
        """Some of them."""
        return self.pixels[indices]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, 16 characters."""
        sha = hashlib.sha256(repr(self.pixels.shape).encode())
        sha.update(np.ascontiguousarray(self.pixels).data)
        return sha.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePart:
    """Some images of a set with their classes: for training, for choosing or for testing.

    Labels are ``(n,)``, from 0 to the number of classes minus 1.
    """

    source: PixelSource
    labels: Labels
    indices: Indices  # of the source's images, in a fixed shuffled order: any first n are a sample
    mean: NDArray[np.float32]  # of the training images' channels, as all parts are standardised
    deviation: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.labels.shape != self.indices.shape or self.labels.dtype != np.int64:
            raise ValueError(
                f"labels must be int64, one per image, got {self.labels.dtype} "
                f"{self.labels.shape} for {len(self.indices)} images."
            )

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, chosen: Indices) -> Images:
        """Standardised images, shape ``(len(chosen), 3, size, size)``, grey ones repeated."""
        pixels = self.source.read(self.indices[chosen]).astype(np.float32)
        standard = (pixels - self.mean[:, None, None]) / self.deviation[:, None, None]
        shape = (len(chosen), CHANNELS, *standard.shape[2:])
        return np.ascontiguousarray(np.broadcast_to(standard, shape))

    def first(self, n: int | None) -> "ImagePart":
        """The first ``n`` images, a random sample; all of them where there are no more."""
        if n is None or n >= len(self):
            return self
        return ImagePart(
            source=self.source,
            labels=self.labels[:n],
            indices=self.indices[:n],
            mean=self.mean,
            deviation=self.deviation,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images with labels, in three splits: training, validation and test.

    ``test`` is for the very end: a choice made on a split looks better there than it is.
    """

    name: str
    resolution: int  # pixels of the square images
    class_names: tuple[str, ...]
    train: ImagePart
    validation: ImagePart
    test: ImagePart
    mirrored: bool  # whether an image's mirror image is of the same class
    digest: str = field(init=False)  # of the parts, by their sources' digests

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise ImageSetError(
                f"{self.name} has {len(self.class_names)} class: there is nothing to tell apart. "
                "Give images of at least two classes."
            )
        sha = hashlib.sha256(repr((self.resolution, self.class_names)).encode())
        for name in PARTS:
            part: ImagePart = getattr(self, name)
            if not len(part):
                raise ImageSetError(f"{self.name} has no {name} images.")
            if part.labels.min() < 0 or part.labels.max() >= self.n_classes:
                raise ValueError(f"{name} labels must lie in 0..{self.n_classes - 1}.")
            sha.update(part.source.digest.encode())
            for array in (part.labels, part.indices):
                sha.update(np.ascontiguousarray(array).data)
        object.__setattr__(self, "digest", sha.hexdigest()[:16])

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Shape of the images that the parts give."""
        return CHANNELS


def image_set(
    name: str,
    class_names: Sequence[str],
    sources: Sequence[tuple[PixelSource, Labels]],
    *,
    resolution: int,
    mirrored: bool,
    validation: float | int,
    test: float | int = 0,
) -> ImageSet:
    """Cut images into the three parts, every class in the same share of each.

    Args:
        name: For descriptions and messages.
        class_names: By label.
        sources: Training and test images with their labels; or one, and the test images are cut
            from it.
        resolution: Pixels of the square images.
        mirrored: Whether an image's mirror image is of the same class.
        validation: How many of the training images are for choosing networks, or their share.
        test: The same for the test images, where they have no source of their own.

    Raises:
        ImageSetError: If a class has too few images to be in every part.
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    source, labels = sources[0]
    counts = np.bincount(labels, minlength=len(class_names))
    needed = 2 if len(sources) > 1 else 3
    if (counts < needed).any():
        worst = int(counts.argmin())
        raise ImageSetError(
            f"{name}: class {class_names[worst]} has {counts[worst]} images to train on. Give "
            f"every class at least {needed}, better hundreds."
        )
    rest, chosen = _cut(np.arange(len(labels)), labels, validation, rng, n_kept=needed - 1)
    if len(sources) > 1:
        test_source, test_labels = sources[1]
        judged = rng.permutation(len(test_labels))
    else:
        test_source, test_labels = source, labels
        rest, judged = _cut(rest, labels, test, rng, n_kept=1)
    mean, deviation = _channel_statistics(source, rest)

    def part(of: PixelSource, known: Labels, indices: Indices) -> ImagePart:
        return ImagePart(
            source=of, labels=known[indices], indices=indices, mean=mean, deviation=deviation
        )

    return ImageSet(
        name=name,
        resolution=resolution,
        class_names=tuple(class_names),
        train=part(source, labels, rest),
        validation=part(source, labels, chosen),
        test=part(test_source, test_labels, judged),
        mirrored=mirrored,
    )


def _cut(
    indices: Indices, labels: Labels, size: float | int, rng: np.random.Generator, *, n_kept: int
) -> tuple[Indices, Indices]:
    """Split indices into the rest and a part that is cut off, both shuffled.

    Of every class at least ``n_kept`` images stay and at least one is cut off.
    """
    share = size if isinstance(size, float) else size / len(indices)
    kept, cut = [], []
    for label in np.unique(labels[indices]):
        own = rng.permutation(indices[labels[indices] == label])
        n = min(max(1, round(share * len(own))), len(own) - n_kept)
        kept.append(own[n:])
        cut.append(own[:n])
    return rng.permutation(np.concatenate(kept)), rng.permutation(np.concatenate(cut))


_N_STATISTICS = 2000  # images that mean and deviation are taken from: more change no third digit


def _channel_statistics(
    source: PixelSource, indices: Indices
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    pixels = source.read(indices[:_N_STATISTICS]).astype(np.float64)
    deviation = pixels.std((0, 2, 3))
    # A channel that never changes stays 0 and must not become NaN.
    deviation[deviation == 0.0] = 1.0
    return pixels.mean((0, 2, 3)).astype(np.float32), deviation.astype(np.float32)
