"""Few combinations stand for all, and all can still be run."""

from itertools import product

from tests.pairs import covering, in_pairs

OPTIONS = (["a", "b", "c", "d"], [3, 5], [1, 2], ["", "se"], ["", "pool", "none"])


def test_any_two_options_meet() -> None:
    chosen = covering(*OPTIONS)
    assert len(chosen) <= 16 and len(set(chosen)) == len(chosen)
    for first, second in ((i, j) for i in range(5) for j in range(i)):
        met = {(each[first], each[second]) for each in chosen}
        assert met == set(product(OPTIONS[first], OPTIONS[second]))


def test_the_others_are_slow_and_none_is_lost() -> None:
    names = {each.values: [mark.name for mark in each.marks] for each in in_pairs(*OPTIONS)}
    assert list(names) == list(product(*OPTIONS))
    assert {each for each, marks in names.items() if not marks} == set(covering(*OPTIONS))
    assert all(marks in ([], ["slow"]) for marks in names.values())
