"""Evaluates each network of a run once, and writes each result to the disk as it comes."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import (
    AccuracySource,
    Candidate,
    CandidateResult,
    checked_accuracy,
)
from mnaslat.search.decoder import Decoder
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.tokens import TokenKey, tokens_text

# Results are committed once evaluating them again would cost more than this, which is about what a
# commit costs: a table's come by the thousand a second.
_AT_RISK_S = 0.005


class AccuracyCache:
    """Evaluates networks with an accuracy source and keeps the results in a run's store.

    Args:
        source: Evaluates what is not known.
        store: Of the run.
        decoder: Of the run.
    """

    def __init__(self, source: AccuracySource, store: SearchStore, decoder: Decoder) -> None:
        self._source, self._store, self._network = source, store, decoder.network
        self._known = store.results()
        # Other tokens can stand for the same network, where a small width makes choices equal.
        self._by_network = {self._network(tokens): tokens for tokens in self._known}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, tokens: TokenKey) -> CandidateResult | None:
        """Look up the result of a row, if there is one."""
        return self._known.get(tokens)

    def evaluate(self, rows: Sequence[TokenKey], on_result: Callable[[float], None]) -> int:
        """Evaluate the rows whose results are not known.

        Args:
            rows: Of tokens.
            on_result: Called after each result with the seconds waited for it; may raise.

        Returns:
            The number of networks evaluated.

        Raises:
            SearchError: If the source gives what is no accuracy, or not one for every network.
        """
        missing = self._missing(rows)
        if not missing:
            self._share(rows)
            return 0
        left = set(range(len(missing)))
        results = self._source.evaluate(missing)
        at_risk_s, asked_s = 0.0, time.monotonic()
        with _closing(results):
            for index, given in results:
                if index not in left:
                    raise SearchError(
                        f"The accuracy source ({self._source.description}) answered for network "
                        f"{index} of {len(missing)}, which it was not asked for or had answered."
                    )
                left.remove(index)
                tokens = missing[index].tokens
                result = _checked(given, tokens)
                self._keep(tokens, result)
                waited_s = time.monotonic() - asked_s
                at_risk_s += max(waited_s, result.cost_s)
                if at_risk_s >= _AT_RISK_S:
                    self._store.commit()
                    at_risk_s = 0.0
                on_result(waited_s)
                asked_s = time.monotonic()
        if left:
            raise SearchError(
                f"The accuracy source ({self._source.description}) gave no answer for "
                f"{len(left)} of {len(missing)} networks, the first of them "
                f"{tokens_text(missing[min(left)].tokens)}."
            )
        self._share(rows)
        return len(missing)

    def _missing(self, rows: Sequence[TokenKey]) -> list[Candidate]:
        """The networks without a result, each once."""
        missing: dict[Architecture, Candidate] = {}
        for tokens in rows:
            if tokens not in self._known:
                network = self._network(tokens)
                if network not in self._by_network:
                    missing.setdefault(network, Candidate(tokens, network))
        return list(missing.values())

    def _share(self, rows: Sequence[TokenKey]) -> None:
        """Give rows the result of the same network under other tokens."""
        for tokens in rows:
            if tokens not in self._known:
                known = self._by_network[self._network(tokens)]
                self._keep(tokens, replace(self._known[known], cost_s=0.0))

    def _keep(self, tokens: TokenKey, result: CandidateResult) -> None:
        self._store.add_result(tokens, result)
        self._known[tokens] = result
        self._by_network.setdefault(self._network(tokens), tokens)

    def refuse(self, rows: Sequence[TokenKey]) -> NoReturn:
        """Stop because no network of a round has an accuracy: the source is bad, not the networks.

        The results are forgotten, so that the run can be resumed when the source is corrected.

        Raises:
            SearchError: Always; says why the first one failed.
        """
        failure = self._known[rows[0]].failure
        for tokens in set(rows):
            del self._known[tokens]
            self._by_network.pop(self._network(tokens), None)
        self._store.forget_results(set(rows))
        self._store.commit()
        raise SearchError(
            f"All {len(rows)} networks of a round failed, the first of them because: {failure}. "
            "Mend that and run the same command again."
        )


def _checked(given: CandidateResult, tokens: TokenKey) -> CandidateResult:
    if given.accuracy is None:
        return given
    if math.isnan(given.accuracy):
        return CandidateResult(accuracy=None, cost_s=given.cost_s, failure="its accuracy is nan")
    accuracy = checked_accuracy(given.accuracy, f"The accuracy of network {tokens_text(tokens)}")
    return CandidateResult(accuracy=accuracy, cost_s=given.cost_s)


@contextlib.contextmanager
def _closing(results: Iterator[tuple[int, CandidateResult]]) -> Iterator[None]:
    """End what a generator has started, however its loop ends."""
    try:
        yield
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()
