"""Results shown in a notebook: small tables in which every text is escaped."""

import json
import math
from html.parser import HTMLParser

import pytest

from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.html_table import html_table
from mnaslat.predictors import Errors, Evaluation, Explanation, HeldOut, LayerCost, TablePredictor

HOSTILE = "<script>alert('x')</script>\"&amp;<img src=x onerror=y>"
ALLOWED = {"table", "caption", "thead", "tbody", "tr", "th", "td"}


class _Page(HTMLParser):
    """Collects the tags and the cells of a table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style", "colspan"}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _explanation(place: str, label: str, n_layers: int = 1) -> Explanation:
    layer = LayerCost(place=place, label=label, latency_ms=2.0, source="estimated", low_ms=math.inf)
    return Explanation(
        latency_ms=2.0 * n_layers,
        low_ms=None,
        high_ms=None,
        coverage=0.9,
        layers=(layer,) * n_layers,
    )


def _held_out(n: int, mape: float, spearman: float = math.nan) -> HeldOut:
    errors = Errors(n=n, mape=mape, within_5=1.0, within_10=1.0, spearman=spearman, bias=0.0)
    return HeldOut(errors, kendall=math.nan, coverage=math.nan, half_width=math.nan)


def _evaluation(family: str) -> Evaluation:
    each = _held_out(4, 0.031)
    return Evaluation(random=each, by_fold=(each,), new_family=each, by_family={family: each})


def _table(device: str, n_rows: int = 1) -> LatencyTable:
    rows = {f"fp32 8x8x8 conv1x1>{8 * n}": Row(0.1 * n) for n in range(1, n_rows + 1)}
    return LatencyTable(Configuration(device=device, fingerprint=device), rows)


@pytest.mark.parametrize(
    "shown",
    [_explanation(HOSTILE[:39], HOSTILE), _evaluation(HOSTILE), _table(HOSTILE)],
    ids=lambda shown: type(shown).__name__,
)
def test_hostile_text_stays_text(shown: object) -> None:
    page = _Page(shown._repr_html_())  # type: ignore[attr-defined]
    assert page.tags <= ALLOWED
    assert HOSTILE[:20] in "".join(page.texts)


@pytest.mark.parametrize("n_rows", [30, 31, 100])
def test_long_tables_say_how_many_rows_are_left_out(n_rows: int) -> None:
    text = _table("host", n_rows)._repr_html_()
    assert text.count("<tr>") - 1 == min(n_rows, 30) + (n_rows > 30)
    assert (f"... {n_rows - 30} more" in text) == (n_rows > 30)


def test_cells_by_hand() -> None:
    text = html_table(["a<", "b"], [[None, 1.23456789], ["<", 3]], caption="&")
    assert _Page(text).texts == ["&", "a<", "b", "1.23457", "<", "3"]
    with pytest.raises(ValueError, match="one cell for each of 2 columns, got 1"):
        html_table(["a", "b"], [[1]])


def test_results_have_short_texts() -> None:
    assert (
        repr(_table("Pixel 4", 3)) == "LatencyTable(3 layers, device='Pixel 4', precision='fp32')"
    )
    assert repr(_explanation("stem", "conv", 500)) == (
        "Explanation(latency_ms=1000, low_ms=None, high_ms=None, 500 layers, 0% measured)"
    )
    assert repr(_evaluation("a")) == (
        "Evaluation(n=4, random_mape=3.10%, new_family_mape=3.10%, n_folds=1, n_families=1)"
    )


def test_results_are_plain_json_without_nan() -> None:
    for result in (_held_out(2, 0.1).errors, _evaluation("a"), _explanation("stem", "conv")):
        text = json.dumps(result.to_json(), allow_nan=False)
        assert "null" in text


def test_the_cells_are_those_of_the_prediction() -> None:
    table = _table("host", 12)
    explanation = TablePredictor(table).explain(Graph.parse("fp32 8x8x8 conv1x1>16"))
    texts = _Page(explanation._repr_html_()).texts
    assert texts[0] == "0.2000 ms" and "0.2" in texts and "measured" in texts
