import pytest

from mnaslat.graph.importing import Translations, check_unknown, shuffled_groups


def test_an_operator_has_one_function() -> None:
    translations: Translations[list[str], str] = Translations()

    @translations.of("ADD", "SUB")
    def first(state: list[str], operator: str) -> bool:
        state.append(operator)
        return operator != "wrong"

    state: list[str] = []
    assert translations.apply("ADD", state, "a") and not translations.apply("SUB", state, "wrong")
    assert not translations.apply("MUL", state, "m")
    assert state == ["a", "wrong"] and translations.names == {"ADD", "SUB"}
    with pytest.raises(ValueError, match="'SUB' is translated by .*first already"):
        translations.of("SUB")(first)


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((8, 4, 2, 16), (8, 4, 16, 2), 2),
        ((8, 4, 16, 2), (8, 4, 2, 16), 16),
        ((8, 4, 2, 16), (4, 8, 16, 2), 0),
        ((8, 4, 1, 16), (8, 4, 16, 1), 0),
        ((8, 4, 16, 1), (8, 4, 1, 16), 0),
        ((4, 2, 16), (4, 16, 2), 0),
    ],
)
def test_a_shuffle_swaps_groups_and_channels(
    before: tuple[int, ...], after: tuple[int, ...], groups: int
) -> None:
    assert shuffled_groups(before, after) == groups


def test_unknown_operators_are_an_error_or_estimated() -> None:
    check_unknown("error")
    check_unknown("estimate")
    with pytest.raises(ValueError, match="must be 'error' or 'estimate', got 'skip'"):
        check_unknown("skip")  # type: ignore[arg-type]
