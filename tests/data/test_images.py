"""The digits come standardised, split the same way every time, in the shape that networks take."""

import numpy as np
import pytest

from mnaslat.data.images import ImageSet, _bilinear, load_digits_images


def test_digits_are_standardised_and_split_by_class() -> None:
    digits = load_digits_images(16)
    assert digits.train_images.shape == (1300, 1, 16, 16)
    assert digits.validation_images.shape == (497, 1, 16, 16)
    assert digits.train_images.mean() == pytest.approx(0.0, abs=1e-5)
    assert digits.train_images.std() == pytest.approx(1.0, abs=1e-5)
    shares = np.bincount(digits.train_labels) / 1300, np.bincount(digits.validation_labels) / 497
    assert np.abs(shares[0] - shares[1]).max() < 0.003


def test_no_digit_is_in_both_parts() -> None:
    digits = load_digits_images(8)
    train = {image.tobytes() for image in digits.train_images}
    assert not any(image.tobytes() in train for image in digits.validation_images)


def test_at_their_own_size_the_digits_are_not_resampled() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits_images(8)
    image = digits.train_images[0, 0]
    correlations = [
        np.corrcoef(image.ravel(), other.ravel())[0, 1] for other in load_digits().images
    ]
    assert max(correlations) == pytest.approx(1.0, abs=1e-6)


def test_enlarging_is_bilinear() -> None:
    # Pixel centres aligned: a new pixel lies a quarter of the way between two old ones, and the
    # outermost repeat the edge.
    expected = [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    assert _bilinear(2, 4).tolist() == expected
    assert _bilinear(3, 3).tolist() == np.eye(3).tolist()


def test_same_seed_same_split_and_another_seed_another() -> None:
    one, again, other = load_digits_images(8), load_digits_images(8), load_digits_images(8, seed=1)
    assert np.array_equal(one.train_labels, again.train_labels)
    assert not np.array_equal(one.train_labels, other.train_labels)


def test_wrong_arrays_are_refused() -> None:
    images, labels = np.zeros((2, 1, 4, 4), np.float32), np.array([0, 1])
    good = {
        "name": "x",
        "train_images": images,
        "train_labels": labels,
        "validation_images": images,
        "validation_labels": labels,
        "n_classes": 2,
    }
    ImageSet(**good)  # type: ignore[arg-type]
    for wrong in (
        {"train_images": images.astype(float)},
        {"train_labels": np.array([0, 2])},
        {"validation_labels": np.array([0])},
    ):
        with pytest.raises(ValueError, match="must"):
            ImageSet(**{**good, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="resolution"):
        load_digits_images(0)
