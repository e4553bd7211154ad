"""Converts rows of tokens: arrays to keys, keys to text, text to keys.

A row has three forms: part of an array for computing, a `TokenKey` in dictionaries and sets, and
text in files.
"""

from collections.abc import Sequence

from mnaslat.arrays import Tokens

TokenKey = tuple[int, ...]


def token_keys(rows: Tokens) -> list[TokenKey]:
    """Convert an array of shape ``(n, decisions)`` to ``n`` keys.

    >>> import numpy as np
    >>> token_keys(np.array([[0, 2], [1, 0]]))
    [(0, 2), (1, 0)]
    """
    return [tuple(row) for row in rows.tolist()]


def tokens_text(tokens: Sequence[int] | Tokens) -> str:
    """Write a row as it is stored.

    >>> tokens_text((0, 2))
    '0,2'
    """
    return ",".join(str(int(token)) for token in tokens)


def tokens_row(text: str) -> TokenKey:
    """Read a row as it is stored.

    Raises:
        ValueError: If it is no text of tokens.

    >>> tokens_row("0,2")
    (0, 2)
    """
    return tuple(int(token) for token in text.split(","))
