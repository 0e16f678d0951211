"""Every family in the table, compared with separate fits."""

import importlib
import re
import warnings

import numpy as np
import pytest
from cases import CASES, CLOSE_CASES, data
from comparison import (
    candidates,
    check_attributes,
    check_group,
    groups,
    names_of,
    text_of,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from skhpo.reuse import CLOSE, TABLE, grown, is_size, leader, may_grow, views
from skhpo.reuse.base import Family
from skhpo.reuse.selftest import differences, holds

MEMBERS = [
    pytest.param(
        getattr(importlib.import_module(module), name),
        table is CLOSE,
        id=f"{name}, close" if table is CLOSE else name,
    )
    for table in (TABLE, CLOSE)
    for module, name in table
]
every_member = pytest.mark.parametrize(("cls", "close"), MEMBERS)


def family_of(cls, close):
    table = CLOSE if close else TABLE
    return next(family for (_, name), family in table.items() if name == cls.__name__)


def case(cls, close, rng):
    """Give the parameters that candidates have in common, and a list of the others."""
    return (CLOSE_CASES if close else CASES)[cls.__name__](rng, cls)


@pytest.fixture(autouse=True)
def silence():
    """Separate fits warn as well; the searches see to warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_member_of_the_table_has_a_case():
    assert {name for _, name in TABLE} == set(CASES)
    assert {name for _, name in CLOSE} == set(CLOSE_CASES)


def test_only_what_is_exact_is_in_the_table_of_the_default():
    assert all(family.exact for family in TABLE.values())
    assert not any(family.exact for family in CLOSE.values())


def check_shared_fits(cls, close, seed):
    rng = np.random.default_rng(seed)
    common, grid = case(cls, close, rng)
    X, y, X_new, params = data(rng, cls, dense=close)
    found, n_alone = groups(cls(**common), grid, close=close)
    assert len(found) == 1 and not n_alone
    try:
        for estimator in found[0]:
            clone(estimator).fit(X, y, **params)
    except ValueError:
        assume(False)  # the searches fit such a group separately
    check_group(found[0], names_of(grid), X, y, X_new, params, close=close)


@every_member
@given(seed=st.integers(0, 10**6))
@settings(max_examples=3, deadline=None, derandomize=True)
def test_shared_fits_equal_separate_fits(cls, close, seed):
    check_shared_fits(cls, close, seed)


@pytest.mark.slow
@every_member
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_shared_fits_equal_separate_fits_in_many_cases(cls, close, seed):
    check_shared_fits(cls, close, seed)


GROWING = [
    pytest.param(each.values[0], id=each.id)
    for each in MEMBERS
    if re.match("Bagging|ExtraTrees|GradientB|Hist|Isolation|RandomF", each.id)
]


@pytest.mark.parametrize("cls", GROWING)
def test_fits_that_go_on_equal_separate_ones(cls):
    n_grown = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        common, grid = case(cls, False, rng)
        X, y, X_new, params = data(rng, cls)
        size = family_of(cls, False).shared[0]
        group = candidates(cls(**common), [p for p in grid if size in p])
        try:
            fitted = [clone(each).fit(X, y, **params) for each in group]
        except ValueError:
            continue
        for separate in fitted:
            begun = clone(separate).set_params(**{size: 1}).fit(X, y, **params)
            assert is_size(size, begun) and not is_size("random_state", begun)
            if getattr(separate, size) == 1 or not may_grow(begun):
                continue
            n_grown += 1
            ours = grown(begun, clone(separate), X, y, params)
            assert not list(differences(ours, separate, X_new))
            assert text_of(ours) == text_of(separate)
            check_attributes(ours, separate)
    assert n_grown > 10


def test_the_others_never_go_on():
    growing = {each.values[0].__name__ for each in GROWING}
    for (_, name), family in TABLE.items():
        assert (type(family).may_grow is not Family.may_grow) == (name in growing)


@every_member
def test_views_are_made_more_often_than_not(cls, close):
    n_views = n_candidates = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        common, grid = case(cls, close, rng)
        X, y, _, params = data(rng, cls, dense=close)
        group = candidates(cls(**common), grid)
        try:
            fitted_leader = leader(group, close=close).fit(X, y, **params)
            made = list(views(fitted_leader, group, close=close))
        except ValueError:
            continue
        n_candidates += len(group)
        n_views += sum(view is not None for view in made)
    assert n_views > n_candidates / 2 > 5


@every_member
def test_self_test_holds(cls, close):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert holds(cls, family_of(cls, close))


@every_member
def test_leaders_and_views_leave_candidates_unfitted(cls, close):
    rng = np.random.default_rng(0)
    common, grid = case(cls, close, rng)
    X, y, _, _ = data(rng, cls, dense=close)
    group = candidates(cls(**common), grid)
    before = [set(vars(estimator)) for estimator in group]
    fitted_leader = leader(group, close=close).fit(X, y)
    made = list(views(fitted_leader, group, close=close))
    assert len(made) == len(group)
    assert [set(vars(estimator)) for estimator in group] == before


@every_member
def test_subclasses_share_nothing(cls, close):
    rng = np.random.default_rng(0)
    common, grid = case(cls, close, rng)
    found, n_alone = groups(type("Sub", (cls,), {})(**common), grid, close=close)
    assert not found and n_alone == len(grid)
