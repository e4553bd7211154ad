"""The report is one safe, self-contained file that shows what it was given, and nothing else."""

import json
import math
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure

from mnaslat.reports.page import render_report, write_report
from mnaslat.reports.page_data import (
    ConditionPoint,
    ConditionsSection,
    Front,
    FrontPoint,
    JournalEntry,
    LatencyPoint,
    ReportPage,
    RewardHistory,
    RewardPoint,
    TableRow,
    TableSection,
    Winner,
)

HOSTILE = "</script><img src=https://evil.example/x onerror=alert(1)>\"'&<b>"
PARTS = ["winners", "front", "latency", "reward", "conditions", "table"]


def a_row(index: int = 0, **changes: Any) -> TableRow:
    given: dict[str, Any] = {
        "label": f"layer {index}",
        "signature": f"fp32 8x8x{index} conv1x1>8",
        "latency_ms": 1.0 + index,
        "spread": 0.01,
        "n_rounds": 2,
        "converged": True,
        "share": 0.25,
    }
    return TableRow(**(given | changes))


def a_condition(minute: float = 0.0, **changes: Any) -> ConditionPoint:
    given: dict[str, Any] = {
        "hottest_c": 40.0 + minute,
        "battery_c": 30.0,
        "battery_percent": 80,
        "clock_ghz": 2.84,
        "load": 1.5,
        "steal_ticks": 3,
        "sentinel_change": minute / 100,
    }
    return ConditionPoint(happened=1_700_000_000 + 60 * minute, **(given | changes))


def a_page(text: str = "net") -> ReportPage:
    """A page with everything on it; ``text`` is in every place where text may come from outside."""
    return ReportPage(
        title=text,
        headline=(f"Found {text}.", "In 75 ms."),
        warnings=(f"Beware of {text}",),
        facts=((text, text),),
        winners=(
            Winner(
                name=text,
                accuracy=0.75,
                predicted_ms=72.0,
                measured_ms=75.0,
                blocks=(text,),
                command=text,
            ),
        ),
        latency_points=(
            LatencyPoint(label=text, group=text, predicted_ms=9.0, measured_ms=10.0),
            LatencyPoint(label="b", group="evaluation", predicted_ms=21.0, measured_ms=20.0),
        ),
        front=Front(
            points=(
                FrontPoint(label=text, accuracy=0.7, latency_ms=40, measured=True, on_front=True),
                FrontPoint(label="b", accuracy=0.6, latency_ms=30, measured=False, on_front=True),
                FrontPoint(label="c", accuracy=0.5, latency_ms=35, measured=False, on_front=False),
            ),
            targets_ms=(75.0,),
        ),
        rewards=RewardHistory(
            points=(
                RewardPoint(round=1, mean_reward=0.4, best_reward=0.5, entropy=3.0),
                RewardPoint(round=0, mean_reward=0.3, best_reward=0.5, entropy=4.0),
            ),
            validations=(1,),
        ),
        conditions=ConditionsSection(
            summary=("2 rounds.", "The battery was at 80 %."),
            points=(a_condition(0), a_condition(1)),
            alarm_change=0.08,
            journal=(JournalEntry(happened=1_700_000_000, text=text),),
            n_earlier=1034,
        ),
        table=TableSection(rows=(a_row(0, label=text, signature=text), a_row(1)), share_name=text),
    )


class Document(HTMLParser):
    """What a browser would make of the page: elements in order, text, and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.cells: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag
        if tag in ("script", "style"):
            (self.scripts if tag == "script" else self.styles).append("")
        elif tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles[-1] += data
        else:
            if self._inside == "td":
                self.cells[-1] += data
            self.text += data.replace("\u00a0", " ")

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def data(self) -> dict[str, Any]:
        """The JSON in the page, read as strictly as a browser reads it."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        data: dict[str, Any] = json.loads(self.scripts[0], parse_constant=refuse)
        return data


def read(page: ReportPage) -> Document:
    return Document(render_report(page))


def test_page_with_nothing_but_a_title_is_small_and_has_no_parts() -> None:
    page = render_report(ReportPage(title="Empty run"))
    document = Document(page)
    assert document.ids == [] and document.scripts == []
    assert "Empty run" in document.text
    assert len(page) < 20_000


def test_all_parts_are_there_and_what_was_found_comes_first() -> None:
    document = read(a_page())
    assert [name for name in document.ids if name in PARTS] == PARTS
    assert set(document.data["charts"]) == {"front", "latency", "reward", "conditions", "slowest"}
    places = [document.text.index(text) for text in ("Found net.", "Beware", "Best networks")]
    assert places == sorted(places)


@pytest.mark.parametrize("part", PARTS)
def test_part_without_content_leaves_no_trace(part: str) -> None:
    full, empty = a_page(), ReportPage(title="")
    field = {"latency": "latency_points", "reward": "rewards"}.get(part, part)
    given = {name: getattr(full, name) for name in ReportPage.__dataclass_fields__}
    document = read(ReportPage(**(given | {field: getattr(empty, field)})))
    assert [name for name in document.ids if name in PARTS] == [p for p in PARTS if p != part]


def test_hostile_text_stays_text() -> None:
    harmless, hostile = read(a_page("net")), read(a_page(HOSTILE))
    tags = [tag for tag, _ in hostile.elements]
    assert tags == [tag for tag, _ in harmless.elements]
    assert HOSTILE in hostile.text
    assert hostile.data["table"]["rows"][0]["texts"][0] == HOSTILE
    assert HOSTILE in hostile.data["table"]["columns"]


def test_hostile_text_is_no_markup_in_chart_labels_either() -> None:
    charts = read(a_page(HOSTILE)).data["charts"]
    texts = json.dumps(charts).replace("<b>", "").replace("</b>", "").replace("<br>", "")
    assert "&lt;img" in texts
    assert "<" not in texts.replace("<extra></extra>", "")


def test_nothing_is_loaded_from_anywhere() -> None:
    document = read(a_page())
    loading = {"src", "href", "srcset", "poster", "data", "action", "formaction", "background"}
    addresses = [
        value
        for _, attributes in document.elements
        for name, value in attributes.items()
        if name in loading
    ]
    assert addresses == ["data:,"]  # the icon, so that browsers do not ask for one
    assert not any("url(" in style or "@import" in style for style in document.styles)


def test_browser_is_forbidden_to_load_anything() -> None:
    policies = [
        attributes["content"]
        for _, attributes in read(a_page()).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    allowed = dict(directive.split(maxsplit=1) for directive in policies[0].split("; "))
    assert allowed["default-src"] == "'none'"
    assert not any(":" in source for name, source in allowed.items() if name != "img-src")
    assert allowed["img-src"] == "data: blob:"


def test_charts_are_what_plotly_understands() -> None:
    for chart in read(a_page()).data["charts"].values():
        Figure(chart)  # raises for a property that does not exist


def test_every_axis_with_a_title_has_its_unit() -> None:
    charts = read(a_page()).data["charts"]
    titles = {
        axis["title"]["text"]
        for chart in charts.values()
        for name, axis in chart["layout"].items()
        if "axis" in name and "title" in axis
    }
    assert titles == {
        "Measured latency (ms)",
        "Predicted latency (ms)",
        "Latency (ms)",
        "Accuracy (top-1)",
        "Reward",
        "Entropy (nats)",
        "Round",
        "Heat (°C)",
        "Battery (%)",
        "Clock (GHz)",
        "Load (programs)",
        "Steal (ticks)",
        "Sentinel (%)",
        "Time",
    }


def test_errors_worked_out_by_hand() -> None:
    given = [("calibration", 11, 10), ("calibration", 10, 10), ("evaluation", 95, 100)]
    points = [
        LatencyPoint(label="n", group=group, predicted_ms=predicted_ms, measured_ms=measured_ms)
        for group, predicted_ms, measured_ms in given
    ]
    document = read(ReportPage(title="", latency_points=tuple(points)))
    cells = [cell.replace("\u00a0", " ") for cell in document.cells]
    # Relative to the measurement: 10 % and 0 %; then 5 %, which is still within 5 %.
    assert cells == ["calibration", "2", "5.00 %", "50 %", "evaluation", "1", "5.00 %", "100 %"]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, 0.0])
def test_network_without_a_measurement_is_counted_but_not_drawn(missing: float | None) -> None:
    points = (
        LatencyPoint(label="a", group="evaluation", predicted_ms=10.0, measured_ms=missing),
        LatencyPoint(label="b", group="evaluation", predicted_ms=20.0, measured_ms=20.0),
    )
    document = read(ReportPage(title="", latency_points=points))
    assert "1 of 2 networks lack a measurement or a prediction" in document.text
    assert document.data["charts"]["latency"]["data"][-1]["x"] == [20.0]


def test_networks_that_were_never_measured_give_no_chart() -> None:
    point = LatencyPoint(label="a", group="evaluation", predicted_ms=10.0, measured_ms=None)
    document = read(ReportPage(title="", latency_points=(point,)))
    assert "latency" in document.ids and "errors" not in document.ids
    assert document.scripts == []


def test_unknown_numbers_are_shown_as_unknown() -> None:
    nan = math.nan
    bad = FrontPoint(label="", accuracy=nan, latency_ms=nan, measured=False, on_front=True)
    page = ReportPage(
        title="",
        winners=(Winner(name="a", predicted_ms=nan, accuracy=nan, measured_ms=nan),),
        front=Front(points=(bad, *a_page().front.points), targets_ms=(nan,)),
        rewards=RewardHistory(
            points=(RewardPoint(round=0, mean_reward=nan, best_reward=0.5, entropy=None),)
        ),
        table=TableSection(rows=(a_row(latency_ms=nan, spread=None, share=nan), a_row(1))),
    )
    document = read(page)
    assert "not measured" in document.text
    assert "1 of 4 networks lack an accuracy or a latency" in document.text
    row = document.data["table"]["rows"][0]
    assert row["texts"][1:4] == ["–", "–", "2"] and row["keys"][1:3] == [None, None]
    assert "nan" not in document.text.lower()


@pytest.mark.parametrize(
    ("latency_ms", "shown"),
    [(0.01234, "0.0123"), (9.996, "10.0"), (78.25, "78.2"), (999.6, "1,000"), (1234.5, "1,234")],
)
def test_milliseconds_have_three_significant_digits(latency_ms: float, shown: str) -> None:
    document = read(ReportPage(title="", winners=(Winner(name="a", predicted_ms=latency_ms),)))
    assert f"Predicted{shown} ms" in document.text


def test_winner_says_how_far_its_prediction_was_off() -> None:
    assert "75.0 ms prediction -4.0 %" in read(a_page()).text  # 72 / 75 = 0.96


def test_front_is_a_line_through_its_networks_from_fast_to_slow() -> None:
    chart = read(a_page()).data["charts"]["front"]
    (line,) = [trace for trace in chart["data"] if trace["mode"] == "lines"]
    assert (line["x"], line["y"]) == ([30, 40], [0.6, 0.7])


def test_every_target_has_a_line_and_every_answer_a_star() -> None:
    points = [
        FrontPoint(
            label=f"n{number}",
            accuracy=0.5 + number / 10,
            latency_ms=10.0 * number,
            measured=True,
            on_front=True,
            answers=number > 1,
        )
        for number in (1, 2, 3)
    ]
    front = Front(points=tuple(points), targets_ms=(20.0, 25.0, 30.0))
    document = read(ReportPage(title="", front=front))
    chart = document.data["charts"]["front"]
    assert [line["x0"] for line in chart["layout"]["shapes"]] == [20.0, 25.0, 30.0]
    texts = [each["text"] for each in chart["layout"]["annotations"]]
    assert texts == ["target 20.0 ms", "target 30.0 ms"]
    (stars,) = [each for each in chart["data"] if each["name"] == "best at a target"]
    assert stars["x"] == [20.0, 30.0]
    assert "A star is the best at one of the targets" in document.text


def test_errors_of_predictions_are_drawn_over_the_search_before_and_after() -> None:
    points = [
        LatencyPoint(
            label="n", group=group, predicted_ms=predicted_ms, measured_ms=10.0, round=round_
        )
        for round_, predicted_ms, group in (
            (2, 8.0, "before"), (4, 9.0, "before"), (2, 9.5, "after"), (4, 10.0, "after"),
        )
    ]  # fmt: skip
    calibration = LatencyPoint(label="c", group="c", predicted_ms=1.0, measured_ms=2.0)
    document = read(ReportPage(title="", latency_points=(calibration, *points)))
    _, before, after = document.data["charts"]["drift"]["data"]
    assert (before["name"], before["x"]) == ("before", [2.0, 4.0])
    assert before["y"] == pytest.approx([-0.2, -0.1])
    assert (after["name"], after["x"]) == ("after", [2.0, 4.0])
    assert after["y"] == pytest.approx([-0.05, 0.0])


def test_target_is_in_view_even_when_all_networks_are_faster() -> None:
    layout = read(a_page()).data["charts"]["front"]["layout"]
    assert layout["shapes"][0]["x0"] == layout["shapes"][0]["x1"] == 75.0
    low_ms, high_ms = layout["xaxis"]["range"]
    assert low_ms < 30 and high_ms > 75


@pytest.mark.parametrize(("slowest_ms", "kind"), [(90.0, None), (900.0, "log")])
def test_latencies_over_more_than_a_decade_get_logarithmic_axes(
    slowest_ms: float, kind: str | None
) -> None:
    points = tuple(
        LatencyPoint(label="", group="evaluation", predicted_ms=value, measured_ms=value)
        for value in (10.0, slowest_ms)
    )
    layout = read(ReportPage(title="", latency_points=points)).data["charts"]["latency"]["layout"]
    assert layout["xaxis"].get("type") == layout["yaxis"].get("type") == kind


def test_band_around_the_diagonal_is_five_percent_of_the_measurement() -> None:
    below, above, diagonal = read(a_page()).data["charts"]["latency"]["data"][:3]
    assert below["y"] == pytest.approx([0.95 * value for value in below["x"]])
    assert above["y"] == pytest.approx([1.05 * value for value in above["x"]])
    assert diagonal["y"] == diagonal["x"]


def test_rewards_are_drawn_in_the_order_of_rounds_with_a_mark_per_validation() -> None:
    chart = read(a_page()).data["charts"]["reward"]
    by_name = {trace["name"]: trace for trace in chart["data"]}
    assert by_name["mean reward"]["x"] == [0, 1]
    assert by_name["mean reward"]["y"] == [0.3, 0.4]
    assert [shape["x0"] for shape in chart["layout"]["shapes"]] == [1]


def test_search_without_entropy_has_one_panel() -> None:
    points = (RewardPoint(round=0, mean_reward=0.1, best_reward=0.2),)
    page = ReportPage(title="", rewards=RewardHistory(points=points))
    assert "yaxis2" not in read(page).data["charts"]["reward"]["layout"]


def conditions_of(*points: ConditionPoint, **given: Any) -> Any:
    """The chart's traces by name, and its layout; nothing if there is no chart."""
    section = ConditionsSection(points=points, **given)
    charts = read(ReportPage(title="", conditions=section)).data["charts"]
    if "conditions" not in charts:
        return {}, {}
    chart = charts["conditions"]
    return {trace["name"]: trace for trace in chart["data"]}, chart["layout"]


UNKNOWN = dict.fromkeys(
    ("hottest_c", "battery_c", "battery_percent", "clock_ghz", "load", "steal_ticks")
)


def test_only_what_is_known_of_the_conditions_has_a_panel() -> None:
    traces, layout = conditions_of(
        a_condition(0, **(UNKNOWN | {"clock_ghz": 1.8, "sentinel_change": None})),
        a_condition(1, **(UNKNOWN | {"clock_ghz": 2.8, "sentinel_change": None})),
    )
    assert set(traces) == {"core clock"}
    assert traces["core clock"]["y"] == [1.8, 2.8]
    assert "yaxis2" not in layout and "shapes" not in layout


def test_conditions_of_which_no_figure_is_known_are_no_chart() -> None:
    points = (
        a_condition(0, **(UNKNOWN | {"steal_ticks": 0, "sentinel_change": 0.0})),
        a_condition(1, **(UNKNOWN | {"sentinel_change": None})),
    )
    document = read(ReportPage(title="", conditions=ConditionsSection(points=points)))
    assert document.ids == [] and document.scripts == []


def test_panels_of_the_conditions_do_not_overlap() -> None:
    _, layout = conditions_of(a_condition(0), a_condition(1))
    domains = sorted(axis["domain"] for name, axis in layout.items() if name.startswith("yaxis"))
    assert len(domains) == 6 and domains[0][0] >= 0 and domains[-1][1] == 1
    assert all(below[1] < above[0] for below, above in pairwise(domains))


def test_a_line_of_conditions_is_broken_where_measuring_had_stopped() -> None:
    traces, _ = conditions_of(a_condition(0), a_condition(1), a_condition(60))
    assert traces["hottest zone"]["y"] == [40.0, 41.0, None, 100.0]
    assert len(traces["hottest zone"]["x"]) == 4


def test_band_of_the_sentinel_is_its_alarm() -> None:
    traces, layout = conditions_of(a_condition(0), a_condition(5), alarm_change=0.08)
    (band,) = layout["shapes"]
    assert (band["y0"], band["y1"]) == (-0.08, 0.08)
    assert band["yref"] == traces["sentinel"]["yaxis"]


def test_journal_says_how_much_of_it_is_left_out() -> None:
    document = read(a_page("the phone was hot"))
    assert "The last 1 entries; there are 1,034 more before them." in document.text
    assert document.cells[-1] == "the phone was hot"


def test_thousands_of_rows_are_data_rather_than_elements() -> None:
    rows = tuple(a_row(index) for index in range(2300))
    document = read(ReportPage(title="", table=TableSection(rows=rows)))
    assert len(document.data["table"]["rows"]) == 2300
    assert "2,300 layers." in document.text
    assert len(document.elements) < 100  # the page's script adds those that are looked at


def test_chart_shows_the_thirty_slowest_slowest_first() -> None:
    rows = tuple(a_row(index) for index in range(40))
    document = read(ReportPage(title="", table=TableSection(rows=rows)))
    (bars,) = document.data["charts"]["slowest"]["data"]
    assert bars["x"] == [40.0 - index for index in range(30)]


def test_layers_that_did_not_converge_are_counted() -> None:
    rows = (a_row(0, converged=False), a_row(1))
    document = read(ReportPage(title="", table=TableSection(rows=rows)))
    assert "2 layers; 1 did not converge" in document.text
    assert [row["texts"][4] for row in document.data["table"]["rows"]] == ["no", "yes"]


def test_share_has_a_column_only_where_it_is_known() -> None:
    tables = [TableSection(rows=(a_row(share=share),)) for share in (0.25, None)]
    columns = [read(ReportPage(title="", table=table)).data["table"]["columns"] for table in tables]
    assert "Share of a random network's time" in columns[0]
    assert len(columns[1]) == len(columns[0]) - 1


def test_same_page_gives_the_same_text() -> None:
    assert render_report(a_page()) == render_report(a_page())


@pytest.mark.parametrize("accuracy", [74.9, -0.1])
def test_accuracy_that_is_no_fraction_is_refused(accuracy: float) -> None:
    with pytest.raises(ValueError, match=r"fraction in \[0, 1\], got "):
        Winner(name="a", predicted_ms=1.0, accuracy=accuracy)
    with pytest.raises(ValueError, match=r"fraction in \[0, 1\], got "):
        FrontPoint(label="", accuracy=accuracy, latency_ms=1.0, measured=True, on_front=True)


def test_written_file_is_the_rendered_page_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "report.html"
    for title in ("old", "new"):
        write_report(ReportPage(title=title), path)
        assert path.read_text(encoding="utf-8") == render_report(ReportPage(title=title))
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(ReportPage(title="new"), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_name_that_utf8_refuses_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(a_page("folder-\udcff"), path)
    assert "folder-\\udcff" in path.read_text(encoding="utf-8")
