"""Decodes rows of tokens, each once."""

from mnaslat.architecture import Architecture
from mnaslat.arrays import Tokens
from mnaslat.search.tokens import TokenKey, token_keys
from mnaslat.space import SearchSpace


class Decoder:
    """Decodes the rows of a space and remembers their networks.

    Attributes:
        space: Of the rows.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._known: dict[TokenKey, Architecture] = {}

    def network(self, tokens: TokenKey) -> Architecture:
        """Decode a row, or remember its network.

        Raises:
            ValueError: If it is no row of the space.
        """
        if tokens not in self._known:
            self._known[tokens] = self.space.decode(tokens)
        return self._known[tokens]

    def networks(self, rows: Tokens) -> list[Architecture]:
        """Decode rows of shape ``(n, decisions)`` that are evaluated or measured."""
        return [self.network(key) for key in token_keys(rows)]

    def passing(self, rows: Tokens) -> list[Architecture]:
        """Decode rows that are only looked at: there are too many of them to remember."""
        return [
            self._known.get(key) or self.space.decode(row)
            for key, row in zip(token_keys(rows), rows, strict=True)
        ]
