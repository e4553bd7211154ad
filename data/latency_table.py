"""The latency table: layer signature -> latency, of one device in one configuration.

The portable form is JSON. Format history: 1, the first.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mnaslat.data.measurement import Configuration, Measurement
from mnaslat.errors import PredictorFileError
from mnaslat.files import json_value, read_text, replace_file
from mnaslat.graph import Graph
from mnaslat.html_table import html_table

_FORMAT = 1
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Row:
    """One layer of a table."""

    latency_ms: float  # minimum over rounds
    spread: float = math.inf  # how far the two fastest rounds disagree; infinite after one round
    n_rounds: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latency_ms) and self.latency_ms > 0):
            raise ValueError(f"latency_ms must be positive, got {self.latency_ms}.")
        if not self.spread >= 0:  # NaN too
            raise ValueError(f"spread must not be negative, got {self.spread}.")
        if self.n_rounds < 1:
            raise ValueError(f"n_rounds must be at least 1, got {self.n_rounds}.")


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of layers measured in one configuration, by signature."""

    configuration: Configuration
    rows: Mapping[str, Row]

    @classmethod
    def from_measurements(
        cls, configuration: Configuration, measurements: Mapping[str, Measurement]
    ) -> "LatencyTable":
        """The table of what a store holds for one configuration."""
        rows = {
            signature: Row(found.latency_ms, found.spread, found.n_rounds)
            for signature, found in measurements.items()
        }
        return cls(configuration, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __repr__(self) -> str:
        """Show the device, the precision and the number of layers."""
        configuration = self.configuration
        return (
            f"LatencyTable({len(self)} layers, device={configuration.device!r}, "
            f"precision={configuration.precision!r})"
        )

    def _repr_html_(self) -> str:
        configuration = self.configuration
        rows = (
            (signature, row.latency_ms, f"{row.spread:.1%}" if row.n_rounds > 1 else None)
            for signature, row in self.rows.items()
        )
        caption = f"{configuration.fingerprint}, {configuration.precision}, {len(self)} layers"
        return html_table(("layer", "ms", "spread"), rows, caption=caption)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that ``from_json`` reads back."""
        return {
            "format": _FORMAT,
            "kind": "mnaslat-latency-table",
            "configuration": asdict(self.configuration),
            "rows": [
                {
                    "signature": signature,
                    "latency_ms": row.latency_ms,
                    "spread": json_value(row.spread),
                    "n_rounds": row.n_rounds,
                }
                for signature, row in self.rows.items()
            ],
        }

    @classmethod
    def from_json(cls, data: Any) -> "LatencyTable":
        """Read what ``to_json`` wrote, checking every row.

        Raises:
            PredictorFileError: If it is no table, of a newer format, or has a bad row.
        """
        if not isinstance(data, dict) or data.get("kind") != "mnaslat-latency-table":
            raise PredictorFileError("This is not a latency table of mnaslat.")
        if data.get("format") != _FORMAT:
            raise PredictorFileError(
                f"The latency table has format {data.get('format')!r}; this mnaslat reads "
                f"{_FORMAT}. Upgrade mnaslat, or write the table again."
            )
        try:
            configuration = Configuration.from_json(data["configuration"])
            rows: dict[str, Row] = {}
            for entry in data["rows"]:
                signature = entry["signature"]
                if Graph.parse(signature).precision != configuration.precision:
                    raise ValueError(f"{signature[:60]!r} is not {configuration.precision}")
                if signature in rows:
                    raise ValueError(f"{signature[:60]!r} stands in it twice")
                spread = entry["spread"]
                rows[signature] = Row(
                    float(entry["latency_ms"]),
                    math.inf if spread is None else float(spread),
                    int(entry["n_rounds"]),
                )
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise PredictorFileError(f"The latency table is damaged: {error}.") from None
        return cls(configuration, rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON; the file appears whole or not at all."""
        replace_file(path, (json.dumps(self.to_json(), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LatencyTable":
        """Read a table written by ``save``.

        Raises:
            PredictorFileError: If the file cannot be read or is no table.
        """
        try:
            data = json.loads(read_text(path, _MAX_BYTES))
        except (ValueError, RecursionError) as error:
            raise PredictorFileError(f"Cannot read {path} as a latency table: {error}.") from None
        return cls.from_json(data)
