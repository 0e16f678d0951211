"""The Gaussian process, against scikit-learn's, refits and central differences."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from model_oracle import SEEDS, assert_gradient, domains, draw_points, repeatable
from numpy.testing import assert_allclose
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from skhpo.gp.regression import GaussianProcess, fit, negative_log_posterior
from skhpo.gp.transforms import fit_output_transform

SIZES = st.integers(1, 12)


def draw_gp(rng, n, domain=None, n_sets=None, least_noise=1e-4):
    """Draw observations and hyperparameters that suit them."""
    if domain is None:
        p = rng.integers(1, 6)
        Z, groups = rng.random((n, p)), np.arange(p)
    else:
        Z, groups = domain.features(draw_points(domain, n, rng)), domain.groups
    y = rng.normal(size=n)
    noise = np.exp(rng.uniform(np.log(least_noise), 0))
    log_t = rng.normal(1, 1, size=groups.max() + 1)
    theta = np.append(log_t, [rng.normal(), np.log(noise)])
    gp = GaussianProcess(Z, y, groups, theta)
    if n_sets is not None:
        gp = gp.with_losses(rng.normal(size=(n, n_sets)))
    return gp


def oracle_of(gp):
    """Return scikit-learn's Gaussian process with these hyperparameters."""
    kernel = ConstantKernel(gp.scale) * Matern(1 / np.sqrt(gp.t), nu=2.5)
    return GaussianProcessRegressor(kernel, alpha=gp.noise, optimizer=None).fit(
        gp.Z, gp.y
    )


def log_priors(theta):
    """Write out the densities that the module states, up to a constant."""
    t, scale, noise = np.exp(theta[:-2]), *np.exp(theta[-2:])
    log_density = np.sum(-0.1 * (t + 1 / t))
    log_density += np.log(scale) - scale  # Gamma(2, 1)
    return log_density + 0.1 * np.log(noise) - 30 * noise  # Gamma(1.1, rate 30)


# Prediction --------------------------------------------------------------------------


@pytest.mark.parametrize("n_sets", [None, 3])
def test_many_points_are_predicted_as_each_alone(n_sets, rng, monkeypatch):
    monkeypatch.setattr("skhpo.gp.regression._BLOCK", 200)
    gp = draw_gp(rng, 10, n_sets=n_sets)
    Z = rng.random((57, gp.Z.shape[1]))  # blocks of 20, the last one smaller
    mean, std = gp.predict(Z)
    alone = [gp.predict(z[None]) for z in Z]
    assert_allclose(mean, np.vstack([m for m, _ in alone]).reshape(mean.shape))
    assert_allclose(std, np.concatenate([s for _, s in alone]))
    assert_allclose(gp.predict(Z, std=False), mean)


@repeatable
@given(SEEDS, SIZES)
def test_prediction_is_that_of_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n)
    Z = rng.random((7, gp.Z.shape[1]))
    mean, std = gp.predict(Z)
    expected_mean, expected_std = oracle_of(gp).predict(Z, return_std=True)
    size = np.sqrt(gp.scale)
    assert_allclose(mean, expected_mean, rtol=1e-8, atol=1e-8 * size)
    assert_allclose(std, expected_std, rtol=1e-8)
    assert_allclose(gp.predict(Z, std=False), mean, rtol=1e-14)


@repeatable
@given(SEEDS, SIZES)
def test_joint_covariance_is_that_of_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n)
    Z = rng.random((7, gp.Z.shape[1]))
    mean, covariance = gp.joint(Z)
    expected_mean, expected = oracle_of(gp).predict(Z, return_cov=True)
    assert_allclose(mean, expected_mean, rtol=1e-8, atol=1e-8 * np.sqrt(gp.scale))
    assert_allclose(covariance, expected, rtol=1e-8, atol=1e-10 * gp.scale)
    _, std = gp.predict(Z)
    assert_allclose(np.sqrt(np.diag(covariance)), std, rtol=1e-8)


@repeatable
@given(SEEDS, SIZES, domains())
def test_prediction_with_pullback_is_the_prediction(seed, n, domain):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n, domain)
    Z = domain.features(draw_points(domain, 5, rng))
    mean, std, _ = gp.predict_with_pullback(Z)
    expected_mean, expected_std = gp.predict(Z)
    assert_allclose(mean, expected_mean, rtol=1e-12)
    assert_allclose(std, expected_std, rtol=1e-8)


def test_without_noise_the_observations_are_reproduced(rng):
    Z, y = rng.random((10, 2)), rng.normal(size=10)
    gp = GaussianProcess(Z, y, np.arange(2), np.log([10.0, 10.0, 1.0, 1e-10]))
    mean, std = gp.predict(Z)
    assert_allclose(mean, y, atol=1e-6)
    assert std.max() < 1e-4


def test_far_from_the_observations_the_prior_returns(rng):
    gp = draw_gp(rng, 5)
    mean, std = gp.predict(np.full((1, gp.Z.shape[1]), 1e3))
    assert_allclose(mean, 0, atol=1e-12)
    assert_allclose(std, np.sqrt(gp.scale))


# Likelihood --------------------------------------------------------------------------


@repeatable
@given(SEEDS, SIZES)
def test_posterior_is_likelihood_of_scikit_learn_times_the_priors(seed, n):
    gp = draw_gp(np.random.default_rng(seed), n)
    value, _ = negative_log_posterior(gp.theta, gp.Z, gp.y, gp.groups)
    likelihood = oracle_of(gp).log_marginal_likelihood()
    assert -value == pytest.approx(likelihood + log_priors(gp.theta), rel=1e-8)


@repeatable
@given(SEEDS, st.integers(2, 12), domains())
def test_gradient_of_the_posterior_is_the_central_difference(seed, n, domain):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n, domain)
    _, gradient = negative_log_posterior(gp.theta, gp.Z, gp.y, gp.groups)

    def value(theta):
        return negative_log_posterior(theta, gp.Z, gp.y, gp.groups)[0]

    assert_gradient(value, gp.theta, gradient, rng, h=1e-3, rtol=1e-6, atol=1e-7)


@repeatable
@given(SEEDS, st.integers(2, 10))
def test_leave_one_out_is_what_refits_say(seed, n):
    gp = draw_gp(np.random.default_rng(seed), n)
    found = gp.leave_one_out()
    for i in range(n):
        others = np.arange(n) != i
        rest = GaussianProcess(gp.Z[others], gp.y[others], gp.groups, gp.theta)
        mean, std = rest.predict(gp.Z[[i]])
        expected = norm.logpdf(gp.y[i], mean[0], np.sqrt(std[0] ** 2 + gp.noise))
        assert found[i] == pytest.approx(expected, rel=1e-8, abs=1e-8)


# Derivatives of the prediction -------------------------------------------------------


@repeatable
@given(SEEDS, SIZES, domains(), st.sampled_from([None, 1, 4]))
def test_pullback_is_the_central_difference(seed, n, domain, n_sets):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n, domain, n_sets, least_noise=1e-2)
    Z = domain.features(draw_points(domain, 3, rng))
    Z += 0.1 * rng.random(Z.shape)  # derivatives exist between the categories, too
    mean, _, pullback = gp.predict_with_pullback(Z)
    assert mean.shape == ((3,) if n_sets is None else (3, n_sets))
    w_mean, w_std = rng.normal(size=mean.shape), rng.normal(size=3)

    def total(Z):
        mean, std, _ = gp.predict_with_pullback(Z)
        return np.vdot(w_mean, mean) + w_std @ std

    gradient = pullback(w_mean, w_std)
    assert_gradient(total, Z, gradient, rng, h=2e-4, rtol=1e-5, atol=1e-7)


def test_pullback_is_zero_at_a_lonely_observation():
    # Mean and deviation are stationary there, and nothing is divided by zero.
    gp = GaussianProcess(np.full((1, 2), 0.5), np.ones(1), np.arange(2), np.zeros(4))
    _, _, pullback = gp.predict_with_pullback(gp.Z)
    assert_allclose(pullback(np.ones(1), np.ones(1)), 0, atol=1e-12)


# Other observations ------------------------------------------------------------------


@repeatable
@given(SEEDS, SIZES, st.integers(1, 4), domains())
def test_with_observations_is_the_process_of_the_stacked_data(seed, n, m, domain):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n, domain)
    Z, y = domain.features(draw_points(domain, m, rng)), rng.normal(size=m)
    both = GaussianProcess(
        np.vstack([gp.Z, Z]), np.append(gp.y, y), gp.groups, gp.theta
    )
    Z_new = domain.features(draw_points(domain, 5, rng))
    assert_allclose(
        gp.with_observations(Z, y).predict(Z_new), both.predict(Z_new), rtol=1e-7
    )


@repeatable
@given(SEEDS, SIZES, domains())
def test_an_observation_as_predicted_moves_no_mean_and_shrinks_deviations(
    seed, n, domain
):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n, domain)
    Z, Z_new = (domain.features(draw_points(domain, m, rng)) for m in (2, 6))
    other = gp.with_observations(Z, gp.predict(Z, std=False))
    mean, std = gp.predict(Z_new)
    mean_then, std_then = other.predict(Z_new)
    assert_allclose(mean_then, mean, atol=1e-7 * np.sqrt(gp.scale))
    assert (std_then <= std * (1 + 1e-8)).all()


@repeatable
@given(SEEDS, SIZES, st.integers(1, 4))
def test_sets_of_losses_are_predicted_as_if_each_were_alone(seed, n, n_sets):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n)
    Y = rng.normal(size=(n, n_sets))
    Z = rng.random((5, gp.Z.shape[1]))
    before = gp.predict(Z)
    mean, std, _ = gp.with_losses(Y).predict_with_pullback(Z)
    for i in range(n_sets):
        alone = GaussianProcess(gp.Z, Y[:, i], gp.groups, gp.theta).predict(Z)
        assert_allclose(mean[:, i], alone[0], rtol=1e-8, atol=1e-8)
        assert_allclose(std, alone[1], rtol=1e-8)
    assert_allclose(gp.predict(Z), before)  # the original is as it was


# Fits --------------------------------------------------------------------------------


@repeatable
@given(SEEDS, st.integers(2, 15), domains(max_columns=3))
def test_a_fit_is_at_least_as_good_as_its_starts_and_is_stationary(seed, n, domain):
    rng = np.random.default_rng(seed)
    Z = domain.features(draw_points(domain, n, rng))
    y = rng.normal(size=n)
    d = domain.n_columns
    previous = np.append(rng.normal(size=d), [0.0, np.log(0.1)])
    gp = fit(Z, y, domain.groups, previous=previous)
    value, gradient = negative_log_posterior(gp.theta, Z, y, domain.groups)
    for theta in [previous, np.append(np.full(d, np.log(4)), [0, np.log(0.01)])]:
        assert value <= negative_log_posterior(theta, Z, y, domain.groups)[0] + 1e-9
    # A step downhill that stays inside gains next to nothing.
    step = gp.theta - 1e-3 * gradient
    step[-1] = max(step[-1], gp.theta[-1])
    then, _ = negative_log_posterior(step, Z, y, domain.groups)
    assert then > value - 1e-2


def test_a_dimension_that_matters_gets_the_shorter_length_scale(rng):
    Z = rng.random((40, 2))
    y = np.sin(6 * Z[:, 0])
    gp = fit(Z, (y - y.mean()) / y.std(), np.arange(2))
    assert gp.t[0] > 10 * gp.t[1]
    Z_new = rng.random((100, 2))
    error = gp.predict(Z_new, std=False) * y.std() + y.mean() - np.sin(6 * Z_new[:, 0])
    assert np.abs(error).max() < 0.05


def test_noise_is_at_least_what_is_asked_for(rng):
    Z = rng.random((20, 1))
    smooth = Z[:, 0] - 0.5
    assert fit(Z, smooth, np.arange(1)).noise < 1e-3
    assert fit(Z, smooth, np.arange(1), min_noise=0.1).noise >= 0.1 * (1 - 1e-12)


def hard(name, rng):
    """Return features, losses and groups that numerical code stumbles over."""
    if name == "one observation":
        return rng.random((1, 3)), np.zeros(1), np.arange(3)
    if name == "two of the same":
        return np.full((2, 3), 0.5), np.array([1.0, -1.0]), np.arange(3)
    if name == "duplicated points":
        return np.repeat(rng.random((5, 2)), 6, axis=0), rng.normal(size=30), [0, 1]
    if name == "duplicated points, equal losses":
        Z = np.repeat(rng.random((5, 2)), 6, axis=0)
        return Z, np.sin(9 * Z[:, 0]), [0, 1]
    if name == "points that nearly meet":
        Z = np.repeat(rng.random((5, 2)), 6, axis=0)
        return Z + 1e-9 * rng.random(Z.shape), rng.normal(size=30), [0, 1]
    if name == "constant losses":
        return rng.random((10, 2)), np.zeros(10), [0, 1]
    if name == "14 dimensions, 3 points":
        return rng.random((3, 14)), rng.normal(size=3), np.arange(14)
    if name == "no dimension":
        return np.empty((4, 0)), rng.normal(size=4), np.empty(0, dtype=int)
    if name == "a constant column":
        return np.c_[rng.random(10), np.full(10, 0.5)], rng.normal(size=10), [0, 1]
    if name == "a line":
        Z = np.linspace(0, 1, 200)[:, None]
        return Z, (Z[:, 0] - 0.5) / np.sqrt(1 / 12), [0]
    if name == "huge outliers":
        y = np.append(rng.normal(size=18), [1e12, -1e12])
        return rng.random((20, 2)), fit_output_transform(y)[1], [0, 1]
    if name == "one loss unlike the others":
        y = np.zeros(20)
        y[3] = 1.0
        return rng.random((20, 2)), (y - y.mean()) / y.std(), [0, 1]
    if name == "failures":
        y = np.where(rng.random(20) < 0.5, np.nan, rng.normal(size=20))
        return rng.random((20, 2)), fit_output_transform(y)[1], [0, 1]
    raise ValueError(name)


@pytest.mark.parametrize("min_noise", [1e-6, 1e-2, 100.0])
@pytest.mark.parametrize(
    "name",
    [
        "one observation",
        "two of the same",
        "duplicated points",
        "duplicated points, equal losses",
        "points that nearly meet",
        "constant losses",
        "14 dimensions, 3 points",
        "no dimension",
        "a constant column",
        "a line",
        "huge outliers",
        "one loss unlike the others",
        "failures",
    ],
)
def test_a_fit_to_hard_data_succeeds_and_predicts_numbers(name, min_noise, rng):
    Z, y, groups = hard(name, rng)
    groups = np.asarray(groups)
    gp = fit(Z, y, groups, min_noise=min_noise)
    assert np.isfinite(gp.theta).all()
    Z_new = np.vstack([Z, rng.random((10, Z.shape[1]))])
    mean, std, pullback = gp.predict_with_pullback(Z_new)
    for value in [mean, std, *gp.predict(Z_new), *gp.joint(Z_new)]:
        assert np.isfinite(value).all()
    assert (std > 0).all()
    assert np.isfinite(pullback(np.ones_like(mean), np.ones_like(std))).all()
    assert np.isfinite(gp.leave_one_out()).all()
    again = fit(Z, y, groups, previous=gp.theta, restart=False, min_noise=min_noise)
    assert np.isfinite(again.theta).all()


@repeatable
@given(SEEDS, st.integers(1, 25), domains())
def test_a_fit_never_fails(seed, n, domain):
    rng = np.random.default_rng(seed)
    x = draw_points(domain, n, rng)
    x = x[rng.integers(n, size=n)]  # some of them twice
    y = rng.choice([1.0, 2.0, 1e6, np.nan, rng.normal()], size=n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, v = fit_output_transform(y)
        gp = fit(domain.features(x), v, domain.groups)
        mean, std = gp.predict(domain.features(draw_points(domain, 5, rng)))
    assert np.isfinite(mean).all()
    assert (std > 0).all()


@repeatable
@given(SEEDS, st.integers(2, 15), domains())
def test_the_order_of_the_observations_does_not_matter(seed, n, domain):
    rng = np.random.default_rng(seed)
    gp = draw_gp(rng, n, domain)
    order = rng.permutation(n)
    assume((order != np.arange(n)).any())
    other = GaussianProcess(gp.Z[order], gp.y[order], gp.groups, gp.theta)
    Z = domain.features(draw_points(domain, 5, rng))
    assert_allclose(other.predict(Z), gp.predict(Z), rtol=1e-7, atol=1e-9)
