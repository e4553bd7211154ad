"""Both controllers draw rows as often as they say."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnaslat.search.controllers.base import Controller
from mnaslat.search.controllers.independent import TableController
from mnaslat.search.controllers.lstm import RecurrentController
from mnaslat.search.controllers.settings import RecurrentSettings

N_CHOICES = [4, 2, 3, 1, 3]
MIDDLE = torch.tensor([0.5])


def recurrent(n_choices: list[int]) -> Controller:
    shape = RecurrentSettings(n_units=8, n_embedding=6, init_range=1.5)
    return RecurrentController(n_choices, shape, seed=3)


def table(n_choices: list[int]) -> Controller:
    return _random_table(n_choices, 1)


def tables(n_choices: list[int]) -> Controller:
    return _random_table(n_choices, 4)


def _random_table(n_choices: list[int], n_knots: int) -> Controller:
    controller = TableController(n_choices, n_knots=n_knots)
    with torch.no_grad():
        controller.logits.normal_(generator=torch.Generator().manual_seed(7))
    return controller


MAKERS = [recurrent, table, tables]


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[list[int]], Controller]:
    maker: Callable[[list[int]], Controller] = request.param
    return maker


def test_probabilities_of_all_rows_add_up_to_one_under_every_condition(
    make: Callable[[list[int]], Controller],
) -> None:
    controller = make([2, 3, 1, 2])
    rows = torch.cartesian_prod(*(torch.arange(n) for n in (2, 3, 1, 2)))
    condition = torch.tensor([0.0, 0.3, 1.0])
    log_probs, _ = controller.log_probs_and_entropy(rows, condition)
    assert log_probs.shape == (3, 12)
    np.testing.assert_allclose(log_probs.exp().sum(1).detach(), 1.0, atol=1e-5)


def test_entropy_is_that_of_the_whole_distribution(
    make: Callable[[list[int]], Controller],
) -> None:
    controller = make([2, 3])
    rows = torch.cartesian_prod(torch.arange(2), torch.arange(3))
    probabilities = controller.log_probs_and_entropy(rows)[0][0].exp()
    expected = -(probabilities * probabilities.log()).sum().item()
    # Along the rows: the mean of many draws.
    tokens = controller.sample(5000, torch.Generator().manual_seed(0))
    entropy = controller.log_probs_and_entropy(tokens)[1]
    assert entropy.shape == (1,)
    assert entropy.item() == pytest.approx(expected, abs=0.02)
    assert controller.max_entropy == pytest.approx(np.log(6.0))


def test_rows_come_as_often_as_their_probability_says_each_under_its_condition(
    make: Callable[[list[int]], Controller],
) -> None:
    controller = make([3, 2])
    condition = torch.tensor([0.1, 0.8]).repeat(10_000)
    tokens = controller.sample(20_000, torch.Generator().manual_seed(0), condition)
    rows = torch.cartesian_prod(torch.arange(3), torch.arange(2))
    probabilities = controller.log_probs_and_entropy(rows, condition[:2])[0].exp()
    for start in (0, 1):
        drawn = tokens[start::2]
        for row, probability in zip(rows, probabilities[start].tolist(), strict=True):
            share = (drawn == row).all(1).float().mean().item()
            assert share == pytest.approx(probability, abs=4 * (0.25 / 10_000) ** 0.5)


def test_without_a_condition_it_is_the_middle(make: Callable[[list[int]], Controller]) -> None:
    controller = make(N_CHOICES)
    tokens = controller.sample(5, torch.Generator().manual_seed(0))
    bare, middle = (controller.log_probs_and_entropy(tokens, given)[0] for given in (None, MIDDLE))
    torch.testing.assert_close(bare, middle)
    again = controller.sample(5, torch.Generator().manual_seed(0), MIDDLE.expand(5))
    assert torch.equal(tokens, again)


@given(choices=st.lists(st.integers(1, 5), min_size=1, max_size=6), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_only_choices_that_exist_are_drawn(choices: list[int], seed: int) -> None:
    for maker in MAKERS:
        tokens = maker(choices).sample(30, torch.Generator().manual_seed(seed))
        assert tokens.shape == (30, len(choices))
        assert bool(((tokens >= 0) & (tokens < torch.tensor(choices))).all())


def test_tables_are_interpolated_between_their_knots() -> None:
    controller = TableController([2], n_knots=3)
    with torch.no_grad():
        controller.logits[:, 0, 1] = torch.tensor([0.0, 2.0, -2.0])
    row, condition = torch.tensor([[1]]), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    log_odds = controller.log_probs_and_entropy(row, condition)[0][:, 0]
    log_odds = log_odds - torch.log1p(-log_odds.exp())
    torch.testing.assert_close(log_odds, torch.tensor([0.0, 1.0, 2.0, 0.0, -2.0]))


def test_the_recurrent_controller_hears_of_the_condition() -> None:
    controller = recurrent([3, 3])
    tokens = torch.tensor([[0, 1]])
    low, high = controller.log_probs_and_entropy(tokens, torch.tensor([0.0, 1.0]))[0][:, 0]
    assert abs(low.item() - high.item()) > 1e-3


def test_building_and_sampling_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    for maker in MAKERS:
        maker(N_CHOICES).sample(20, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_wrong_shapes_are_refused() -> None:
    for wrong in ([3, 0], [], [[2]]):
        with pytest.raises(ValueError, match="n_choices"):
            TableController(wrong)
        with pytest.raises(ValueError, match="n_choices"):
            RecurrentController(wrong)
    with pytest.raises(ValueError, match="n_knots"):
        TableController([3], n_knots=0)
    with pytest.raises(ValueError, match="n_units"):
        RecurrentSettings(n_units=0)
