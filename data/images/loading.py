"""Loads an image set by name or path."""

from collections.abc import Callable
from pathlib import Path

from mnaslat.data.images.image_set import ImageSet
from mnaslat.errors import ImageSetError


def load_images(name: str, resolution: int) -> ImageSet:
    """A data set by the name that a user gives.

    ``digits`` (scikit-learn's, embedded), ``fashion-mnist`` (of the Debian package
    dataset-fashion-mnist), ``fashion-mnist:FOLDER`` (a folder of the four IDX files) or
    ``folder:PATH`` (``PATH/train/CLASS/*.jpg`` with ``PATH/val/CLASS/*.jpg``, or else
    ``PATH/CLASS/*.jpg``).

    Args:
        name: As above.
        resolution: Pixels of the square images; others are scaled and cut.

    Raises:
        ImageSetError: If there is no such data set, or its images cannot be used.
        ValueError: If the resolution is not positive.
    """
    from mnaslat.data.images.array_files import load_digits, load_fashion_mnist
    from mnaslat.data.images.image_folder import load_folder

    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, got {resolution}.")
    kind, _, place = name.partition(":")
    loaders: dict[str, Callable[[], ImageSet]] = {
        "digits": lambda: load_digits(resolution),
        "fashion-mnist": lambda: load_fashion_mnist(resolution, Path(place) if place else None),
        "folder": lambda: load_folder(Path(place), resolution),
    }
    if kind not in loaders or (kind == "digits" and place) or (kind == "folder" and not place):
        raise ImageSetError(
            f"No data set {name!r}. Known: digits, fashion-mnist, fashion-mnist:FOLDER, "
            "folder:PATH."
        )
    return loaders[kind]()
