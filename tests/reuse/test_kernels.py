"""Support vector machines that share a kernel matrix."""

import math

import numpy as np
import pytest
from comparison import check_group, groups, names_of
from scipy.linalg.blas import ddot
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits
from sklearn.svm import SVC, SVR

from skhpo.reuse import fitted, kernels
from skhpo.reuse.kernels import gaussian_kernel

PENALTIES = [{"C": C} for C in (0.1, 1.0, 10.0)]


def bits_of(estimator):
    names = ("dual_coef_", "intercept_", "support_", "support_vectors_", "n_iter_")
    return [np.asarray(getattr(estimator, name)).tobytes() for name in names]


@pytest.mark.parametrize("gamma", ["scale", "auto", 1e-4])
@pytest.mark.parametrize("step", [1, 2])
def test_what_libsvm_does_is_the_same_to_the_bit(gamma, step):
    """More than is promised; whole numbers, of which many distances are equal."""
    X, y = load_digits(n_class=10, return_X_y=True)
    X, y = X[: 300 * step : step], y[: 300 * step : step]
    base = SVC(gamma=gamma, class_weight="balanced")
    (group,), _ = groups(base, PENALTIES, close=True)
    weights = np.random.default_rng(0).integers(0, 3, size=len(y)).astype(float)
    for params in ({}, {"sample_weight": weights + 1}, {"sample_weight": weights}):
        for i, ours in fitted(group, X, y, names={"C"}, params=params, close=True):
            separate = SVC(gamma=gamma, class_weight="balanced", **PENALTIES[i])
            assert bits_of(ours) == bits_of(separate.fit(X, y, **params))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 30.0])
def test_the_kernel_is_rounded_as_libsvm_rounds_it(scale, rng):
    X = scale * np.r_[rng.normal(size=(60, 7)), rng.integers(0, 3, size=(20, 7))]
    gamma = 0.3 / scale**2
    squares = [ddot(row, row) for row in X]
    expected = [
        [
            math.exp(-gamma * (squares[i] + squares[j] - 2 * ddot(X[i], X[j])))
            for j in range(len(X))
        ]
        for i in range(len(X))
    ]
    matrix = gaussian_kernel(X, gamma)
    np.testing.assert_array_equal(
        matrix.astype(np.float32), np.array(expected).astype(np.float32)
    )
    assert np.all(np.diagonal(matrix) == 1.0)


def test_entries_in_doubt_are_computed_again(rng, monkeypatch):
    """Without that, some would be rounded the other way."""
    X = 100.0 + rng.normal(size=(300, 20))  # far away, so that products cancel
    computed = []
    original = ddot

    def counted(one, other):
        computed.append(one is not other)
        return original(one, other)

    monkeypatch.setattr(kernels, "ddot", counted)
    monkeypatch.setattr(kernels, "_MAX_DOUBTFUL", 1.0)
    gaussian_kernel(X, 0.05)
    assert sum(computed) > len(X)
    monkeypatch.setattr(kernels, "_MAX_DOUBTFUL", 1e-5)
    assert gaussian_kernel(X, 0.05) is None
    y = X[:, 0]
    (group,), _ = groups(SVR(gamma=0.05), PENALTIES, close=True)
    check_group(group, {"C"}, X, y, X[:50], {}, close=True)


@pytest.mark.parametrize("kind", ["sparse", "large", "list"])
def test_other_data_are_shared_as_far_as_they_are_exactly(kind, rng, monkeypatch):
    X = rng.normal(size=(50, 4))
    y = (X[:, 0] > 0).astype(int)
    if kind == "sparse":
        X = csr_matrix(X)
    if kind == "list":
        X = X.tolist()
    if kind == "large":
        monkeypatch.setattr(kernels, "_MAX_SAMPLES", 49)
    grid = [{"C": C, "degree": degree} for C in (0.1, 1.0) for degree in (1, 2, 3)]
    (group,), _ = groups(SVC(), grid, close=True)
    check_group(group, names_of(grid), X, y, X, {}, close=True)
    n_fits = []
    original = SVC.fit

    def fit(self, *args, **kwargs):
        n_fits.append(self.kernel)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(SVC, "fit", fit)
    list(fitted(group, X, y, names=names_of(grid), close=True))
    assert n_fits == (["precomputed"] * 6 if kind == "list" else ["rbf"] * 2)


def test_other_kernels_are_fitted_for_each_penalty(rng):
    for kernel in ("linear", "poly", "sigmoid"):
        found, n_alone = groups(SVC(kernel=kernel), PENALTIES, close=True)
        assert max(map(len, found), default=1) == 1 and n_alone in (0, 3)
    found, _ = groups(SVC(), PENALTIES)
    assert max(map(len, found), default=1) == 1
