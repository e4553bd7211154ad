import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from mnaslat.files import json_value, read_text, replace_file


def test_a_file_is_replaced_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    replace_file(path, b"old")
    replace_file(str(path), lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file.json"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    replace_file(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def fails(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, fails)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_new_file_may_be_read_by_others_as_the_umask_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    replace_file(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == plain.stat().st_mode


def test_text_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf" + "ä".encode())
    assert read_text(path, 5) == read_text(str(path), 5) == "ä"
    with pytest.raises(ValueError, match="larger than 0 MB"):
        read_text(path, 4)
    with pytest.raises(ValueError, match="larger than 1 MB"):
        read_text("/dev/zero", 2**20)


def test_what_is_no_text_is_an_argument_error(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is no UTF-8 text"):
        read_text(tmp_path / "bytes", 100)
    for wrong in (tmp_path / "missing", tmp_path, "a\0b"):
        with pytest.raises(ValueError, match="Cannot read"):
            read_text(wrong, 100)


def test_json_values_hold_no_infinity() -> None:
    found = json_value({1: [float("inf"), 2.5, True, "nan"], "a": (float("nan"), None)})
    assert found == {"1": [None, 2.5, True, "nan"], "a": [None, None]}
