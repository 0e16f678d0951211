"""Model points: what exists, how far apart it is, what the kernel sees of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import SEEDS, assert_in_domain, domains, draw_points, repeatable
from numpy.testing import assert_allclose, assert_array_equal

from skhpo.gp.domain import INACTIVE_LEVEL, INACTIVE_NUMBER, Column, Domain
from skhpo.gp.kernels import squared_distances


def distances(domain, x, t=None):
    """Return the squared distances of model points, by the weight of each column."""
    t = np.ones(domain.n_columns) if t is None else t
    Z = domain.features(x)
    return squared_distances(Z, Z, t[domain.groups])


def a_conditional_domain():
    """Two branches: x0 in both, x1 and a category in the second only."""
    columns = [Column(n_levels=2), Column(), Column(), Column(n_levels=3)]
    return Domain(columns, [[True, True, False, False], [True, True, True, True]])


# Points ------------------------------------------------------------------------------


@repeatable
@given(domains(), SEEDS)
def test_points_from_the_unit_cube_are_in_the_domain(domain, seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 2, size=(5, domain.n_columns)).astype(float)
    inside = rng.random((20, domain.n_columns))
    assert_in_domain(domain, domain.from_uniform(np.vstack([corners, inside])))


@repeatable
@given(domains(), SEEDS)
def test_a_canonical_point_stays_where_it_is(domain, seed):
    x = draw_points(domain, 20, np.random.default_rng(seed))
    assert_array_equal(domain.canonical(x), x)


@repeatable
@given(domains(), SEEDS)
def test_canonical_is_idempotent_and_changes_no_argument(domain, seed):
    rng = np.random.default_rng(seed)
    x = draw_points(domain, 20, rng)
    anything = np.where(domain.categorical, x, rng.random(x.shape))
    before = anything.copy()
    once = domain.canonical(anything)
    assert_in_domain(domain, once)
    assert_array_equal(domain.canonical(once), once)
    assert_array_equal(anything, before)


@repeatable
@given(st.integers(2, 40), SEEDS)
def test_numbers_go_to_the_nearest_value_of_the_grid(n_values, seed):
    rng = np.random.default_rng(seed)
    grid = np.sort(rng.random(n_values))
    domain = Domain([Column(grid=grid)], [[True]])
    u = rng.random((30, 1))
    off = np.abs(domain.canonical(u) - u)[:, 0]
    assert_allclose(off, np.abs(u - grid).min(axis=1))


def test_levels_from_the_unit_cube_are_equally_likely():
    domain = Domain([Column(n_levels=4)], [[True]])
    u = (np.arange(4000) + 0.5)[:, None] / 4000
    levels = domain.from_uniform(u)[:, 0].astype(int)
    assert_array_equal(np.bincount(levels), [1000] * 4)


def test_a_column_that_does_not_exist_in_the_branch_is_blank():
    x = a_conditional_domain().from_uniform(np.array([[0.2] * 4, [0.9] * 4]))
    assert_array_equal(x[0], [0, 0.2, INACTIVE_NUMBER, INACTIVE_LEVEL])
    assert_array_equal(x[1], [1, 0.9, 0.9, 2])
    assert_array_equal(a_conditional_domain().branch(x), [0, 1])


# Features ----------------------------------------------------------------------------


@repeatable
@given(domains(), SEEDS)
def test_a_category_adds_its_weight_where_it_differs_and_nothing_else(domain, seed):
    rng = np.random.default_rng(seed)
    x, t = draw_points(domain, 12, rng), rng.random(domain.n_columns)
    each = (x[:, None] - x) ** 2
    each[:, :, domain.categorical] = (x[:, None] != x)[:, :, domain.categorical]
    assert_allclose(distances(domain, x, t), each @ t, rtol=1e-9, atol=1e-12)


@repeatable
@given(domains(), SEEDS)
def test_inactive_columns_add_nothing_within_a_branch(domain, seed):
    rng = np.random.default_rng(seed)
    x = draw_points(domain, 12, rng)
    branch = domain.branch(x)
    same = branch[:, None] == branch
    t = rng.random(domain.n_columns)
    for b in range(domain.n_branches):
        gone = np.where(domain.active[b], t, 7.0)  # any other weight
        pairs = same & (branch == b)
        expected, found = distances(domain, x, t), distances(domain, x, gone)
        assert_allclose(found[pairs], expected[pairs], rtol=1e-9, atol=1e-12)


@repeatable
@given(domains(), SEEDS)
def test_numeric_features_are_where_the_domain_says(domain, seed):
    x = draw_points(domain, 5, np.random.default_rng(seed))
    Z = domain.features(x)
    assert_array_equal(Z[:, domain.numeric_features], x[:, domain.numeric])
    assert_array_equal(domain.groups[domain.numeric_features], domain.numeric)
    assert Z.shape == (5, len(domain.groups))
    assert_array_equal(np.unique(domain.groups), np.arange(domain.n_columns))


def test_points_of_different_branches_are_told_apart_by_the_branch():
    domain = a_conditional_domain()
    x = np.array([[0, 0.3, 0.5, -1], [1, 0.3, 0.5, 0]])
    only_branch = np.array([1.0, 0, 0, 0])
    assert_allclose(distances(domain, x, only_branch)[0, 1], 1)
    # x1 lies in the middle where it does not exist, so that it adds nothing here; the
    # category has a level of its own.
    assert_allclose(distances(domain, x)[0, 1], 2)


def test_one_branch_has_no_levels_for_what_does_not_exist():
    domain = Domain([Column(n_levels=3), Column()], np.ones((1, 2)))
    assert_array_equal(domain.groups, [0, 0, 0, 1])
    assert_array_equal(a_conditional_domain().groups, [0, 0, 1, 2, 3, 3, 3, 3])


def test_a_domain_without_columns_has_one_point():
    domain = Domain([], np.ones((1, 0)))
    x = domain.from_uniform(np.empty((3, 0)))
    assert domain.features(x).shape == (3, 0)
    assert_array_equal(domain.branch(x), [0, 0, 0])
