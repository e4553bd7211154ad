"""Image data sets, ready to train on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

_N_VALIDATION = 497  # of the 1,797 digits, so that 1,300 are left to train on


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images with their classes, in two parts.

    Images are ``(n, channels, height, width)``, standardised: over the training images the mean is
    0 and the deviation 1. Labels are ``(n,)``, from 0 to ``n_classes - 1``.
    """

    name: str
    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels
    n_classes: int

    def __post_init__(self) -> None:
        for part in ("train", "validation"):
            images: Images = getattr(self, f"{part}_images")
            labels: Labels = getattr(self, f"{part}_labels")
            if images.ndim != 4 or images.dtype != np.float32:
                raise ValueError(
                    f"{part}_images must be float32 (n, channels, height, width), got "
                    f"{images.dtype} {images.shape}."
                )
            if labels.shape != images.shape[:1] or labels.dtype != np.int64:
                raise ValueError(
                    f"{part}_labels must be int64, one per image, got {labels.dtype} "
                    f"{labels.shape}."
                )
            if len(labels) == 0 or labels.min() < 0 or labels.max() >= self.n_classes:
                raise ValueError(f"{part}_labels must lie in 0..{self.n_classes - 1}.")


def load_digits_images(resolution: int = 32, *, seed: int = 0) -> ImageSet:
    """Handwritten digits in ten classes: scikit-learn's, 8x8 grey pixels, nothing to download.

    Args:
        resolution: Pixels of the square images; 8 x 8 are enlarged bilinearly.
        seed: Of the split; every class has the same share of both parts.

    Returns:
        1,300 training and 497 validation images of one channel.
    """
    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, got {resolution}.")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, validation = train_test_split(
        np.arange(len(digits.target)),
        test_size=_N_VALIDATION,
        stratify=digits.target,
        random_state=seed,
    )
    pixels = digits.images.astype(np.float64)
    rows = _bilinear(pixels.shape[1], resolution)
    enlarged = (rows @ pixels @ rows.T)[:, None]
    enlarged = (enlarged - enlarged[train].mean()) / enlarged[train].std()
    images, labels = enlarged.astype(np.float32), digits.target.astype(np.int64)
    return ImageSet(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        validation_images=images[validation],
        validation_labels=labels[validation],
        n_classes=10,
    )


def _bilinear(size: int, new_size: int) -> NDArray[np.float64]:
    """The matrix that resamples ``size`` pixels to ``new_size``, pixel centres aligned."""
    centres = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    centres = centres.clip(0, size - 1)
    # The weight of a pixel falls linearly to 0 at its neighbours.
    weights = 1.0 - np.abs(centres[:, None] - np.arange(size)[None, :])
    return np.asarray(weights.clip(0.0, None))
