"""Data sets that come as arrays: scikit-learn's digits, and Fashion-MNIST's IDX files."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnaslat.data.images.image_set import ArrayPixels, ImageSet, Pixels, image_set
from mnaslat.errors import ImageSetError

FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where Debian puts it
_FASHION_MNIST_CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def load_digits(resolution: int) -> ImageSet:
    """Handwritten digits in ten classes: scikit-learn's, 8x8 grey pixels, nothing to download.

    1,797 images; a fifth is for choosing, a fifth for testing.
    """
    from sklearn.datasets import load_digits as load

    digits = load()
    # 0 to 16: whole numbers stay whole numbers, so nothing is rounded at the images' own size.
    pixels = resized((digits.images * 15.0)[:, None], resolution)
    return image_set(
        "digits",
        [str(digit) for digit in range(10)],
        [(ArrayPixels(pixels), digits.target.astype(np.int64))],
        resolution=resolution,
        mirrored=False,
        validation=0.2,
        test=0.25,  # of the rest
    )


def load_fashion_mnist(resolution: int, folder: Path | None = None) -> ImageSet:
    """Fashion-MNIST: 70,000 grey images of clothing, 28x28, ten classes.

    Args:
        resolution: Pixels of the square images.
        folder: With the four IDX files, packed (.gz) or not; None looks where Debian puts them.

    Raises:
        ImageSetError: If the files are not there or damaged.
    """
    folder = FASHION_MNIST_FOLDER if folder is None else folder
    sources = []
    for name in ("train", "t10k"):
        pixels = _read_idx(folder, f"{name}-images-idx3-ubyte")
        labels = _read_idx(folder, f"{name}-labels-idx1-ubyte")
        if pixels.ndim != 3 or labels.ndim != 1 or len(pixels) != len(labels) or not len(labels):
            raise ImageSetError(
                f"{folder}: {name} has images of shape {pixels.shape} and labels of shape "
                f"{labels.shape}; expected (n, 28, 28) and (n,). Fetch the files again."
            )
        if labels.max() >= len(_FASHION_MNIST_CLASSES):
            raise ImageSetError(f"{folder}: {name} has a label {labels.max()}; expected 0 to 9.")
        source = ArrayPixels(resized(pixels[:, None], resolution))
        sources.append((source, labels.astype(np.int64)))
    return image_set(
        "fashion-mnist",
        _FASHION_MNIST_CLASSES,
        sources,
        resolution=resolution,
        mirrored=True,
        validation=1 / 12,  # 5,000 of 60,000
    )


def _read_idx(folder: Path, name: str) -> Pixels:
    """An IDX file of bytes: two zeros, type 8, the number of dimensions, each size, the values."""
    packed, plain = folder / f"{name}.gz", folder / name
    try:
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
    except FileNotFoundError:
        raise ImageSetError(
            f"Fashion-MNIST is not in {folder}: {name}.gz is missing. Install it with `apt-get "
            "install dataset-fashion-mnist`, or name a folder with its four IDX files as "
            "fashion-mnist:FOLDER."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise ImageSetError(f"Cannot read {name} in {folder}: {error}.") from error
    n_dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * n_dimensions
    shape = struct.unpack(f">{n_dimensions}I", content[4:start]) if len(content) >= start else ()
    if not shape or math.prod(shape) != len(content) - start:
        raise ImageSetError(f"{name} in {folder} is no whole IDX file. Fetch it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


_CHUNK = 4096  # images resized at once: 70,000 at 64 pixels in doubles would take 2 GB


def resized(images: NDArray[np.generic], resolution: int) -> Pixels:
    """Images ``(n, channels, height, width)`` of values 0 to 255 in another, square size."""
    rows, columns = (bilinear(size, resolution).astype(np.float32) for size in images.shape[2:])
    result = np.empty((*images.shape[:2], resolution, resolution), np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].astype(np.float32)
        result[start : start + _CHUNK] = (rows @ chunk @ columns.T).round()
    return result


def bilinear(size: int, new_size: int) -> NDArray[np.float64]:
    """The matrix that resamples ``size`` pixels to ``new_size``, pixel centres aligned.

    A pixel's weight falls linearly with distance: to 0 at the next one where the image is enlarged,
    further out where it shrinks, so that no pixel is left out.
    """
    scale = max(size / new_size, 1.0)
    centres = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    if scale == 1.0:
        centres = centres.clip(0, size - 1)
    weights = 1.0 - np.abs(centres[:, None] - np.arange(size)[None, :]) / scale
    weights = weights.clip(0.0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))
