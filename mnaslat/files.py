"""Reads and writes files safely: whole or not at all, and no more than a limit."""

import contextlib
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def replace_file(
    path: str | os.PathLike[str], content: bytes | Callable[[BinaryIO], object]
) -> None:
    """Write a file that is whole at any moment: the old one, then the new one.

    It survives a crash and a power cut, and several processes may write the same path.

    Args:
        path: Folders that do not exist are made.
        content: The bytes, or a function that writes them to a seekable binary file.

    Raises:
        OSError: If the file cannot be written; the old one is then unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names of their own for all processes and threads. Short: a long name need not leave room.
    partial = path.with_name(f".{os.getpid()}-{threading.get_native_id()}.partial")
    try:
        with partial.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def read_text(path: str | os.PathLike[str], max_bytes: int) -> str:
    """Read a file of UTF-8 text, and never more than a limit of it.

    Raises:
        ValueError: If it cannot be read, is larger than ``max_bytes``, or is no such text.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # a name with a null character is no OSError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"Cannot read {path}: {reason}.") from None
    if len(content) > max_bytes:
        raise ValueError(f"{path} is larger than {max_bytes // 2**20} MB.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text.") from None


def json_value(value: Any) -> Any:
    """Replace what JSON cannot hold: NaN and infinities by None, tuples by lists.

    Dictionaries and lists are copied, and keys become text.

    >>> json_value({"ms": (1.5, float("nan"))})
    {'ms': [1.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): json_value(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
