"""Log expected improvement to the last digit, and its way back to the features."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import SEEDS, assert_gradient, domains, draw_points, repeatable
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm

from skhpo.gp.acquisition import (
    ConfidenceBound,
    ExpectedImprovement,
    log_expected_improvement,
    log_h,
    lower_confidence_bound,
)
from skhpo.gp.regression import GaussianProcess

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781")
TAIL = [-1.0, -1.5, -3.0, -7.3, -20.0, -50.0, -99.9, -100.1, -1e3, -1e4, -1e5, -1e6]
MIDDLE = [-12.0, -5.0, -1.0, -0.999, -0.5, 0.0, 0.3, 0.9, 2.0, 6.0, 11.0]


# What log h and its slope are --------------------------------------------------------


def by_continued_fraction(z):
    """Compute log h(z) and its slope for z <= -1, to some 35 digits.

    Laplace's continued fraction of Mills' ratio: 1 / (x + 1 / (x + 2 / (x + ...))).
    """
    with localcontext() as context:
        context.prec = 60
        x = -Decimal(z)
        tail = x
        for k in range(3000, 0, -1):
            tail = x + k / tail
        mills = 1 / tail
        rest = 1 - x * mills
        return float(-x * x / 2 - (2 * PI).ln() / 2 + rest.ln()), float(mills / rest)


def by_power_series(z):
    """Compute the same for moderate z: Phi = 1/2 + phi (z + z^3/3 + z^5/15 + ...)."""
    with localcontext() as context:
        context.prec = 65
        z = Decimal(z)
        density = (-z * z / 2).exp() / (2 * PI).sqrt()
        term = total = z
        for k in range(3, 1500, 2):
            term *= z * z / k
            total += term
        Phi = Decimal("0.5") + density * total
        h = density + z * Phi
        return float(h.ln()), float(Phi / h)


@pytest.mark.parametrize("z", [-1.0, -2.0, -5.0, -10.0])
def test_the_two_oracles_agree(z):
    assert by_continued_fraction(z) == pytest.approx(by_power_series(z), rel=1e-14)


@pytest.mark.parametrize("z", TAIL)
def test_log_h_is_exact_in_the_tail(z):
    value, slope = log_h(np.array([z]))
    expected_value, expected_slope = by_continued_fraction(z)
    assert value[0] == pytest.approx(expected_value, rel=1e-13)
    assert slope[0] == pytest.approx(expected_slope, rel=1e-11)


@pytest.mark.parametrize("z", MIDDLE)
def test_log_h_is_exact_in_the_middle(z):
    value, slope = log_h(np.array([z]))
    expected_value, expected_slope = by_power_series(z)
    assert value[0] == pytest.approx(expected_value, rel=1e-12, abs=1e-14)
    assert slope[0] == pytest.approx(expected_slope, rel=1e-12)


@repeatable
@given(st.floats(-1e6, -1))
def test_log_h_is_exact_everywhere_in_the_tail(z):
    value, slope = log_h(np.array([z]))
    expected_value, expected_slope = by_continued_fraction(z)
    assert value[0] == pytest.approx(expected_value, rel=1e-13)
    assert slope[0] == pytest.approx(expected_slope, rel=1e-11)


@pytest.mark.parametrize("z", [-4.0, -1.0, 0.0, 0.5, 3.0])
def test_h_is_the_integral_of_the_improvement(z):
    h, _ = quad(lambda e: (z - e) * norm.pdf(e), -40, z, epsabs=0, epsrel=1e-12)
    assert np.exp(log_h(np.array([z]))[0][0]) == pytest.approx(h, rel=1e-10)


def test_far_above_the_best_h_is_linear():
    z = np.array([10.0, 1e3, 1e8])
    value, slope = log_h(z)
    assert_allclose(value, np.log(z), rtol=1e-14)
    assert_allclose(slope, 1 / z, rtol=1e-14)


@repeatable
@given(st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=50, unique=True))
def test_log_h_increases_and_is_concave(z):
    z = np.sort(z)
    value, slope = log_h(z)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert (slope > 0).all()
    apart = np.diff(z) > 1e-8 * np.maximum(1, np.abs(z[1:]))
    assert (np.diff(value) >= 0).all()
    assert (np.diff(slope) <= 1e-10 * slope[:-1]).all()
    reached = np.diff(value)[apart]
    least = (slope[1:] * np.diff(z))[apart]  # of a concave function
    assert (reached >= least * (1 - 1e-6) - 1e-12 * np.abs(value[1:])[apart]).all()


# Of a prediction ---------------------------------------------------------------------


@repeatable
@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-3, 3))
def test_expected_improvement_is_the_integral_over_the_prediction(mean, std, best):
    low = mean - 30 * std
    gain, _ = quad(
        lambda y: (best - y) * norm.pdf(y, mean, std),
        min(low, best - 30 * std),
        best,
        points=[min(mean, best)],
        epsabs=0,
        epsrel=1e-10,
        limit=200,
    )
    value, _, _ = log_expected_improvement(np.array([mean]), np.array([std]), best)
    assert value[0] == pytest.approx(np.log(gain), abs=1e-7)


@repeatable
@given(SEEDS, st.floats(-4, 4))
def test_derivatives_are_central_differences(seed, size):
    rng = np.random.default_rng(seed)
    m = 4
    mean, std, best = rng.normal(size=m), np.exp(rng.normal(size=m) - size), 0.1
    _, d_mean, d_std = log_expected_improvement(mean, std, best)
    step = 1e-3 * std.min()

    def total(both):
        return log_expected_improvement(*both, best)[0].sum()

    here = np.array([mean, std])
    gradient = np.array([d_mean, d_std])
    assert_gradient(total, here, gradient, rng, h=step, rtol=1e-6)


@repeatable
@given(SEEDS)
def test_a_lower_mean_or_a_larger_deviation_is_worth_more(seed):
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=20), np.exp(2 * rng.normal(size=20))
    here, d_mean, d_std = log_expected_improvement(mean, std, -1.0)
    lower, _, _ = log_expected_improvement(mean - 0.1, std, -1.0)
    wider, _, _ = log_expected_improvement(mean, 1.1 * std, -1.0)
    assert (lower > here).all()
    assert (d_mean < 0).all()
    # Where improvement is certain, a deviation only adds what rounding swallows.
    possible = (-1 - mean) / std < 5
    assert (wider >= here - 1e-12).all()
    assert (wider > here)[possible].all()
    assert (d_std > 0)[possible].all()


def test_where_expected_improvement_underflows_its_logarithm_still_ranks():
    mean, std = np.array([1.0, 2.0, 3.0]), np.full(3, 1e-3)
    value, d_mean, _ = log_expected_improvement(mean, std, 0.0)
    assert (np.exp(value) == 0).all()
    assert (np.diff(value) < 0).all()
    assert (d_mean < -1e3).all()


def test_scale_of_the_losses_only_adds_its_logarithm(rng):
    mean, std = rng.normal(size=5), np.exp(rng.normal(size=5))
    value, _, _ = log_expected_improvement(mean, std, -1.0)
    scaled, _, _ = log_expected_improvement(1e6 * mean, 1e6 * std, -1e6)
    assert_allclose(scaled, value + np.log(1e6), rtol=1e-12)


def test_confidence_bound_is_that_of_the_definition(rng):
    mean, std = rng.normal(size=5), rng.random(5)
    value, d_mean, d_std = lower_confidence_bound(mean, std, 1.5)
    assert_allclose(value, -(mean - 1.5 * std))
    assert_allclose(d_mean, -np.ones(5))
    assert_allclose(d_std, np.full(5, 1.5))


# On a Gaussian process ---------------------------------------------------------------


def draw_case(seed, domain, n_sets=None):
    rng = np.random.default_rng(seed)
    Z = domain.features(draw_points(domain, 8, rng))
    theta = np.append(rng.normal(1, 1, domain.n_columns), [0.0, np.log(0.05)])
    gp = GaussianProcess(Z, rng.normal(size=8), domain.groups, theta)
    best = -rng.random()
    if n_sets is not None:
        gp = gp.with_losses(rng.normal(size=(8, n_sets)))
        best = -rng.random(n_sets)
    new = domain.features(draw_points(domain, 3, rng))
    return rng, gp, best, new + 0.05 * rng.random(new.shape)


@repeatable
@given(SEEDS, domains(), st.sampled_from([None, 1, 5]))
def test_gradient_of_expected_improvement_is_the_central_difference(
    seed, domain, n_sets
):
    rng, gp, best, Z = draw_case(seed, domain, n_sets)
    acquisition = ExpectedImprovement(gp, best)
    value, gradient = acquisition.value_and_gradient(Z)
    if n_sets is None:
        assert_allclose(acquisition.value(Z), value, rtol=1e-9)
    for i in range(len(Z)):

        def at(z):
            return acquisition.value_and_gradient(z[None])[0][0]

        assert_gradient(at, Z[i], gradient[i], rng, rtol=1e-5, atol=1e-7)


@repeatable
@given(SEEDS, domains(), st.floats(0, 3))
def test_gradient_of_the_confidence_bound_is_the_central_difference(
    seed, domain, kappa
):
    rng, gp, _, Z = draw_case(seed, domain)
    acquisition = ConfidenceBound(gp, kappa)
    value, gradient = acquisition.value_and_gradient(Z)
    assert_allclose(acquisition.value(Z), value, rtol=1e-9, atol=1e-9)
    assert_gradient(
        lambda Z: acquisition.value(Z).sum(), Z, gradient, rng, rtol=1e-5, atol=1e-7
    )


@repeatable
@given(SEEDS, domains(), st.integers(1, 6))
def test_value_over_several_sets_is_the_log_of_the_plain_mean(seed, domain, n_sets):
    _, gp, best, Z = draw_case(seed, domain, n_sets)
    each = [
        ExpectedImprovement(gp.with_losses(gp.y[:, i]), best[i]).value(Z)
        for i in range(n_sets)
    ]
    acquisition = ExpectedImprovement(gp, best)
    plain = np.log(np.mean(np.exp(each), axis=0))
    assert_allclose(acquisition.value(Z), plain, rtol=1e-9, atol=1e-9)
    assert_allclose(acquisition.value_and_gradient(Z)[0], plain, rtol=1e-9, atol=1e-9)


def test_the_average_over_sets_does_not_underflow(rng):
    Z, y = rng.random((6, 2)), rng.normal(size=(6, 3))
    gp = GaussianProcess(Z, y[:, 0], np.arange(2), np.log([9, 9, 1, 1e-2]))
    best = np.array([-50.0, -60.0, -70.0])
    new = rng.random((4, 2))
    each = [
        ExpectedImprovement(gp.with_losses(y[:, i]), best[i]).value(new)
        for i in range(3)
    ]
    assert (np.exp(each) == 0).all()
    several = ExpectedImprovement(gp.with_losses(y), best)
    value, gradient = several.value_and_gradient(new)
    assert_allclose(value, logsumexp(each, axis=0) - np.log(3), rtol=1e-9)
    assert np.isfinite(gradient).all()
    assert (gradient != 0).all()


@repeatable
@given(SEEDS, domains())
def test_sets_that_are_all_alike_are_as_one(seed, domain):
    _, gp, best, Z = draw_case(seed, domain)
    one = ExpectedImprovement(gp, best).value_and_gradient(Z)
    same = gp.with_losses(np.repeat(gp.y[:, None], 4, axis=1))
    four = ExpectedImprovement(same, np.full(4, best)).value_and_gradient(Z)
    assert_allclose(four[0], one[0], rtol=1e-9)
    assert_allclose(four[1], one[1], rtol=1e-6, atol=1e-9)
