"""Folders of image files become image sets, or it is said what is wrong with them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mnaslat.data.images.image_set import PARTS
from mnaslat.data.images.loading import load_images
from mnaslat.errors import ImageSetError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def write_images(folder: Path, n: int, *, level: int, size: tuple[int, int] = (20, 12)) -> None:
    folder.mkdir(parents=True)
    for number in range(n):
        Image.new("RGB", size, (level, number, 255 - level)).save(folder / f"{number}.png")


@pytest.fixture
def image_net(tmp_path: Path) -> Path:
    for part, n in (("train", 12), ("val", 4)):
        write_images(tmp_path / part / "dark", n, level=10)
        write_images(tmp_path / part / "light", n, level=240)
    return tmp_path


def test_a_folder_of_imagenets_layout(image_net: Path) -> None:
    images = load_images(f"folder:{image_net}", 8)
    assert images.class_names == ("dark", "light")
    assert [len(getattr(images, part)) for part in PARTS] == [22, 2, 8]
    pixels = images.test.source.read(images.test.indices)
    assert pixels.shape == (8, 3, 8, 8)
    levels = np.where(images.test.labels == 0, 10, 240)
    assert np.array_equal(pixels[:, 0, 0, 0], levels)
    assert np.array_equal(pixels[:, 2, 7, 7], 255 - levels)


def test_a_folder_of_one_level_is_split(image_net: Path) -> None:
    images = load_images(f"folder:{image_net / 'train'}", 8)
    assert [len(getattr(images, part)) for part in PARTS] == [20, 2, 2]
    assert load_images(f"folder:{image_net / 'train'}", 8).digest == images.digest


def test_large_sets_are_read_when_needed_with_the_same_result(
    image_net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = load_images(f"folder:{image_net}", 8)
    monkeypatch.setattr("mnaslat.data.images.image_folder._IN_MEMORY_BYTES", 0)
    lazy = load_images(f"folder:{image_net}", 8)
    chosen = np.array([3, 1, 2])
    assert np.array_equal(lazy.train.read(chosen), in_memory.train.read(chosen))
    (image_net / "train" / "dark" / "0.png").write_bytes(b"no image")
    with pytest.raises(ImageSetError, match=r"Cannot read the image .*0\.png"):
        lazy.train.read(np.arange(len(lazy.train)))
    with pytest.raises(ImageSetError, match=r"Cannot read the image .*0\.png"):
        load_images(f"folder:{image_net}", 8).validation.read(np.array([0, 1]))


def test_the_middle_of_an_image_is_taken(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 3, level=0)
        for path in (tmp_path / name).iterdir():
            image = Image.new("RGB", (24, 8), (255, 0, 0))  # red, with a blue middle third
            image.paste((0, 0, 255), (8, 0, 16, 8))
            image.save(path)
    images = load_images(f"folder:{tmp_path}", 8)
    assert (images.train.source.read(np.array([0])) == np.array([0, 0, 255])[:, None, None]).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16"])
def test_images_of_every_mode_come_in_colour(tmp_path: Path, mode: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new(mode, (9, 9)).save(tmp_path / name / f"{number}.png", transparency=None)
    assert load_images(f"folder:{tmp_path}", 8).train.read(np.array([0])).shape == (1, 3, 8, 8)


def test_unusable_folders_are_refused(tmp_path: Path, image_net: Path) -> None:
    def refused(place: Path, reason: str) -> None:
        with pytest.raises(ImageSetError, match=reason):
            load_images(f"folder:{place}", 8)

    refused(tmp_path / "nowhere", "No folder")
    empty = tmp_path / "empty"
    (empty / "cats").mkdir(parents=True)
    refused(empty, "has no images. Expected a folder for each class")
    write_images(tmp_path / "single" / "cats", 3, level=0)
    refused(tmp_path / "single", "has one class, cats")
    write_images(image_net / "val" / "grey", 1, level=99)
    refused(image_net, "has the class grey, which .*train has not")
    write_images(tmp_path / "half" / "train" / "cats", 3, level=0)
    refused(tmp_path / "half", "has train/ but no val/")


def test_without_pillow_it_says_what_to_install(
    image_net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImageSetError, match=r"pip install mnaslat\[images\]"):
        load_images(f"folder:{image_net}", 8)
