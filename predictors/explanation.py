"""Explains a predicted latency layer by layer."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mnaslat.html_table import html_table

_WIDTH = 40  # of a place in the table; names in .tflite files may be long, the end says most
Source = Literal["measured", "estimated", "unknown"]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The contribution of one layer to a prediction.

    ``source`` is ``unknown`` if the layer has operations that were never measured; they are listed
    in ``unknown``, and the latency is extrapolated.

    ``low_ms`` and ``high_ms`` bound the layer alone; they are None if the predictor has no
    intervals. Layers' errors partly cancel, so the bounds of a network are not the sums of its
    layers' bounds.
    """

    place: str  # as in ``Graph.places``; "network" for what belongs to no layer
    label: str
    latency_ms: float
    source: Source
    low_ms: float | None = None
    high_ms: float | None = None
    unknown: tuple[str, ...] = ()  # operations


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A prediction, layer by layer.

    The layers' latencies add up to ``latency_ms``, which is what ``predict_ms`` gives.
    """

    latency_ms: float
    low_ms: float | None  # None: the predictor has no intervals
    high_ms: float | None
    coverage: float  # of all bounds
    layers: tuple[LayerCost, ...]

    @property
    def measured_share(self) -> float:
        """Fraction of the latency that was measured."""
        measured = sum(each.latency_ms for each in self.layers if each.source == "measured")
        return measured / sum(each.latency_ms for each in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``; unknown and infinite bounds become None."""
        found = {**asdict(self), "measured_share": self.measured_share}
        for entry in (found, *found["layers"]):
            for name in ("low_ms", "high_ms"):
                if entry[name] is not None and not math.isfinite(entry[name]):
                    entry[name] = None
        return found

    def __repr__(self) -> str:
        """Show the latency, its bounds and the number of layers."""
        return (
            f"Explanation(latency_ms={self.latency_ms:.6g}, low_ms={_short(self.low_ms)}, "
            f"high_ms={_short(self.high_ms)}, {len(self.layers)} layers, "
            f"{self.measured_share:.0%} measured)"
        )

    def _repr_html_(self) -> str:
        columns = ("layer", "ms", "share", "source", "low ms", "high ms", "operation")
        rows = [
            (
                _shortened(each.place),
                each.latency_ms,
                f"{each.latency_ms / self.latency_ms:.1%}",
                each.source,
                each.low_ms,
                each.high_ms,
                each.label,
            )
            for each in self.layers
        ]
        bounds = _bounds(self.low_ms, self.high_ms)
        total = f"{self.latency_ms:.4f} ms" + (f", {self.coverage:.0%}: {bounds}" if bounds else "")
        return html_table(columns, rows, caption=total)

    def __str__(self) -> str:
        """Format a table for the terminal."""
        places = [_shortened(each.place) for each in self.layers]
        width = max(len("network"), *map(len, places))
        rows = []
        for each, place in zip(self.layers, places, strict=True):
            share = each.latency_ms / self.latency_ms
            row = f"{place:{width}} {each.latency_ms:10.4f} ms {share:6.1%}  {each.source:9}"
            rows.append(f"{row}  {_bounds(each.low_ms, each.high_ms):24}  {each.label}".rstrip())
        total = f"{'total':{width}} {self.latency_ms:10.4f} ms {'':6}  {'':9}  "
        return "\n".join([*rows, (total + _bounds(self.low_ms, self.high_ms)).rstrip()])


def _shortened(place: str) -> str:
    return place if len(place) <= _WIDTH else f"…{place[1 - _WIDTH :]}"


def _short(value: float | None) -> str:
    return "None" if value is None else f"{value:.6g}"


def _bounds(low_ms: float | None, high_ms: float | None) -> str:
    return "" if low_ms is None or high_ms is None else f"{low_ms:.4f} to {high_ms:.4f} ms"
