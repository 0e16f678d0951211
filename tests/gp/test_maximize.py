"""The search for the largest acquisition: inside the domain, ordered, successful."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import SEEDS, assert_in_domain, domains, draw_points, repeatable
from numpy.testing import assert_allclose, assert_array_equal

from skhpo.gp.acquisition import ConfidenceBound, ExpectedImprovement
from skhpo.gp.domain import Column, Domain
from skhpo.gp.maximize import MAX_SHORT_GRID, change, maximize, spread_points
from skhpo.gp.regression import GaussianProcess

NUMBER = Column()
SHORT = Column(grid=(np.arange(7) + 0.5) / 7)
LONG = Column(grid=(np.arange(400) + 0.5) / 400)
UNEVEN = Column(grid=np.array([0.01, 0.02, 0.05, 0.5, 0.9]))
CATEGORY = Column(n_levels=5)


class Hill:
    """A concave function of the features, largest at a feature vector of its own."""

    def __init__(self, top, weights):
        self.top, self.weights = top, weights
        self.n_calls = 0

    def value(self, Z):
        self.n_calls += 1
        return -np.sum(self.weights * (Z - self.top) ** 2, axis=1)

    def value_and_gradient(self, Z):
        return self.value(Z), -2 * self.weights * (Z - self.top)


def hill_at(domain, x, rng, slope=2.0):
    weights = np.exp(rng.uniform(-slope, slope, domain.n_columns))[domain.groups]
    return Hill(domain.features(x[None])[0], weights)


def all_points(domain):
    """List the points of a domain without continuous columns."""
    values = [
        np.arange(c.n_levels, dtype=float) if c.n_levels else c.grid
        for c in domain.columns
    ]
    return np.unique(
        domain.canonical(np.array(list(itertools.product(*values)))), axis=0
    )


@repeatable
@given(domains(), SEEDS)
def test_only_points_of_the_domain_come_back_best_first(domain, seed):
    rng = np.random.default_rng(seed)
    best = draw_points(domain, 3, rng)
    hill = hill_at(domain, rng.random(domain.n_columns), rng)
    x = maximize(hill, domain, best, rng, n_spread=64)
    assert_in_domain(domain, x)
    values = hill.value(domain.features(x))
    assert (np.diff(values) <= 0).all()
    assert values[0] >= hill.value(domain.features(best[:1]))[0]


@repeatable
@given(domains(), SEEDS, st.booleans())
def test_the_same_holds_on_a_gaussian_process(domain, seed, bound):
    rng = np.random.default_rng(seed)
    x, y = draw_points(domain, 8, rng), rng.normal(size=8)
    theta = np.append(rng.normal(1, 1, domain.n_columns), [0.0, np.log(1e-3)])
    gp = GaussianProcess(domain.features(x), y, domain.groups, theta)
    acquisition = ConfidenceBound(gp, 2) if bound else ExpectedImprovement(gp, y.min())
    best = x[np.argsort(y)]
    found = maximize(acquisition, domain, best, rng, n_spread=64)
    assert_in_domain(domain, found)
    values = acquisition.value(domain.features(found))
    assert (np.diff(values) <= 1e-9 * np.abs(values[1:])).all()


@pytest.mark.parametrize(
    "columns",
    [
        [NUMBER],
        [NUMBER] * 6,
        [NUMBER, CATEGORY, SHORT],
        [CATEGORY] * 4,
        [SHORT] * 4,
        [UNEVEN, NUMBER, LONG],
        [LONG] * 5,
        [NUMBER] * 14 + [CATEGORY],
    ],
    ids=[
        "a number",
        "6 numbers",
        "mixed",
        "categories",
        "grids",
        "uneven",
        "long grids",
        "14 numbers",
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_top_of_a_concave_function_is_found(columns, seed):
    rng = np.random.default_rng(seed)
    domain = Domain(columns, np.ones((1, len(columns))))
    top, start = draw_points(domain, 2, rng)
    x = maximize(hill_at(domain, top, rng), domain, start[None], rng)
    assert_allclose(x[0], top, atol=5e-3)
    discrete = [column is not NUMBER for column in columns]
    assert_array_equal(x[0, discrete], top[discrete])


@pytest.mark.parametrize("seed", range(5))
def test_a_top_on_the_border_is_found(seed):
    rng = np.random.default_rng(seed)
    domain = Domain([NUMBER] * 4, np.ones((1, 4)))
    hill = Hill(np.array([-0.5, 1.5, 0.3, 1.0]), np.ones(4))
    x = maximize(hill, domain, rng.random((1, 4)), rng)
    assert_allclose(x[0], [0, 1, 0.3, 1], atol=1e-3)


@repeatable
@given(st.lists(st.sampled_from([SHORT, UNEVEN, CATEGORY]), min_size=1, max_size=4))
def test_on_grids_the_winner_is_that_of_the_whole_list(columns):
    rng = np.random.default_rng(len(columns))
    domain = Domain(columns, np.ones((1, len(columns))))
    hill = hill_at(domain, draw_points(domain, 1, rng)[0], rng)
    hill.top = hill.top + rng.normal(0, 0.1, size=hill.top.shape)
    x = maximize(hill, domain, draw_points(domain, 1, rng), rng)
    points = all_points(domain)
    expected = points[hill.value(domain.features(points)).argmax()]
    assert_array_equal(x[0], expected)


@pytest.mark.parametrize("branch", [0, 1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_a_top_in_any_branch_is_found_from_another(branch, seed):
    rng = np.random.default_rng(seed)
    columns = [Column(n_levels=3), NUMBER, NUMBER, CATEGORY, SHORT, NUMBER]
    active = np.array(
        [[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 0, 0, 1, 1, 1]], dtype=bool
    )
    domain = Domain(columns, active)
    u = rng.random((2, 6))
    u[:, 0] = (np.array([branch, branch + 1]) % 3 + 0.5) / 3
    top, start = domain.from_uniform(u)
    x = maximize(hill_at(domain, top, rng, slope=0.5), domain, start[None], rng)
    assert_allclose(x[0], top, atol=5e-3)


def test_the_best_observation_is_climbed_from(rng):
    # A needle in a haystack: only the best observation lies on its slope.
    domain = Domain([NUMBER] * 10, np.ones((1, 10)))
    top = np.full(10, 0.4)

    class Needle:
        def value(self, Z):
            return np.exp(-np.sum((Z - top) ** 2, axis=1) / 0.02)

        def value_and_gradient(self, Z):
            value = self.value(Z)
            return value, -2 / 0.02 * (Z - top) * value[:, None]

    x = maximize(Needle(), domain, top[None] + 0.03, rng)
    assert_allclose(x[0], top, atol=1e-2)


@repeatable
@given(domains(), SEEDS)
def test_the_same_generator_gives_the_same_points(domain, seed):
    rng = np.random.default_rng(seed)
    best = draw_points(domain, 2, rng)
    hill = hill_at(domain, best[1], rng)
    found = [
        maximize(hill, domain, best, np.random.default_rng(seed), n_spread=32)
        for _ in range(2)
    ]
    assert_array_equal(*found)


def test_the_observations_are_left_alone(rng):
    domain = Domain([NUMBER, CATEGORY], np.ones((1, 2)))
    best = draw_points(domain, 3, rng)
    before = best.copy()
    maximize(hill_at(domain, best[0], rng), domain, best, rng)
    assert_array_equal(best, before)


def test_a_domain_without_columns_has_one_answer(rng):
    domain = Domain([], np.ones((1, 0)))
    hill = Hill(np.empty(0), np.empty(0))
    assert maximize(hill, domain, np.empty((1, 0)), rng).shape[1] == 0


def test_acquisitions_are_called_for_many_points_at_a_time(rng):
    domain = Domain([NUMBER] * 5 + [CATEGORY] * 3, np.ones((1, 8)))
    hill = hill_at(domain, draw_points(domain, 1, rng)[0], rng)
    maximize(hill, domain, draw_points(domain, 1, rng), rng)
    assert hill.n_calls < 200


# The pool ----------------------------------------------------------------------------


@repeatable
@given(domains(), SEEDS, st.integers(0, 50))
def test_changed_points_stay_in_the_domain_and_in_their_branch(domain, seed, n):
    rng = np.random.default_rng(seed)
    x = draw_points(domain, 1, rng)
    changed = change(domain, x, rng, n)
    assert changed.shape == (n, domain.n_columns)
    assert_in_domain(domain, changed)
    assert (domain.branch(changed) == domain.branch(x)[0]).all()


def test_most_changes_are_of_one_or_two_columns(rng):
    domain = Domain([NUMBER] * 8, np.ones((1, 8)))
    x = rng.random((3, 8))
    changed = change(domain, x, rng, 400)
    n_changed = (changed[:, None] != x).sum(axis=2).min(axis=1)
    assert np.mean((n_changed >= 1) & (n_changed <= 2)) > 0.5
    assert (n_changed > 2).any()


@pytest.mark.parametrize("n", [0, 1, 2, 5, 64, 100])
def test_spread_points_are_as_many_as_asked_for(n, rng):
    u = spread_points(3, n, rng)
    assert u.shape == (n, 3)
    assert ((u >= 0) & (u < 1)).all()


def test_spread_points_fill_every_cell(rng):
    u = spread_points(2, 64, rng)
    for j in range(2):
        assert_array_equal(np.sort((64 * u[:, j]).astype(int)), np.arange(64))


def test_the_grids_of_these_tests_are_on_both_sides_of_the_limit():
    assert len(SHORT.grid) <= MAX_SHORT_GRID < len(LONG.grid)
