"""Image sets come standardised, cut the same way every time, in the shape that networks take."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnaslat.data.images.array_files import (
    FASHION_MNIST_FOLDER,
    bilinear,
    load_digits,
    load_fashion_mnist,
    resized,
)
from mnaslat.data.images.image_set import PARTS, ArrayPixels, ImageSet, image_set
from mnaslat.data.images.loading import load_images
from mnaslat.errors import ImageSetError


def made_up(
    counts: list[int], *, validation: float = 0.2, test: float = 0.2, seed: int = 0
) -> ImageSet:
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 1, 4, 4), dtype=np.uint8)
    return image_set(
        "made up",
        [f"class{number}" for number in range(len(counts))],
        [(ArrayPixels(pixels), labels)],
        resolution=4,
        mirrored=False,
        validation=validation,
        test=test,
    )


def write_idx(
    folder: Path, name: str, array: NDArray[np.integer[Any]], *, packed: bool = True
) -> Path:
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content += array.astype(np.uint8).tobytes()
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def write_fashion_mnist(folder: Path, *, packed: bool = True) -> None:
    rng = np.random.default_rng(0)
    for name, n in (("train", 240), ("t10k", 40)):
        write_idx(
            folder, f"{name}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28)), packed=packed
        )
        write_idx(folder, f"{name}-labels-idx1-ubyte", np.arange(n) % 10, packed=packed)


def test_digits_are_standardised_and_split_by_class() -> None:
    digits = load_digits(16)
    assert [len(getattr(digits, part)) for part in PARTS] == [1079, 359, 359]
    images = digits.train.read(np.arange(len(digits.train)))
    assert images.shape == (1079, 3, 16, 16)
    assert images.dtype == np.float32
    assert images.mean() == pytest.approx(0.0, abs=1e-3)
    assert images.std() == pytest.approx(1.0, abs=1e-3)
    assert np.array_equal(images[:, 0], images[:, 2])
    shares = [
        np.bincount(getattr(digits, part).labels) / len(getattr(digits, part)) for part in PARTS
    ]
    assert np.ptp(shares, axis=0).max() < 0.003


def test_at_their_own_size_the_digits_are_exact() -> None:
    from sklearn.datasets import load_digits as load

    digits = load_digits(8)
    own = load().images[digits.train.indices]
    assert np.array_equal(digits.train.source.read(digits.train.indices)[:, 0], own * 15)
    assert np.array_equal(digits.train.labels, load().target[digits.train.indices])


@given(st.lists(st.integers(3, 30), min_size=2, max_size=5), st.floats(0.01, 0.9))
def test_every_image_is_in_one_part_and_every_class_in_all(counts: list[int], share: float) -> None:
    images = made_up(counts, validation=share)
    indices = [getattr(images, part).indices for part in PARTS]
    assert sorted(np.concatenate(indices)) == list(range(sum(counts)))
    for part in PARTS:
        assert set(getattr(images, part).labels) == set(range(len(counts)))


def test_the_parts_are_the_same_every_time_and_the_digest_tells_sets_apart() -> None:
    one, again = made_up([9, 9]), made_up([9, 9])
    assert np.array_equal(one.test.indices, again.test.indices)
    assert one.digest == again.digest
    others = [made_up([9, 9], seed=1), made_up([9, 9], test=0.4), made_up([8, 10])]
    assert len({one.digest, *(other.digest for other in others)}) == 4


def test_the_first_images_are_a_sample_of_all_classes() -> None:
    part = made_up([300, 300]).train.first(100)
    assert len(part) == 100
    assert np.bincount(part.labels).min() > 30
    assert made_up([9, 9]).train.first(None).read(np.array([0])).shape == (1, 3, 4, 4)


def test_enlarging_is_bilinear() -> None:
    # Pixel centres aligned: a new pixel lies a quarter of the way between two old ones, and the
    # outermost repeat the edge.
    expected = [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    assert bilinear(2, 4).tolist() == expected
    assert bilinear(3, 3).tolist() == np.eye(3).tolist()


def test_shrinking_leaves_no_pixel_out() -> None:
    # Worked out by hand: centre 0.5 between the first two pixels, triangle of half-width 2.
    assert bilinear(4, 2)[0] == pytest.approx(np.array([0.75, 0.75, 0.25, 0.0]) / 1.75)
    assert (bilinear(28, 9) > 0).any(0).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_an_even_image_stays_even_in_every_size(old: int, new: int, value: int) -> None:
    image = np.full((1, 1, old, old), value, np.uint8)
    assert (resized(image, new) == value).all()


@pytest.mark.parametrize("packed", [True, False])
def test_fashion_mnist_is_read_from_a_folder(tmp_path: Path, packed: bool) -> None:
    write_fashion_mnist(tmp_path, packed=packed)
    images = load_images(f"fashion-mnist:{tmp_path}", 28)
    assert [len(getattr(images, part)) for part in PARTS] == [220, 20, 40]
    assert images.class_names[9] == "ankle boot"
    again = load_fashion_mnist(28, tmp_path)
    assert again.digest == images.digest
    assert load_fashion_mnist(14, tmp_path).train.read(np.array([0])).shape == (1, 3, 14, 14)


@pytest.mark.skipif(not FASHION_MNIST_FOLDER.exists(), reason="dataset-fashion-mnist is not there")
def test_fashion_mnist_of_the_debian_package_is_whole() -> None:
    images = load_images("fashion-mnist", 28)
    assert [len(getattr(images, part)) for part in PARTS] == [55_000, 5_000, 10_000]
    assert np.bincount(images.test.labels).tolist() == [1000] * 10
    # Published in torchvision's examples: mean 0.286, deviation 0.353 of the training images.
    assert images.train.mean / 255 == pytest.approx(0.286, abs=0.005)
    assert images.train.deviation / 255 == pytest.approx(0.353, abs=0.005)


def test_a_missing_fashion_mnist_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ImageSetError, match="apt-get install dataset-fashion-mnist"):
        load_images(f"fashion-mnist:{tmp_path}", 28)


@pytest.mark.parametrize("damage", ["cut", "no gzip", "no idx", "short", "labels"])
def test_damaged_idx_files_are_refused(tmp_path: Path, damage: str) -> None:
    write_fashion_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    if damage == "labels":
        write_idx(tmp_path, "train-labels-idx1-ubyte", np.full(240, 10))
    elif damage == "short":
        write_idx(tmp_path, "train-labels-idx1-ubyte", np.zeros(239, np.int64))
    else:
        damaged = {"cut": content[:500], "no gzip": b"not packed", "no idx": gzip.compress(b"PK")}
        path.write_bytes(damaged[damage])
    with pytest.raises(ImageSetError, match=r"train"):
        load_fashion_mnist(28, tmp_path)


@pytest.mark.parametrize("name", ["mnist", "digits:x", "folder", "folder:", ""])
def test_an_unknown_data_set_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ImageSetError, match="Known: digits, fashion-mnist"):
        load_images(name, 8)


def test_too_few_classes_or_images_are_refused() -> None:
    with pytest.raises(ImageSetError, match="has 1 class"):
        made_up([9])
    with pytest.raises(ImageSetError, match="class1 has 2 images.*at least 3"):
        made_up([9, 2])
    with pytest.raises(ImageSetError, match="class1 has 0 images"):
        made_up([9, 0])
    with pytest.raises(ValueError, match="resolution"):
        load_images("digits", 0)
    with pytest.raises(ValueError, match="uint8"):
        ArrayPixels(np.zeros((2, 2, 4, 4), np.uint8))
