"""Data sets in folders: a folder of image files for each class."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnaslat.data.images.image_set import (
    CHANNELS,
    ArrayPixels,
    ImageSet,
    Indices,
    Labels,
    Pixels,
    PixelSource,
    image_set,
)
from mnaslat.errors import ImageSetError

if TYPE_CHECKING:
    from PIL import Image

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
_IN_MEMORY_BYTES = 1 << 30  # larger sets are decoded anew each time an image is needed
_N_VALIDATION = 50_000  # as in the paper; smaller sets give a tenth
_SHARE = 0.1


def load_folder(path: Path, resolution: int) -> ImageSet:
    """Images in ``path/train/CLASS/`` and ``path/val/CLASS/`` (to test on), or in ``path/CLASS/``.

    Images for choosing are cut from the training images; where there is no ``val``, so are those to
    test on. An image is scaled so that its short side has ``resolution`` pixels, and its middle is
    taken.

    Raises:
        ImageSetError: If there are no images, only one class, or images that cannot be read; or if
            Pillow is not installed.
    """
    _check_pillow()
    if not path.is_dir():
        raise ImageSetError(f"No folder {path}. Give the folder that holds train/ and val/.")
    has_parts = (path / "train").is_dir()
    if has_parts and not (path / "val").is_dir():
        raise ImageSetError(
            f"{path} has train/ but no val/. Give both, or one folder for each class and no train/."
        )
    classes, files, labels = _listed(path / "train" if has_parts else path)
    listed = [(files, labels)]
    if has_parts:
        test_classes, test_files, test_labels = _listed(path / "val")
        unknown = sorted(set(test_classes) - set(classes))
        if unknown:
            raise ImageSetError(
                f"{path / 'val'} has the class {unknown[0]}, which {path / 'train'} has not."
            )
        numbers = np.array([classes.index(name) for name in test_classes], dtype=np.int64)
        listed.append((test_files, numbers[test_labels]))
    n_bytes = sum(len(each) for each, _ in listed) * CHANNELS * resolution**2
    sources: list[tuple[PixelSource, Labels]] = []
    for each, known in listed:
        pixels: PixelSource = FilePixels(each, resolution)
        if n_bytes <= _IN_MEMORY_BYTES:
            pixels = ArrayPixels(pixels.read(np.arange(len(each))))
        sources.append((pixels, known))
    return image_set(
        f"folder {path.resolve().name}",
        classes,
        sources,
        resolution=resolution,
        mirrored=True,
        validation=min(_SHARE, _N_VALIDATION / len(files)),
        test=_SHARE,
    )


@dataclass(frozen=True, eq=False)
class FilePixels:
    """Images that are decoded when they are asked for."""

    files: Sequence[Path]
    resolution: int

    def __len__(self) -> int:
        return len(self.files)

    def read(self, indices: Indices, /) -> Pixels:
        """Some of them, in colour.

        Raises:
            ImageSetError: If one cannot be read.
        """
        pixels = np.empty((len(indices), CHANNELS, self.resolution, self.resolution), np.uint8)
        for row, index in enumerate(indices):
            pixels[row] = _decoded(self.files[index], self.resolution)
        return pixels

    @cached_property
    def digest(self) -> str:
        """Hash of the files' names and sizes: reading a million images would take too long."""
        listed = [(path.parent.name, path.name, path.stat().st_size) for path in self.files]
        return hashlib.sha256(repr((self.resolution, listed)).encode()).hexdigest()[:16]


def _listed(folder: Path) -> tuple[list[str], list[Path], Labels]:
    """Classes, image files and their labels, all in order of their names."""
    classes: list[str] = []
    files: list[Path] = []
    labels: list[int] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        own = sorted(path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES)
        if own:
            files += own
            labels += [len(classes)] * len(own)
            classes.append(place.name)
    if not files:
        raise ImageSetError(
            f"{folder} has no images. Expected a folder for each class with files such as "
            f"{folder / 'CLASS' / 'name.jpg'}."
        )
    if len(classes) < 2:
        raise ImageSetError(
            f"{folder} has one class, {classes[0]}: there is nothing to tell apart. Give a folder "
            "for each of at least two classes."
        )
    return classes, files, np.array(labels, dtype=np.int64)


def _check_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise ImageSetError(
            "Reading image files needs Pillow. Install it with `pip install mnaslat[images]`."
        ) from None


def _decoded(path: Path, resolution: int) -> Pixels:
    from PIL import Image

    try:
        with Image.open(path) as image:
            # A JPEG file can be decoded at an eighth to a half of its size, many times faster.
            image.draft("RGB", (2 * resolution, 2 * resolution))
            if image.mode == "P":  # transparent colours of a palette warn unless kept at first
                image = image.convert("RGBA")
            square = _middle(image.convert("RGB"), resolution)
    # Besides its own errors Pillow lets those of its decoders through.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageSetError(
            f"Cannot read the image {path}: {error}. Delete or replace it."
        ) from error
    pixels: Pixels = np.asarray(square, np.uint8).transpose(2, 0, 1)
    return pixels


def _middle(image: "Image.Image", resolution: int) -> "Image.Image":
    from PIL import Image

    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((resolution, resolution), Image.Resampling.BILINEAR, box=box)
