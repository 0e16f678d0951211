"""Paths of linear models on data that they do not walk to the end."""

import warnings

import numpy as np
import pytest
from comparison import check_group, groups, names_of
from sklearn.linear_model import Lars, LassoLars, OrthogonalMatchingPursuit

from skhpo.reuse import fitted, group_key, leader, views

COUNTS = [{"n_nonzero_coefs": n} for n in (1, 5, 2, 6, 4)]
GRIDS = [
    (Lars(), COUNTS),
    (LassoLars(), [{"alpha": alpha} for alpha in (0.5, 0.01, 0.1, 1e-4, 0.02)]),
    (OrthogonalMatchingPursuit(), COUNTS),
]
every_path = pytest.mark.parametrize(("base", "grid"), GRIDS, ids=str)


def views_of(base, grid, X, y, *, close=False):
    (group,), _ = groups(base, grid, close=close)
    fitted_leader = leader(group, close=close).fit(X, y)
    return [each is not None for each in views(fitted_leader, group, close=close)]


@every_path
@pytest.mark.parametrize("kind", ["twice", "wide", "rounded", "nothing"])
def test_paths_that_end_early_equal_those_of_separate_fits(base, grid, kind, rng):
    X, X_new = rng.normal(size=(2, 40, 6)) + 1.0
    if kind == "wide":
        X, X_new = rng.normal(size=(2, 8, 20))
    if kind == "twice":
        X[:, 5] = X[:, 0]
    if kind == "rounded":
        X = X.round()
    y = X[:, 0] - X[:, 1] + 0.5 * rng.normal(size=len(X))
    if kind == "nothing":
        y = 2.0 * X[:, 3]  # one feature explains it
    (group,), n_alone = groups(base, grid)
    assert not n_alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_group(group, names_of(grid), X, y, X_new, {})


@pytest.mark.parametrize(("base", "grid"), GRIDS[:2], ids=str)
def test_paths_are_cut_only_if_features_are_independent(base, grid, rng):
    X = rng.normal(size=(40, 6))
    y = rng.normal(size=40)
    assert sum(views_of(base, grid, X, y)) >= 3
    assert all(views_of(base, grid, X, y, close=True))
    single = [part.astype(np.float32) for part in (X, y)]
    assert views_of(base, grid, *single, close=True) == views_of(base, grid, *single)
    X[:, 5] = X[:, :2].sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cut = views_of(base, grid, X, y)
    assert sum(cut) <= 1  # the whole path


def test_a_pursuit_that_ends_early_warns_as_often_as_separate_fits(rng):
    X = rng.normal(size=(40, 6))
    X[:, 5] = X[:, 0]
    base = OrthogonalMatchingPursuit()
    (group,), _ = groups(base, COUNTS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(fitted(group, X, X[:, 0] + X[:, 1], names={"n_nonzero_coefs"}))
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        for estimator in group:
            estimator.fit(X, X[:, 0] + X[:, 1])
    assert [str(w.message) for w in caught] == [str(w.message) for w in expected] != []


@pytest.mark.parametrize(
    ("base", "params"),
    [
        (Lars(fit_path=False), {"n_nonzero_coefs": 2}),
        (Lars(jitter=0.1), {"n_nonzero_coefs": 2}),
        (LassoLars(fit_path=False), {"alpha": 0.1}),
        (OrthogonalMatchingPursuit(tol=0.1), {"n_nonzero_coefs": 2}),
        (OrthogonalMatchingPursuit(), {"n_nonzero_coefs": None}),
    ],
    ids=str,
)
def test_these_paths_are_not_shared(base, params):
    assert group_key(base.set_params(**params), params, set(params)) is None


def test_one_fit_answers_for_a_path(rng, monkeypatch):
    X, y = rng.normal(size=(40, 6)), rng.normal(size=40)
    n_fits = []
    original = LassoLars.fit

    def fit(self, X, y, Xy=None):
        n_fits.append(self.alpha)
        return original(self, X, y, Xy)

    monkeypatch.setattr(LassoLars, "fit", fit)
    base, grid = LassoLars(), [{"alpha": alpha} for alpha in (0.3, 0.001, 0.1, 0.05)]
    check_group(groups(base, grid)[0][0], {"alpha"}, X, y, X, {})
    n_fits.clear()
    (group,), _ = groups(base, grid)
    assert len(list(fitted(group, X, y, names={"alpha"}))) == 4
    assert n_fits == [0.001]


def test_a_pursuit_in_single_precision_is_not_shared(rng):
    X, y = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=40)
    base, grid = OrthogonalMatchingPursuit(), COUNTS
    (group,), _ = groups(base, grid)
    for number, each in fitted(group, X, y, names=names_of(grid)):
        own = OrthogonalMatchingPursuit(**group[number].get_params()).fit(X, y)
        assert each.coef_.tobytes() == own.coef_.tobytes()
