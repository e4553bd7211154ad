"""Numbers as the report writes them."""

import math
import re
from datetime import datetime

from mnaslat.files import json_value

_SPACE = "\u00a0"  # keeps a number and its unit on one line


def finite(value: float | None) -> float | None:
    """The value, or None for what cannot be drawn (NaN and infinities are no JSON either)."""
    return None if value is None else json_value(float(value))


def format_ms(value: float | None) -> str:
    """Milliseconds with three significant digits.

    >>> [format_ms(value) for value in (0.01234, 9.996, 78, 1234.5, None)]
    ['0.0123', '10.0', '78.0', '1,234', '–']
    """
    number = finite(value)
    if number is None:
        return "–"
    if number == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(float(f"{number:.2e}"))))  # of the rounded: 9.996 is 10.0
    return f"{number:,.{max(0, 2 - magnitude)}f}"


def format_percent(fraction: float | None, n_decimals: int = 1) -> str:
    """A fraction as a percentage."""
    number = finite(fraction)
    return "–" if number is None else f"{number * 100:.{n_decimals}f}{_SPACE}%"


def local_time(seconds: float) -> datetime | None:
    """Seconds since 1970 as this computer's clock shows them; None if no calendar holds them."""
    try:
        return datetime.fromtimestamp(seconds)
    except (OverflowError, OSError, ValueError):
        return None


def format_time(seconds: float) -> str:
    """Seconds since 1970 as day and time on this computer's clock."""
    time = local_time(seconds)
    return "–" if time is None else f"{time:%Y-%m-%d}{_SPACE}{time:%H:%M:%S}"


def kept_units(sentence: str) -> str:
    """The sentence, with no line break between a number and its unit."""
    return re.sub(r"(?<=\d) (?=(?:%|ms|s|min|h)(?!\w))", _SPACE, sentence)
