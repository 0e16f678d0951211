"""The kernel and its derivatives, against scikit-learn's and central differences."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import SEEDS, assert_gradient, repeatable
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.gaussian_process.kernels import Matern

from skhpo.gp.kernels import (
    matern52,
    point_gradient,
    squared_distances,
    weight_gradient,
)

SIZES = st.integers(1, 8)


def features(rng, n, p):
    return rng.random((n, p))


@repeatable
@given(SEEDS, SIZES, SIZES, SIZES)
def test_kernel_is_that_of_scikit_learn(seed, n, n2, p):
    rng = np.random.default_rng(seed)
    Z, Z2 = features(rng, n, p), features(rng, n2, p)
    length_scale = np.exp(rng.normal(size=p))
    oracle = Matern(length_scale, nu=2.5)
    k = matern52(squared_distances(Z, Z2, length_scale**-2))
    assert_allclose(k, oracle(Z, Z2), rtol=1e-10, atol=1e-300)


@repeatable
@given(SEEDS, SIZES, SIZES, SIZES)
def test_squared_distances_are_those_of_the_definition(seed, n, n2, p):
    rng = np.random.default_rng(seed)
    Z, Z2, t = features(rng, n, p), features(rng, n2, p), rng.random(p)
    expected = np.sum(t * (Z[:, None] - Z2) ** 2, axis=2)
    assert_allclose(squared_distances(Z, Z2, t), expected, rtol=1e-12, atol=1e-14)


@repeatable
@given(SEEDS, SIZES, SIZES)
def test_a_point_is_at_no_negative_distance_of_itself(seed, n, p):
    rng = np.random.default_rng(seed)
    Z, t = features(rng, n, p), np.exp(3 * rng.normal(size=p))
    s = squared_distances(Z, Z, t)
    assert (s >= 0).all()
    assert np.diag(s).max() <= 1e-14 * p * t.max()


@given(st.floats(0, 1e6))
@repeatable
def test_kernel_lies_between_zero_and_one_and_falls(s):
    k, dk = matern52(np.array([s]), slope=True)
    assert 0 <= k[0] <= 1
    assert dk[0] <= 0
    assert_array_equal(matern52(np.array([s])), k)


def test_kernel_of_a_point_with_itself_is_one_and_its_slope_is_finite():
    k, dk = matern52(np.zeros(1), slope=True)
    assert k[0] == 1
    assert dk[0] == -5 / 6


@repeatable
@given(SEEDS)
def test_slope_of_the_kernel_is_the_central_difference(seed):
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.01, 20, size=5)
    w = rng.normal(size=5)
    _, dk = matern52(s, slope=True)
    assert_gradient(lambda s: w @ matern52(s), s, w * dk, rng)


@repeatable
@given(SEEDS, st.integers(2, 8), SIZES)
def test_weight_gradient_is_the_central_difference(seed, n, p):
    rng = np.random.default_rng(seed)
    Z = features(rng, n, p) + 10 * rng.normal()
    groups = np.sort(rng.integers(0, p, size=p))
    _, groups = np.unique(groups, return_inverse=True)
    d = groups.max() + 1
    t = np.exp(rng.normal(size=d))
    C = rng.normal(size=(n, n))
    C += C.T

    def total(t):
        return np.vdot(C, np.sum(t[groups] * (Z[:, None] - Z) ** 2, axis=2))

    assert_gradient(total, t, weight_gradient(C, Z, groups, d), rng)


@repeatable
@given(SEEDS, SIZES, SIZES, SIZES)
def test_point_gradient_is_the_central_difference(seed, n, n2, p):
    rng = np.random.default_rng(seed)
    Z, Z2, t = features(rng, n, p), features(rng, n2, p), rng.random(p)
    C = rng.normal(size=(n, n2))

    def total(Z):
        return np.vdot(C, squared_distances(Z, Z2, t))

    assert_gradient(total, Z, point_gradient(C, Z, Z2, t), rng)


@repeatable
@given(SEEDS, SIZES)
def test_covariance_matrices_are_positive_semidefinite(seed, p):
    rng = np.random.default_rng(seed)
    Z = np.repeat(features(rng, 10, p), 2, axis=0)
    k = matern52(squared_distances(Z, Z, np.exp(2 * rng.normal(size=p))))
    assert np.linalg.eigvalsh(k).min() > -1e-12 * len(Z)
