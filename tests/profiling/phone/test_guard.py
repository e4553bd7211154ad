"""What spoils latencies is noticed; what is unknown never stops a measurement."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.profiling.phone.adb.conditions import Conditions
from mnaslat.profiling.phone.guard import Guard, Problem, Sentinel, advice

FINE = Conditions(
    thermal_status=0,
    battery_percent=80,
    battery_c=30.0,
    charging=True,
    zones_c={"cpu-0": 60.0, "battery": 30.0},
    max_khz={4: 2400000, 7: 2800000},
    cur_khz={4: 300000, 7: 300000},
    hardware_max_khz={4: 2400000, 7: 2800000},
    governor="schedutil",
    awake=True,
    load=0.5,
    free_mb=1000,
)


def _guard() -> Guard:
    guard = Guard(GuardPolicy())
    guard.begin(FINE)
    return guard


# --- problems


def test_fine_conditions_and_unknown_ones_are_no_problem() -> None:
    assert _guard().problems(FINE) == ()
    assert _guard().problems(Conditions()) == ()
    assert Guard(GuardPolicy()).problems(FINE) == ()
    assert advice(FINE) == advice(Conditions()) == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"thermal_status": 2}, Problem("hot", "thermal status 2 (moderate)", True)),
        ({"thermal_status": 9}, Problem("hot", "thermal status 9 (unknown)", True)),
        (
            {"zones_c": {"cpu-0": 60.0, "cpu-1": 91.2}},
            Problem("hot", "cpu-1 at 91 °C (limit 85)", True),
        ),
        ({"battery_c": 44.0}, Problem("hot", "battery at 44.0 °C (limit 42.0)", True)),
        (
            {"max_khz": {4: 2400000, 7: 1800000}},
            Problem("throttled", "core 7 is capped at 1.8 of 2.8 GHz", True),
        ),
        (
            {"battery_percent": 10, "charging": False},
            Problem(
                "battery", "battery at 10 % and not charging: charge it to 15 % or more", False
            ),
        ),
        (
            {"battery_percent": 10},
            Problem("battery", "battery at 10 %, waiting until it has 15 %", True),
        ),
        (
            {"free_mb": 12},
            Problem(
                "disk", "12 MB left in /data/local/tmp: free at least 64 MB on the phone", False
            ),
        ),
    ],
)
def test_a_problem_says_what_and_whether_to_wait(
    change: dict[str, object], problem: Problem
) -> None:
    assert _guard().problems(replace(FINE, **change)) == (problem,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"zones_c": {"cpu-0": 85.0, "gpu": 99.0, "lmh-dcvs": 99.0}},
        {"battery_c": 42.0},
        {"battery_percent": 15, "charging": False},
        {"max_khz": {7: 2716000}},  # 97 %
        {"free_mb": 64},
    ],
)
def test_a_limit_itself_is_allowed(change: dict[str, object]) -> None:
    assert _guard().problems(replace(FINE, **change)) == ()  # type: ignore[arg-type]


def test_several_problems_are_all_told() -> None:
    now = replace(FINE, thermal_status=3, max_khz={4: 1200000, 7: 1800000}, free_mb=0)
    assert [problem.text.split()[0] for problem in _guard().problems(now)] == [
        "thermal", "core", "core", "0",
    ]  # fmt: skip


def test_cores_under_one_cap_are_told_together() -> None:
    guard = Guard(GuardPolicy())
    usual = dict.fromkeys((4, 5, 6), 2400000)
    guard.begin(Conditions(max_khz=usual))
    (problem,) = guard.problems(Conditions(max_khz=dict.fromkeys((4, 5, 6), 1200000)))
    assert problem.text == "cores 4, 5, 6 are capped at 1.2 of 2.4 GHz"


def test_a_cap_is_judged_by_the_clock_that_the_sweep_began_with() -> None:
    guard = Guard(GuardPolicy())
    saving = replace(FINE, max_khz={7: 2000000})  # by the owner's choice, of 2.8 GHz
    guard.begin(saving)
    assert guard.problems(saving) == ()
    (problem,) = guard.problems(replace(FINE, max_khz={7: 1500000}))
    assert problem.text == "core 7 is capped at 1.5 of 2.0 GHz"


def test_without_a_beginning_a_cap_is_judged_by_what_the_hardware_can_do() -> None:
    (problem,) = Guard(GuardPolicy()).problems(replace(FINE, max_khz={7: 1800000}))
    assert problem.text == "core 7 is capped at 1.8 of 2.8 GHz"


@given(
    st.builds(
        Conditions,
        thermal_status=st.none() | st.integers(0, 6),
        battery_percent=st.none() | st.integers(0, 100),
        battery_c=st.none() | st.floats(0, 100),
        charging=st.none() | st.booleans(),
        zones_c=st.dictionaries(st.sampled_from(["cpu", "skin"]), st.floats(1, 124)),
        max_khz=st.dictionaries(st.integers(0, 3), st.integers(1, 10**7)),
        hardware_max_khz=st.dictionaries(st.integers(0, 3), st.integers(1, 10**7)),
        free_mb=st.none() | st.integers(0, 1000),
    )
)
def test_knowing_less_never_adds_a_problem(now: Conditions) -> None:
    guard = _guard()
    for unknown in ("thermal_status", "battery_percent", "battery_c", "free_mb"):
        less = guard.problems(replace(now, **{unknown: None}))  # type: ignore[arg-type]
        assert set(less) <= set(guard.problems(now))
    assert "throttled" not in [each.kind for each in guard.problems(replace(now, max_khz={}))]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_thermal_status": -1}, r"max_thermal_status must lie in 0\.\.6, got -1"),
        ({"max_thermal_status": 7}, r"max_thermal_status must lie in 0\.\.6, got 7"),
        ({"min_battery_percent": 101}, r"min_battery_percent must lie in 0\.\.100, got 101"),
        ({"min_clock": 97.0}, r"min_clock is a fraction in \(0, 1\], got 97"),
        ({"sentinel_drift": 0.0}, r"sentinel_drift is a fraction in \(0, 1\], got 0"),
        ({"max_zone_c": 0.0}, "max_zone_c must be positive, got 0"),
        ({"max_battery_c": float("nan")}, "max_battery_c must be positive, got nan"),
        ({"poll_s": 0.0}, "poll_s must be positive, got 0"),
        ({"cooldown_limit_s": -1.0}, "cooldown_limit_s must not be negative, got -1"),
        ({"min_free_mb": -1}, "min_free_mb must not be negative, got -1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(settings: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        GuardPolicy(**settings)  # type: ignore[arg-type]


# --- the sentinel


def test_a_sentinel_alarms_when_it_drifts_from_its_first_three() -> None:
    sentinel = Sentinel(GuardPolicy())
    assert [sentinel.add(ms) for ms in (9.0, 5.0, 5.4, 5.8, 5.0)] == [None] * 5
    assert sentinel.add(5.9) == (
        "the sentinel model takes 5.9 ms, 9% more than at the beginning (5.4 ms)"
    )
    assert sentinel.add(4.5) == (
        "the sentinel model takes 4.5 ms, 17% less than at the beginning (5.4 ms)"
    )
    assert sentinel.add(5.4) is None


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, float("nan")])
def test_a_latency_of_nothing_is_refused(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="latency_ms must be positive"):
        Sentinel(GuardPolicy()).add(latency_ms)


# --- what the user changes


def test_settings_keep_their_type() -> None:
    policy = GuardPolicy.parse("min-battery-percent=30, max-zone-c=90,min-clock=0.5,")
    assert policy == GuardPolicy(min_battery_percent=30, max_zone_c=90.0, min_clock=0.5)
    (problem,) = Guard(policy).problems(replace(FINE, battery_percent=20, charging=False))
    assert problem.text == "battery at 20 % and not charging: charge it to 30 % or more"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense=1", r"No guard setting 'nonsense'; there are max-thermal-status, max-zone-c"),
        ("max-zone-c", r"'max-zone-c' is not NAME=NUMBER"),
        ("max-zone-c=warm", r"'warm' is not a number"),
        ("min-battery-percent=30.5", r"'30.5' is not a whole number"),
        ("max-zone-c=nan", r"max_zone_c must be positive"),
    ],
)
def test_a_wrong_setting_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GuardPolicy.parse(text)


def test_changes_are_read_as_they_are_written() -> None:
    policy = GuardPolicy(min_free_mb=0, sentinel_drift=0.125, poll_s=1.0)
    assert policy.changes == "poll-s=1,sentinel-drift=0.125,min-free-mb=0"
    assert GuardPolicy.parse(policy.changes) == policy
    assert GuardPolicy().changes == "" and GuardPolicy.parse("") == GuardPolicy()


def test_without_a_zone_of_the_processor_the_hottest_other_one_is_judged() -> None:
    zones_c = {"skin-therm": 90.0, "quiet": 50.0, "battery": 95.0}
    (problem,) = Guard(GuardPolicy()).problems(replace(FINE, zones_c=zones_c))
    assert problem.text == "skin-therm at 90 °C (limit 85)"
    assert Guard(GuardPolicy()).problems(replace(FINE, zones_c={**zones_c, "cpu0": 50.0})) == ()


# --- advice


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"awake": False}, "the screen is off"),
        ({"charging": False}, "not charging"),
        ({"governor": "powersave"}, "the governor is powersave"),
        ({"load": 9.25}, "busy (load 9.2)"),
        ({"max_khz": {7: 1800000}}, "core 7 is capped at 1.8 of 2.8 GHz: let it cool down"),
    ],
)
def test_advice_names_what_makes_latencies_less_certain(
    change: dict[str, object], words: str
) -> None:
    (text,) = advice(replace(FINE, **change))  # type: ignore[arg-type]
    assert words in text


def test_a_core_is_capped_against_its_clock_at_the_beginning() -> None:
    guard = Guard(GuardPolicy())
    guard.begin(Conditions(max_khz={4: 2_000_000}, hardware_max_khz={4: 2_800_000}))
    assert guard.cap(4, 2_000_000) == "" and guard.cap(4, None) == ""
    assert guard.cap(4, 1_000_000) == "core 4 is capped at 1.0 of 2.0 GHz"
    assert guard.cap(5, 1_000_000) == ""  # nothing is known of it


def test_earlier_rounds_say_what_clock_is_usual() -> None:
    guard = Guard(GuardPolicy())
    guard.remember([{7: 2_800_000}, {7: 2_400_000, 6: 2_000_000}])
    capped = Conditions(max_khz={7: 2_000_000}, hardware_max_khz={7: 2_900_000})
    guard.begin(capped)  # a sweep that goes on while the phone is hot
    assert [each.text for each in guard.problems(capped)] == ["core 7 is capped at 2.0 of 2.8 GHz"]
    assert guard.problems(Conditions(max_khz={7: 2_800_000})) == ()


def test_earlier_rounds_say_what_the_sentinel_takes() -> None:
    sentinel = Sentinel(GuardPolicy())
    sentinel.remember([5.0, 5.1, 4.9, 9.0])
    assert sentinel.add(5.2) is None
    assert sentinel.add(7.0) is not None
