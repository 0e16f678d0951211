"""Penalties of ridge regression from one matrix, and from one decomposition."""

import warnings

import numpy as np
import pytest
from comparison import check_group, groups
from scipy.linalg import hilbert
from scipy.sparse import csr_matrix
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeClassifier

from skhpo.reuse import fitted, group_key
from skhpo.reuse.base import NotShared
from skhpo.reuse.ridge import Shifted

ALPHAS = [float(alpha) for alpha in np.geomspace(1e-3, 1e4, 20)]
BASES = [Ridge(), RidgeClassifier(), KernelRidge(), KernelRidge(kernel="rbf")]
either = pytest.mark.parametrize("close", [False, True])
every_base = pytest.mark.parametrize("base", BASES, ids=str)


def check(base, X, y, X_new, params=None, *, close, alphas=ALPHAS):
    grid = [{"alpha": alpha} for alpha in alphas]
    (group,), n_alone = groups(base, grid, close=close)
    assert not n_alone
    check_group(group, {"alpha"}, X, y, X_new, params or {}, close=close)


@either
@every_base
@pytest.mark.parametrize("shape", [(60, 8), (12, 30)])
@pytest.mark.parametrize("weighted", [False, True])
def test_tall_and_wide_data_and_weights(base, close, shape, weighted, rng):
    X, X_new = rng.normal(size=(2, *shape)) + 5.0
    y = rng.integers(0, 2, size=len(X))
    params = {"sample_weight": rng.uniform(size=len(X))} if weighted else {}
    check(base, X, y, X_new, params, close=close)
    if isinstance(base, Ridge | KernelRidge):
        check(base, X, rng.normal(size=(len(X), 3)), X_new, params, close=close)


@either
def test_a_kernel_may_be_given(close, rng):
    X = rng.normal(size=(40, 6))
    K = X @ X.T
    before = K.copy()
    y, params = rng.normal(size=40), {"sample_weight": rng.uniform(size=40)}
    check(KernelRidge(kernel="precomputed"), K, y, K[:7], close=close)
    check(KernelRidge(kernel="precomputed"), K, y, K[:7], params, close=close)
    assert np.array_equal(K, before)


@either
@pytest.mark.parametrize("base", BASES[:2], ids=str)
def test_sparse_data_are_fitted_separately(base, close, rng):
    X = csr_matrix(rng.normal(size=(40, 4)))
    check(base, X, rng.integers(0, 2, size=40), X, close=close)


@either
@every_base
def test_data_without_an_inverse_are_fitted_as_they_would_be(base, close, rng):
    X = rng.normal(size=(30, 3))
    X = np.c_[X, X[:, 0], 1e6 * X[:, 1], np.zeros(30)]
    alphas = [0, 0.0, 1e-14, *ALPHAS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(base, X, rng.integers(0, 2, size=30), X, close=close, alphas=alphas)


def counted(monkeypatch, name):
    calls = []
    original = getattr(Shifted, name)

    def count(self, alpha):
        calls.append(alpha)
        return original(self, alpha)

    monkeypatch.setattr(Shifted, name, count)
    return calls


def test_one_decomposition_answers_for_well_conditioned_penalties(rng, monkeypatch):
    X, y = rng.normal(size=(80, 10)), rng.normal(size=80)
    solved = counted(monkeypatch, "solve")
    check(Ridge(), X, y, X, close=True)
    assert not solved
    check(Ridge(), X, y, X, close=True, alphas=ALPHAS[:15])
    assert solved == ALPHAS[:15]  # too few to pay


def test_ill_conditioned_penalties_are_solved_for_one_by_one(rng, monkeypatch):
    A = hilbert(10)
    X = np.linalg.cholesky(A).T
    b = rng.normal(size=(10, 1))
    values = np.linalg.eigvalsh(A)
    solved = counted(monkeypatch, "solve")
    alphas = [float(alpha) for alpha in np.geomspace(1e-8, 1e2, 20)]
    system = Shifted(A, b, alphas, overwrite=False)
    for alpha in alphas:
        n_before = len(solved)
        x = system.solve_closely(alpha)
        condition = (values[-1] + alpha) / (values[0] + alpha)
        assert (len(solved) > n_before) == (condition > 1e4)
        expected = system.solve(alpha)
        assert np.abs(x - expected).max() <= 1e-10 * np.abs(expected).max()
    assert len(alphas) < len(solved) < 2 * len(alphas)
    check(Ridge(fit_intercept=False), X, b.ravel(), X, close=True, alphas=alphas)


def test_no_decomposition_is_made_where_most_would_not_use_it(rng):
    A = hilbert(10)
    alphas = [float(alpha) for alpha in np.geomspace(1e-9, 1e-5, 20)]
    assert Shifted(A, A[:, :1], alphas, overwrite=False)._eigen is None
    assert Shifted(A + np.eye(10), A[:, :1], alphas, overwrite=False)._eigen


def test_the_condition_that_is_allowed_leaves_room_to_the_tolerance(rng):
    """At the limit the error is a small part of what is promised."""
    worst = 0.0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        Q, _ = np.linalg.qr(generator.normal(size=(60, 60)))
        A = (Q * np.geomspace(1e-4, 1.0, 60)) @ Q.T
        A = (A + A.T) / 2
        system = Shifted(A, generator.normal(size=(60, 2)), ALPHAS, overwrite=False)
        alpha = 2e-8
        expected = system.solve(alpha)
        values, vectors, projected = system._eigen
        x = vectors @ (projected / (values + alpha)[:, np.newaxis])
        worst = max(worst, np.abs(x - expected).max() / np.abs(expected).max())
    assert worst < 1e-11


@pytest.mark.parametrize(
    ("base", "alpha"),
    [
        (Ridge(solver="lsqr"), 1.0),
        (Ridge(positive=True), 1.0),
        (Ridge(), np.array([1.0, 2.0])),
        (KernelRidge(), np.array([1.0, 2.0])),
        (Ridge(solver="saga"), 1.0),
    ],
)
def test_other_solvers_and_several_penalties_share_nothing(base, alpha):
    for close in (False, True):
        params = {"alpha": alpha}
        estimator = base.set_params(**params)
        assert group_key(estimator, params, {"alpha"}, close=close) is None


@every_base
@pytest.mark.parametrize(
    "weights", [np.full(20, np.nan), np.ones(19), np.full(20, -1.0)]
)
def test_weights_that_make_no_sense_are_left_to_fits_of_their_own(base, weights, rng):
    X, y = rng.normal(size=(20, 3)), rng.integers(0, 2, size=20)
    (group,), _ = groups(base, [{"alpha": 1.0}, {"alpha": 2.0}])
    with pytest.raises((NotShared, ValueError)):
        list(fitted(group, X, y, names={"alpha"}, params={"sample_weight": weights}))
