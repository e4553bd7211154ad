"""What adbutils does when a phone or its server is lost."""

import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import adbutils


@contextmanager
def adb_fails(match: str = "") -> Iterator[None]:
    """adbutils raises here; that it then leaves its sockets open is let pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        except (EOFError, adbutils.AdbError, OSError) as error:
            assert re.search(match, str(error)), f"{error} does not match {match!r}"
            cause: BaseException | None = error
            while cause is not None:  # the sockets are locals of the functions that raised
                traceback.clear_frames(cause.__traceback__)
                cause = cause.__context__
        else:
            raise AssertionError("adbutils did not fail")
