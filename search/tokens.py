"""Converts rows of tokens to text and back."""

from collections.abc import Sequence


def tokens_text(tokens: Sequence[int]) -> str:
    """Tokens as they are stored."""
    return ",".join(str(int(token)) for token in tokens)


def tokens_row(text: str) -> list[int]:
    """Tokens as they were before they were stored.

    Raises:
        ValueError: If it is no text of tokens.
    """
    return [int(token) for token in text.split(",")]
