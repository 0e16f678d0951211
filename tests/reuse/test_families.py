"""Every family in the table, compared with separate fits."""

import importlib
import warnings

import numpy as np
import pytest
from cases import CASES, data
from comparison import candidates, check_group, groups, names_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from skhpo.reuse import TABLE, leader, views
from skhpo.reuse.selftest import holds

CLASSES = [getattr(importlib.import_module(module), name) for module, name in TABLE]
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def family_of(cls):
    return next(family for (_, name), family in TABLE.items() if name == cls.__name__)


@pytest.fixture(autouse=True)
def silence():
    """Separate fits warn as well; the searches see to warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_member_of_the_table_has_a_case():
    assert {name for _, name in TABLE} == set(CASES)


def check_shared_fits(cls, seed):
    rng = np.random.default_rng(seed)
    common, grid = CASES[cls.__name__](rng, cls)
    X, y, X_new, params = data(rng, cls)
    found, n_alone = groups(cls(**common), grid)
    assert len(found) == 1 and not n_alone
    try:
        for estimator in found[0]:
            clone(estimator).fit(X, y, **params)
    except ValueError:
        assume(False)  # the searches fit such a group separately
    check_group(found[0], names_of(grid), X, y, X_new, params)


@every_class
@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_shared_fits_equal_separate_fits_to_the_last_bit(cls, seed):
    check_shared_fits(cls, seed)


@pytest.mark.slow
@every_class
@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_shared_fits_equal_separate_fits_in_many_cases(cls, seed):
    check_shared_fits(cls, seed)


@every_class
def test_views_are_made_more_often_than_not(cls):
    n_views = n_candidates = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        common, grid = CASES[cls.__name__](rng, cls)
        X, y, _, params = data(rng, cls)
        group = candidates(cls(**common), grid)
        try:
            made = list(views(leader(group).fit(X, y, **params), group))
        except ValueError:
            continue
        n_candidates += len(group)
        n_views += sum(view is not None for view in made)
    assert n_views > n_candidates / 2 > 5


@every_class
def test_self_test_holds(cls):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert holds(cls, family_of(cls))


@every_class
def test_leaders_and_views_leave_candidates_unfitted(cls):
    rng = np.random.default_rng(0)
    common, grid = CASES[cls.__name__](rng, cls)
    X, y, _, _ = data(rng, cls)
    group = candidates(cls(**common), grid)
    before = [set(vars(estimator)) for estimator in group]
    fitted_leader = leader(group).fit(X, y)
    made = list(views(fitted_leader, group))
    assert len(made) == len(group)
    assert [set(vars(estimator)) for estimator in group] == before


@every_class
def test_subclasses_share_nothing(cls):
    rng = np.random.default_rng(0)
    common, grid = CASES[cls.__name__](rng, cls)
    found, n_alone = groups(type("Sub", (cls,), {})(**common), grid)
    assert not found and n_alone == len(grid)
