"""What report and command line say about a run, and about the networks it measured above all."""

from pathlib import Path

import pytest

from mnaslat.cli.search_output import print_result
from mnaslat.predictors import load_pretrained, save_predictor
from mnaslat.reports.charts import drift_chart, reward_chart
from mnaslat.reports.page_data import ReportPage, RewardPoint
from mnaslat.reports.run_page import run_page
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.candidates import EvaluatedCandidate
from mnaslat.search.run.records import Evaluation, RoundRecord, Validation
from mnaslat.search.run.result import SearchResult, Winner
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.run.space_options import SpaceOptions
from mnaslat.search.settings import SearchSettings
from mnaslat.space import load_space
from mnaslat.workflow.validate import validation_lines

SPACE = load_space("mnasnet", resolution=32, n_classes=10)
SETTINGS = SearchSettings(reward=RewardSettings.hard(50.0))
SPACE_OPTIONS = SpaceOptions(space="mnasnet", resolution=32, n_classes=10)
NETWORKS = [(*[0] * 41, last) for last in range(3)]
# Errors before: 10 %, 0 and 50 %; after: 5 %, 0 and 50 %. Their means would be others.
VALIDATIONS = (
    Validation(NETWORKS[0], 1, 9.0, 10.0, 10.5, "best"),
    Validation(NETWORKS[1], 1, 20.0, 20.0, 20.0, "uncertain"),
    Validation(NETWORKS[2], 3, 20.0, 40.0, 60.0, "answer"),
)


def a_round(number: int, mean_reward: float, best_reward: float, entropy: float) -> RoundRecord:
    return RoundRecord(
        round=number,
        n_new=1,
        n_failed=0,
        mean_reward=mean_reward,
        best_reward=best_reward,
        searcher_s=0.1,
        seconds=0.2,
        log={"loss": 7.0, "entropy": entropy},
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> ReportPage:
    """Of a run of two rounds; the last network was measured after them."""
    run = SearchRun(
        tmp_path_factory.mktemp("run"), {"accuracy": "supernet"}, SETTINGS, SPACE_OPTIONS
    )
    save_predictor(load_pretrained("pixel4-cpu1-fp32"), run.predictor_path)
    store = SearchStore(run.folder / "search.sqlite")
    for index, tokens in enumerate(NETWORKS):
        row = Evaluation(1 + index // 2, index % 2, tokens, 50.0, 0.7 + index / 10, 9.0, 9.0, 0.5)
        store.write_evaluations([row])
    store.write_validations(VALIDATIONS)
    store.write_round(a_round(1, 0.4, 0.5, 4.5))
    store.write_round(a_round(2, 0.3, 0.6, 4.0))
    store.commit()
    store.close()
    return run_page(run)


def test_headline_has_the_median_errors_before_and_after(page: ReportPage) -> None:
    (sentence,) = [each for each in page.headline if "measured on the device" in each]
    assert sentence.startswith("3 candidates")
    assert "made before were off by 10.0%" in sentence
    assert "had learned from them by 5.0% (medians)" in sentence


@pytest.mark.parametrize(
    ("group", "predicted_ms"),
    [
        ("validation, predicted before", [9.0, 20.0, 20.0]),
        ("validation, predicted after re-calibration", [10.5, 20.0, 60.0]),
    ],
)
def test_every_measured_network_is_a_point_before_and_after(
    page: ReportPage, group: str, predicted_ms: list[float]
) -> None:
    points = [point for point in page.latency_points if point.group == group]
    assert [point.predicted_ms for point in points] == predicted_ms
    assert [point.measured_ms for point in points] == [10.0, 20.0, 40.0]
    assert [point.round for point in points] == [1, 1, 3]
    assert points[0].label == "measured after round 1 (best)"


def test_errors_over_the_search_have_a_trace_before_and_one_after(page: ReportPage) -> None:
    chart = drift_chart(page.latency_points)
    assert chart is not None
    _, before, after = chart["data"]
    assert before["name"].endswith("before") and after["name"].endswith("after re-calibration")
    assert before["x"] == after["x"] == [1.0, 1.0, 3.0]
    assert before["y"] == pytest.approx([-0.1, 0.0, -0.5])
    assert after["y"] == pytest.approx([0.05, 0.0, 0.5])


def test_rewards_and_entropy_are_drawn_over_the_rounds(page: ReportPage) -> None:
    assert page.rewards.points == (
        RewardPoint(round=1, mean_reward=0.4, best_reward=0.5, entropy=4.5),
        RewardPoint(round=2, mean_reward=0.3, best_reward=0.6, entropy=4.0),
    )
    assert page.rewards.validations == (1,)  # what was measured at the end is not in a round
    chart = reward_chart(page.rewards)
    assert chart is not None
    by_name = {trace["name"]: trace for trace in chart["data"]}
    for name, values, axis in (
        ("best reward", [0.5, 0.6], "y"), ("mean reward", [0.4, 0.3], "y"),
        ("entropy", [4.5, 4.0], "y2"),
    ):  # fmt: skip
        trace = by_name[name]
        assert (trace["x"], trace["y"], trace["yaxis"]) == ([1, 2], values, axis)
        assert trace["hovertemplate"].startswith("round %{x}: ")
    assert chart["layout"]["xaxis"]["title"]["text"] == "Round"


def a_result() -> SearchResult:
    found = EvaluatedCandidate(
        tokens=NETWORKS[0],
        architecture=SPACE.decode(NETWORKS[0]),
        accuracy=0.7,
        expected_accuracy=0.7,
        reward=0.7,
        predicted_ms=9.0,
        expected_ms=10.5,
        measured_ms=10.0,
    )
    winner = Winner(target_ms=50.0, candidate=found, meets_target=True, name="winner")
    return SearchResult(
        settings=SETTINGS,
        space_options=SPACE_OPTIONS,
        ended="samples",
        accuracy="made up",
        accuracy_noise=0.0,
        winners=(winner,),
        front=(found,),
        validations=VALIDATIONS,
        failures={},
        n_samples=3,
        n_networks=3,
        accuracy_s=1.0,
        searcher_s=1.0,
        seconds=1.0,
    )


def test_what_is_printed_has_the_median_errors_before_and_after(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_result(Path("run"), a_result(), [1.0])
    printed = capsys.readouterr().out
    assert "3 networks were measured; their predictions were off by 10.0% before" in printed
    assert "and 5.0% after the predictor had learned from them (medians)." in printed
    assert "accuracy 0.7000, 9 ms predicted, 10 ms measured" in printed


def test_lines_of_a_running_search_say_what_was_predicted_before_and_then() -> None:
    first, last = validation_lines(VALIDATIONS)
    assert first.startswith("Round 1: measured (predicted before, then after learning from it)")
    assert first.endswith(": 10 (9, then 10.5), 20 (20, then 20)")
    assert last.endswith(": 40 (20, then 60)")
