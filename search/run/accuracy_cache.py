"""The accuracies of a run: each asked for once, and on the disk as soon as it is known."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import AccuracySource, ChildResult, checked_accuracy
from mnaslat.search.run.run_store import SearchStore

# Answers are committed once asking for them again would cost more than this, which is about what a
# commit costs: a table's come by the thousand a second.
_AT_RISK_S = 0.005


class Answers:
    """What the accuracy source has answered, in a run's store.

    Args:
        source: To be asked.
        store: Of the run.
        architecture: The network of a row of tokens.
    """

    def __init__(
        self,
        source: AccuracySource,
        store: SearchStore,
        architecture: Callable[[str], Architecture],
    ) -> None:
        self._source, self._store, self._architecture = source, store, architecture
        self._known = store.children()
        # Other tokens can stand for the same network, where a small width makes choices equal.
        self._by_network = {architecture(tokens): tokens for tokens in self._known}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, tokens: str) -> ChildResult | None:
        """The answer for a network, if there is one."""
        return self._known.get(tokens)

    def ask(self, rows: Sequence[str], on_answer: Callable[[float], None]) -> int:
        """Have an answer for each of some networks; those that are known are not asked for.

        Args:
            rows: Their tokens.
            on_answer: Called after each answer with the seconds waited for it; may raise.

        Returns:
            How many were asked for.

        Raises:
            SearchError: If the source answers with what is no accuracy, or not for every network.
        """
        missing = self._missing(rows)
        if not missing:
            self._share(rows)
            return 0
        left = set(range(len(missing)))
        answers = self._source.evaluate([self._architecture(tokens) for tokens in missing])
        at_risk_s, asked_s = 0.0, time.monotonic()
        with _closing(answers):
            for index, given in answers:
                if index not in left:
                    raise SearchError(
                        f"The accuracy source ({self._source.description}) answered for network "
                        f"{index} of {len(missing)}, which it was not asked for or had answered."
                    )
                left.remove(index)
                tokens = missing[index]
                child = _checked(given, tokens)
                self._keep(tokens, child)
                waited_s = time.monotonic() - asked_s
                at_risk_s += max(waited_s, child.cost_s)
                if at_risk_s >= _AT_RISK_S:
                    self._store.commit()
                    at_risk_s = 0.0
                on_answer(waited_s)
                asked_s = time.monotonic()
        if left:
            raise SearchError(
                f"The accuracy source ({self._source.description}) gave no answer for "
                f"{len(left)} of {len(missing)} networks, the first of them "
                f"{missing[min(left)]}."
            )
        self._share(rows)
        return len(missing)

    def _missing(self, rows: Sequence[str]) -> list[str]:
        """Tokens of networks without an answer, each network once."""
        missing: dict[Architecture, str] = {}
        for tokens in rows:
            if tokens not in self._known:
                network = self._architecture(tokens)
                if network not in self._by_network:
                    missing.setdefault(network, tokens)
        return list(missing.values())

    def _share(self, rows: Sequence[str]) -> None:
        """Give rows the answer of the same network under other tokens."""
        for tokens in rows:
            if tokens not in self._known:
                known = self._by_network[self._architecture(tokens)]
                self._keep(tokens, replace(self._known[known], cost_s=0.0))

    def _keep(self, tokens: str, child: ChildResult) -> None:
        self._store.add_child(tokens, child)
        self._known[tokens] = child
        self._by_network.setdefault(self._architecture(tokens), tokens)

    def refuse(self, rows: Sequence[str]) -> NoReturn:
        """Stop because no network of a round has an accuracy: the source is bad, not the networks.

        What it said is forgotten, so that the run can go on when the source is mended.

        Raises:
            SearchError: Always; says what the first one failed of.
        """
        failure = self._known[rows[0]].failure
        for tokens in set(rows):
            del self._known[tokens]
            self._by_network.pop(self._architecture(tokens), None)
        self._store.forget_children(set(rows))
        self._store.commit()
        raise SearchError(
            f"All {len(rows)} networks of a round failed, the first of them because: {failure}. "
            "Mend that and run the same command again."
        )


def _checked(given: ChildResult, tokens: str) -> ChildResult:
    if given.accuracy is None:
        return given
    if math.isnan(given.accuracy):
        return ChildResult(accuracy=None, cost_s=given.cost_s, failure="its accuracy is nan")
    accuracy = checked_accuracy(given.accuracy, f"The accuracy of network {tokens}")
    return ChildResult(accuracy=accuracy, cost_s=given.cost_s)


@contextlib.contextmanager
def _closing(answers: Iterator[tuple[int, ChildResult]]) -> Iterator[None]:
    """End what a generator has started, however its loop ends."""
    try:
        yield
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()
