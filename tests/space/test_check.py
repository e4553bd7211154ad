"""A space whose functions or parts do not fit each other is refused with the decision's name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, cast

import pytest

from mnaslat.architecture import Architecture
from mnaslat.space import Choice, Choices, Decision, SearchSpace, load_space, space_names
from mnaslat.space.check import check_space


def _build(choices: Choices) -> Architecture:
    kernel, layers = choices["kernel"], choices["layers"]
    blocks = ["r1_k3_s11_e1_i32_o16", f"r{layers}_k{kernel}_s22_e3_i16_o24"]
    return Architecture.from_blocks(blocks, resolution=32, n_classes=10)


def _read(architecture: Architecture) -> Choices:
    block = architecture.blocks[1]
    return {"kernel": block.first.kernel, "layers": block.n_layers}


SPACE = SearchSpace(
    name="mine",
    decisions=(Decision("kernel", (3, 5)), Decision("layers", (1, 2, 3))),
    build=_build,
    read=_read,
    parts={"stem": (), "block1": (), "block2": ("kernel", "layers"), "head": ()},
)


def _fails_for_five(choices: Choices) -> Architecture:
    if choices["kernel"] == 5:
        raise KeyError("kernle")
    return _build(choices)


def _fails_for_both(choices: Choices) -> Architecture:
    if choices["kernel"] == 5 and choices["layers"] == 3:
        raise RuntimeError("too large")
    return _build(choices)


def _takes_choices_out(choices: Choices) -> Architecture:
    own = cast("dict[str, Choice]", choices)
    return _build({"kernel": own.pop("kernel"), "layers": own.pop("layers")})


def _leaves(_: object) -> NoReturn:
    raise SystemExit(3)


@pytest.mark.parametrize("name", space_names())
@pytest.mark.parametrize(("width", "resolution"), [(1.0, None), (0.35, 96)])
def test_every_preset_passes(name: str, width: float, resolution: int | None) -> None:
    check_space(load_space(name, width=width, resolution=resolution))


def test_a_space_that_works_passes() -> None:
    check_space(SPACE)
    assert SPACE.choices_of([1, 2]) == {"kernel": 5, "layers": 3}


@pytest.mark.parametrize(
    "changed",
    [
        {"build": _takes_choices_out},
        {"decisions": (Decision("kernel", (3,)), Decision("layers", (1, 2)))},
        {"decisions": (Decision("kernel", (3,)), Decision("layers", (1,)))},
    ],
)
def test_unusual_spaces_that_work_pass(changed: dict[str, Any]) -> None:
    check_space(replace(SPACE, **changed))


def test_an_error_for_one_of_many_choices_is_found() -> None:
    kernels = tuple(range(1, 101, 2))

    def build(choices: Choices) -> Architecture:
        if choices["kernel"] == 69:
            raise RuntimeError("no such kernel")
        return _build(choices)

    space = replace(
        SPACE, decisions=(Decision("kernel", kernels), Decision("layers", (1, 2))), build=build
    )
    with pytest.raises(ValueError, match=r"with kernel = 69, build failed .*: no such kernel\.$"):
        check_space(space)


def test_an_error_that_only_listing_a_part_brings_up_is_a_sentence() -> None:
    """The part's form, with all other decisions at their first choice, is none of the networks."""
    decisions = (*SPACE.decisions, *(Decision(f"unused{n}", (0, 1)) for n in range(40)))
    last: dict[str, Choice] = {}

    def build(choices: Choices) -> Architecture:
        last.clear()
        last.update(choices)
        if choices["kernel"] == 5 and not any(choices[f"unused{n}"] for n in range(40)):
            raise RuntimeError("one of them is needed")
        return _build(choices)

    def read(_: Architecture) -> Choices:
        return last

    space = replace(SPACE, decisions=decisions, build=build, read=read)
    with pytest.raises(ValueError, match=r"with kernel = 5, build failed in .*, line \d+: Runtime"):
        check_space(space)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"build": _fails_for_five},
            r"with kernel = 5, build failed in .*, line \d+: KeyError: 'kernle'\.$",
        ),
        ({"build": _fails_for_both}, r"with the tokens 1,2, build failed .*RuntimeError: too la"),
        ({"build": lambda choices: choices}, "work: build returned a dict, not an Architecture"),
        ({"read": lambda _: None}, "work: read returned a NoneType, not the choices by decision"),
        ({"read": lambda _: {"kernel": 3}}, "read returned no choice for the decision layers"),
        ({"build": _leaves}, r"work: build failed in .*, line \d+: SystemExit: 3\.$"),
        ({"read": _leaves}, r"work: read failed in .*, line \d+: SystemExit: 3\.$"),
        (
            {"read": lambda network: {**_read(network), "layers": [1]}},
            r"read returned \[1\] for the decision layers, which is no choice",
        ),
        ({"read": lambda _: 1 / 0}, r"read failed in .*, line \d+: ZeroDivisionError"),
        (
            {"read": lambda network: {**_read(network), "kernel": 4}},
            "read returned 4 for the decision kernel, which is no choice",
        ),
        (
            {"read": lambda network: {**_read(network), "layers": 1}},
            r"with layers = [23], read returned choices of another network: layers = 1 \(built w",
        ),
        (
            {"parts": {"stem": (), "block1": (), "head": ()}},
            "parts does not list block2, where networks have layers",
        ),
        (
            {"parts": {**SPACE.parts, "block2": ("layers",)}},
            r"the layers of block2 depend on the decision kernel, which parts\['block2'\] does not",
        ),
        ({"parts": {**SPACE.parts, "blok3": ()}}, "lists 'blok3', where no network has a layer"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Space mine.*{sentence}"):
        check_space(replace(SPACE, **changed))


def test_a_network_that_cannot_be_lowered_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(architecture: Architecture) -> None:
        raise ValueError("its image is too small")

    monkeypatch.setattr("mnaslat.space.check.lower", refuses)
    with pytest.raises(ValueError, match="cannot be lowered: its image is too small"):
        check_space(SPACE)


def test_a_part_with_too_many_forms_is_refused() -> None:
    decisions = tuple(Decision(f"d{number}", (3, 5)) for number in range(21))

    def read(architecture: Architecture) -> Choices:
        return {decision.name: 3 for decision in decisions}

    space = SearchSpace(
        name="large",
        decisions=decisions,
        build=lambda _: _build({"kernel": 3, "layers": 1}),
        read=read,
        parts={**SPACE.parts, "block2": tuple(each.name for each in decisions)},
    )
    with pytest.raises(ValueError, match="block2 has 2,097,152 forms, too many"):
        check_space(space)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Decision("", (1,)), "A decision needs a name"),
        (lambda: Decision("a", "35"), "needs a tuple of choices"),  # type: ignore[arg-type]
        (lambda: replace(SPACE, decisions=SPACE.decisions * 2), "got kernel, layers twice"),
        (lambda: replace(SPACE, decisions=()), "needs decisions of different names, got none"),
        (
            lambda: replace(SPACE, decisions=(("kernel", (3, 5)),)),  # type: ignore[arg-type]
            r"mine needs a tuple of Decision\(name, choices\)",
        ),
        (lambda: replace(SPACE, parts=None), "parts as a dictionary.*got a NoneType"),  # type: ignore[arg-type]
        (lambda: replace(SPACE, parts={"stem": ("kern",)}), "there is no decision 'kern'"),
        (lambda: replace(SPACE, parts={"stem": "kernel"}), "must be a tuple of names"),  # type: ignore[dict-item]
    ],
)
def test_wrong_arguments_say_what_would_be_right(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
