"""Times as people write them; everything inside is in seconds or milliseconds."""

import re

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration_s(text: str) -> float:
    """Read a duration such as ``90``, ``90s``, ``10m``, ``1h30m`` into seconds.

    A bare number is seconds.

    Raises:
        ValueError: If the text is not a duration or not positive.

    >>> parse_duration_s("1h30m")
    5400.0
    """
    cleaned = text.strip().lower()
    pieces = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|min|[smh])?", cleaned)
    leftover = re.sub(r"(\d+(?:\.\d+)?)\s*(ms|min|[smh])?", "", cleaned).strip()
    total_s = sum(float(number) * _SECONDS[unit or "s"] for number, unit in pieces)
    if not pieces or leftover or total_s <= 0:
        raise ValueError(f"{text!r} is not a duration. Write seconds or e.g. 90s, 10m, 1h30m.")
    return total_s


def format_duration(seconds: float) -> str:
    """Write seconds the way people read them.

    >>> format_duration(5400)
    '1 h 30 min'
    >>> format_duration(75.2)
    '1 min 15 s'
    """
    if seconds < 59.5:  # from there on it is a whole minute
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def format_ms(milliseconds: float) -> str:
    """Write milliseconds with three digits, or all of those before the point.

    >>> format_ms(7.4567), format_ms(1234.5)
    ('7.46 ms', '1234 ms')
    """
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else f"{milliseconds:.0f} ms"
