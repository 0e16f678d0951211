"""The output transform keeps the order, comes back, and keeps the best apart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import SEEDS, repeatable
from numpy.testing import assert_allclose, assert_array_equal

from skhpo.gp.transforms import OutputTransform, fit_output_transform, resolution

MAX_SHRINKAGE = 3
N_BEST = 5


def draw_losses(shape, n, rng):
    """Draw losses as searches see them."""
    y = rng.normal(size=n)
    if shape == "skewed":
        y = np.exp(2 * y)
    elif shape == "skewed to the good":
        y = -np.exp(y)
    elif shape == "uniform":
        y = rng.random(n)
    elif shape == "tied":
        y = rng.integers(0, 4, size=n).astype(float)
    elif shape == "accuracies":
        y = 1 - rng.binomial(60, 0.8, size=n) / 60
    elif shape == "plateau":
        y = np.where(rng.random(n) < 0.7, 0.5, y)
    elif shape == "plateau of the bad":
        y = np.where(rng.random(n) < 0.7, 0.5, 0.5 * rng.random(n))
    elif shape == "noisy plateau":
        y = np.where(rng.random(n) < 0.7, 0.5 + 1e-3 * y, rng.random(n))
    elif shape == "outliers":
        y = y + 1e6 * (rng.random(n) < 0.1)
    elif shape == "constant":
        y = np.full(n, 0.3)
    return y


SHAPES = [
    "normal",
    "skewed",
    "skewed to the good",
    "uniform",
    "tied",
    "accuracies",
    "plateau",
    "plateau of the bad",
    "noisy plateau",
    "outliers",
    "constant",
]
LOSSES = st.builds(
    lambda shape, n, seed: draw_losses(shape, n, np.random.default_rng(seed)),
    st.sampled_from(SHAPES),
    st.integers(1, 60),
    SEEDS,
)
SCALES = st.sampled_from([1e-150, 1e-9, 1.0, 1e9, 1e140])


def without_power(y):
    """Return the standardised values of the transform whose power is one."""
    transform, _ = fit_output_transform(y)
    v = replace(transform, power=1.0).forward(y)
    return (v - v.mean()) / v.std()


def relative_gap(values):
    values = np.sort(values)
    return (values[N_BEST - 1] - values[0]) / (values[-1] - values[0])


# Order -------------------------------------------------------------------------------


@repeatable
@given(LOSSES, SCALES)
def test_every_step_is_strictly_increasing(y, scale):
    _, v = fit_output_transform(scale * y)
    order = np.argsort(y)
    y, v = y[order], v[order]
    assert (np.diff(v) >= 0).all()
    assert_array_equal(np.diff(v)[np.diff(y) == 0], 0)
    # Of losses that differ by more than rounding.
    apart = np.diff(y) > 1e-6 * (np.abs(y[1:]) + np.abs(y[:-1]))
    assert (np.diff(v)[apart] > 0).all()


@repeatable
@given(LOSSES, SCALES)
def test_values_are_standardised(y, scale):
    transform, v = fit_output_transform(scale * y)
    assert v.mean() == pytest.approx(0, abs=1e-9)
    if np.ptp(y) > 0:
        assert v.std() == pytest.approx(1, rel=1e-9)
    else:
        assert_array_equal(v, 0)
    assert_array_equal(transform.forward(scale * y), v)


@repeatable
@given(
    st.floats(-2, 4), st.lists(st.floats(-50, 1e3), min_size=2, max_size=9, unique=True)
)
def test_any_power_keeps_the_order_and_comes_back(power, y):
    y = np.sort(y)
    transform = OutputTransform(0.5, 2.0, power, 0.1, 3.0)
    v = transform.forward(y)
    apart = np.diff(y) > 1e-6
    assert (np.diff(v) >= 0).all()
    assert (np.diff(v)[apart] > 0).all()
    assert_allclose(transform.inverse(v), y, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("power", [0.0, 1e-9, -1e-9, 2.0, 2 + 1e-9, 2 - 1e-9])
def test_the_logarithm_is_the_limit_of_the_powers(power):
    y = np.array([-20.0, -1.0, 0.0, 1.0, 20.0])
    transform = OutputTransform(0.0, 1.0, power, 0.0, 1.0)
    near = OutputTransform(0.0, 1.0, power + 1e-6, 0.0, 1.0)
    assert_allclose(transform.forward(y), near.forward(y), rtol=1e-4)
    assert_allclose(transform.inverse(transform.forward(y)), y, rtol=1e-7)


def test_power_one_changes_nothing_but_place_and_scale(rng):
    y = rng.random(20)
    v = without_power(y)
    assert_allclose(v, (y - y.mean()) / y.std(), rtol=1e-12, atol=1e-12)


# There and back ----------------------------------------------------------------------


@repeatable
@given(LOSSES, SCALES)
def test_inverse_undoes_forward(y, scale):
    transform, v = fit_output_transform(scale * y)
    assert_allclose(
        transform.inverse(v), scale * y, rtol=1e-6, atol=1e-9 * scale * np.ptp(y)
    )


@repeatable
@given(LOSSES, st.lists(st.floats(-10, 10), min_size=2, max_size=20))
def test_inverse_never_falls_and_is_never_nan(y, v):
    transform, _ = fit_output_transform(y)
    back = transform.inverse(np.sort(v))
    assert not np.isnan(back).any()
    assert (back[1:] >= back[:-1]).all()


# Failures ----------------------------------------------------------------------------


@repeatable
@given(LOSSES, st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1))
def test_failures_become_the_worst_and_are_all_alike(y, failures):
    both = np.append(y, failures)
    transform, v = fit_output_transform(both)
    assert np.isfinite(v).all()
    assert (v[len(y) :] > v[: len(y)].max()).all()
    assert np.ptp(v[len(y) :]) == 0
    assert_array_equal(transform.forward(y), v[: len(y)])


@repeatable
@given(LOSSES)
def test_it_does_not_matter_how_a_candidate_fails(y):
    _, expected = fit_output_transform(np.append(y, [np.nan] * 3))
    _, v = fit_output_transform(np.append(y, [np.inf, np.nan, -np.inf]))
    assert_array_equal(v, expected)


def test_where_all_fail_nothing_is_learnt():
    transform, v = fit_output_transform([np.nan, np.inf])
    assert_array_equal(v, [0, 0])
    assert_allclose(transform.inverse(transform.forward([1.0, 2.0])), [1.0, 2.0])


# Invariance --------------------------------------------------------------------------


@repeatable
@given(LOSSES, st.floats(-7, 7), st.floats(-100, 100))
def test_place_and_scale_of_the_losses_do_not_matter(y, log_scale, shift):
    _, v = fit_output_transform(y)
    _, other = fit_output_transform(10**log_scale * (y + shift * np.ptp(y)))
    assert_allclose(other, v, rtol=1e-4, atol=1e-4)


@repeatable
@given(LOSSES, st.integers(-300, 300))
def test_a_power_of_two_changes_not_even_the_last_bit(y, exponent):
    _, v = fit_output_transform(y)
    _, other = fit_output_transform(np.ldexp(y, exponent))
    assert_array_equal(other, v)


@repeatable
@given(LOSSES, SEEDS)
def test_the_order_among_the_first_ten_does_not_matter(y, seed):
    first = np.random.default_rng(seed).permutation(len(y[:10]))
    order = np.append(first, np.arange(10, len(y))).astype(int)
    _, v = fit_output_transform(y)
    _, other = fit_output_transform(y[order])
    assert_allclose(other, v[order], rtol=1e-4, atol=1e-4)


# What is to be kept ------------------------------------------------------------------


@repeatable
@given(LOSSES)
def test_the_power_keeps_the_best_apart(y):
    if len(y) < N_BEST or np.ptp(y) == 0:
        return
    _, v = fit_output_transform(y)
    least = relative_gap(without_power(y)) / MAX_SHRINKAGE
    assert relative_gap(v) >= least * (1 - 1e-6)


def test_a_power_makes_skewed_losses_symmetric(rng):
    y = rng.lognormal(size=200)
    _, v = fit_output_transform(y)
    assert abs(np.mean(v**3)) < 0.3 < np.mean(without_power(y) ** 3)


@pytest.mark.parametrize("factor", [10.0, 1e3, 1e6])
def test_a_bad_outlier_does_not_hide_the_others(factor, rng):
    y = np.append(rng.normal(size=20), factor)
    _, v = fit_output_transform(y)
    assert np.ptp(v[:-1]) > 1


@pytest.mark.parametrize("factor", [1e10, 1e20])
def test_not_even_a_huge_outlier_hides_the_others(factor, rng):
    # Gradient descent that diverges gives such errors.
    y = np.append(rng.normal(size=20), factor)
    _, v = fit_output_transform(y)
    assert np.ptp(v[:-1]) > 1


@pytest.mark.parametrize("y", [[3e200, 3e200, 0.0], [0.0, 0.0, 0.0, 0.0, 1e200]])
def test_losses_whose_squares_overflow_are_ranked(y):
    _, v = fit_output_transform(y)
    assert_array_equal(np.sign(np.diff(v)), np.sign(np.diff(y)))


@pytest.mark.parametrize("y", [[3.0], [0.0], [1.0, 1.0], [0.0] * 7, [1e-300, 1e-300]])
def test_losses_that_do_not_differ_are_zero(y):
    transform, v = fit_output_transform(y)
    assert_array_equal(v, 0)
    assert_allclose(transform.inverse(v), y)


def test_two_losses_are_one_deviation_off():
    _, v = fit_output_transform([2.0, 1.0])
    assert_allclose(v, [1, -1])


def test_without_losses_there_is_nothing():
    _, v = fit_output_transform([])
    assert v.shape == (0,)


def test_tiny_gains_at_an_optimum_are_not_blown_up():
    # The search has closed in on 0.2, and 0.1 is what remains to be found.
    spread = np.linspace(0.3, 1, 20)
    closed_in = 0.2 + 1e-6 * np.arange(30)
    _, v = fit_output_transform(np.r_[spread, closed_in])
    assert np.ptp(v[20:]) < 1e-3 * np.ptp(v)


@pytest.mark.parametrize("power", [-1.0, 0.0, 1.0, 2.0, 3.0])
def test_log_slope_is_that_of_forward(power, rng):
    y = rng.normal(size=30) ** 3
    transform, _ = fit_output_transform(y, power=power)
    h = 1e-6
    slope = (transform.forward(y + h) - transform.forward(y - h)) / (2 * h)
    assert_allclose(transform.log_slope(y), np.log(slope), rtol=1e-4, atol=1e-4)


# Resolution --------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [30, 150, 1000])
def test_resolution_of_accuracies_is_one_sample(n_samples, rng):
    steps = np.repeat(np.arange(8), 3)
    errors = 0.1 + rng.permutation(steps) / n_samples
    v = without_power(errors)
    assert resolution(v) == pytest.approx(1 / n_samples / errors.std(), rel=1e-9)


@repeatable
@given(LOSSES)
def test_resolution_is_a_step_between_neighbours_if_any_tie(y):
    _, v = fit_output_transform(y)
    step = resolution(v)
    distinct = np.unique(v)
    if len(distinct) == len(v) or len(distinct) == 1:
        assert step == 0
    else:
        assert 0 <= step <= np.diff(distinct).max()


def test_resolution_of_losses_without_ties_is_zero(rng):
    assert resolution(rng.normal(size=30)) == 0
    assert resolution(np.array([1.0])) == 0


def test_losses_equal_up_to_rounding_tie():
    v = np.array([0.0, 1.0, 1.0 + 1e-12, 2.0])
    assert resolution(v) == pytest.approx(1)
