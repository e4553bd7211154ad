"""Predicts the latencies of rows of tokens: the predictions, or the upper ends of intervals."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from mnaslat.arrays import Floats, Tokens
from mnaslat.errors import SearchError
from mnaslat.search.decoder import Decoder
from mnaslat.search.latency.choice_residual import ChoiceResidual
from mnaslat.search.problem import CompilingPredictor, IntervalPredictor, Predictor
from mnaslat.search.settings import LatencyKind
from mnaslat.search.tokens import TokenKey, token_keys, tokens_text
from mnaslat.space import SearchSpace

COVERAGE = 0.9  # of the intervals
_N_PROBES = 6  # networks that show whether all intervals have the same relative width


class Latencies:
    """Predicts the latencies of rows of tokens, with the compiled predictor where there is one.

    Compiled from the first prediction on: were it to depend on how many networks a process asks
    for, a resumed run would differ from an undisturbed one in the last digit.

    Args:
        predictor: To be asked.
        space: Of the tokens, or the decoder of a run.
        kind: What ``reward_ms`` is: the prediction, or the upper end of its interval.
        residual: Corrects the predictor's remaining error.
    """

    def __init__(
        self,
        predictor: Predictor,
        space: SearchSpace | Decoder,
        kind: LatencyKind = "point",
        residual: ChoiceResidual | None = None,
    ) -> None:
        self._decoder = space if isinstance(space, Decoder) else Decoder(space)
        self._predictor, self._space, self._kind = predictor, self._decoder.space, kind
        self._residual = residual
        self._upper_ms: dict[TokenKey, float] = {}

    @property
    def what(self) -> str:
        """Names what ``reward_ms`` is."""
        if self._kind == "point":
            return "the predictor"
        return f"the upper end of the predictor's {COVERAGE:.0%} interval"

    def predicted_ms(self, tokens: Tokens) -> Floats:
        """Predict the latency of rows of shape ``(n, decisions)``, shape ``(n,)``.

        Raises:
            SearchError: If a prediction is not a positive number.
        """
        if len(tokens) == 0:
            return np.empty(0)
        if self._compiled is None:
            latency_ms = self._predictor.predict_ms(self._decoder.passing(tokens))
        else:
            latency_ms = self._compiled(tokens)
        checked = checked_ms(latency_ms, tokens, "predicted")
        return checked if self._residual is None else checked * self._residual.factor(tokens)

    def reward_ms(self, tokens: Tokens) -> Floats:
        """Predict the latency that the reward is given, shape ``(n,)``.

        The upper ends are predicted one by one, and remembered, unless all intervals have the same
        relative width.

        Raises:
            SearchError: If upper ends are wanted and the predictor has none.
        """
        predicted_ms = self.predicted_ms(tokens)
        if self._kind == "point" or len(tokens) == 0:
            return predicted_ms
        if self._upper_factor is not None:
            return predicted_ms * self._upper_factor
        keys = token_keys(tokens)
        new = {key: row for key, row in zip(keys, tokens, strict=True) if key not in self._upper_ms}
        if new:
            _, upper_ms = self._interval_ms(np.stack(list(new.values())))
            self._upper_ms.update(zip(new, upper_ms.tolist(), strict=True))
        return np.array([self._upper_ms[key] for key in keys])

    def relative_width(self, tokens: Tokens) -> Floats | None:
        """Divide the width of each interval by its prediction, shape ``(n,)``.

        None where it says nothing about one network against another: the predictor has no
        intervals, or all have the same relative width.
        """
        if self._upper_factor is not None or not isinstance(self._predictor, IntervalPredictor):
            return None
        low_ms, high_ms = self._interval_ms(tokens)
        return np.asarray((high_ms - low_ms) / self.predicted_ms(tokens))

    @cached_property
    def _compiled(self) -> Callable[[Tokens], Floats] | None:
        if not isinstance(self._predictor, CompilingPredictor):
            return None
        try:
            return self._predictor.compile(self._space)
        except ValueError:  # a user's space that cannot be tabulated can still be searched
            return None

    @cached_property
    def _upper_factor(self) -> float | None:
        """Upper end over prediction, where that is the same for all networks; else None."""
        if not isinstance(self._predictor, IntervalPredictor):
            if self._kind == "upper":
                raise SearchError(
                    "The predictor says nothing about how wrong it may be, so there is no upper "
                    "end to search with. Use the predicted latency: --latency point."
                )
            return None
        probes = self._space.sample(_N_PROBES, np.random.default_rng(0))
        factors = self._interval_ms(probes)[1] / self.predicted_ms(probes)
        if np.isinf(factors).any():  # calibrated on few networks: no end that is known
            return float("inf") if np.isinf(factors).all() else None
        same = bool(np.ptp(factors) <= 1e-9 * factors[0])
        return float(np.median(factors)) if same else None

    def _interval_ms(self, tokens: Tokens) -> tuple[Floats, Floats]:
        assert isinstance(self._predictor, IntervalPredictor)
        architectures = self._decoder.passing(tokens)
        try:
            low_ms, high_ms = self._predictor.predict_interval_ms(architectures, COVERAGE)
        except ValueError as error:  # never calibrated
            raise SearchError(f"The predictor has no intervals: {error}") from error
        if self._kind == "upper" and not np.isfinite(high_ms).all():
            raise SearchError(
                f"The predictor was calibrated on too few networks to say what {COVERAGE:.0%} of "
                "them stay under. Calibrate with more (mnaslat calibrate --models 20), or use "
                "--latency point."
            )
        factor = 1.0 if self._residual is None else self._residual.factor(tokens)
        return np.asarray(low_ms) * factor, np.asarray(high_ms) * factor


def checked_ms(latency_ms: object, tokens: Tokens, how: str) -> Floats:
    """Check latencies; returns an array of shape ``(len(tokens),)``.

    Raises:
        SearchError: If there are not as many, or one is not positive and finite.
    """
    checked = np.asarray(latency_ms, dtype=np.float64)
    if checked.shape != (len(tokens),):
        raise SearchError(
            f"Expected {len(tokens)} {how} latencies, got an array of shape {checked.shape}."
        )
    good = (checked > 0.0) & np.isfinite(checked)
    if not good.all():
        index = int(np.argmin(good))
        raise SearchError(
            f"The {how} latency of network {tokens_text(tokens[index])} is {checked[index]} ms; it "
            "must be positive and finite."
        )
    return checked
