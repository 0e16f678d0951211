"""Statistics of the draws; seeds fixed, a right draw fails once in a million."""

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm

from skhpo import Integer, Real
from skhpo.space import Space
from skhpo.strategies.random import RandomStrategy

pytestmark = pytest.mark.slow

N_DRAWS = 4000
ERROR_RATE = 1e-6


def draw(spec, **options):
    strategy = RandomStrategy(Space(spec), N_DRAWS, random_state=0, **options)
    return [candidate.params for candidate in strategy.ask(N_DRAWS)]


def p_value_of_digits(digits):
    return chisquare(np.bincount(digits, minlength=10)).pvalue


@pytest.mark.parametrize("n_names", [12, 25])
@pytest.mark.parametrize("design", ["random", "sobol"])
def test_every_digit_of_a_huge_grid_is_equally_likely(n_names, design):
    params = draw({f"x{i}": list(range(10)) for i in range(n_names)}, design=design)
    for name in params[0]:
        assert p_value_of_digits([p[name] for p in params]) > ERROR_RATE


def test_digits_that_are_not_equally_likely_are_found():
    # The negative control: the last digit of a square.
    digits = [p["x"] ** 2 % 10 for p in draw({"x": Integer(1, 10**6)})]
    assert p_value_of_digits(digits) < ERROR_RATE


@pytest.mark.parametrize("design", ["random", "sobol"])
def test_a_log_scale_is_uniform_in_the_logarithm_and_not_in_the_value(design):
    params = draw({"C": Real(1e-3, 1e3, log=True)}, design=design)
    values = np.array([p["C"] for p in params])
    assert kstest((np.log10(values) + 3) / 6, "uniform").pvalue > ERROR_RATE
    assert kstest(values / 1e3, "uniform").pvalue < ERROR_RATE


def test_branches_are_equally_likely():
    params = draw([{"a": Real(0, 1)}, {"b": Real(0, 1)}, {"c": Real(0, 1)}])
    counts = [sum(name in p for p in params) for name in "abc"]
    assert chisquare(counts).pvalue > ERROR_RATE


def test_a_sobol_design_draws_from_the_tails_too():
    strategy = RandomStrategy(Space({"a": norm()}), 2048, 0, design="sobol")
    u = norm.cdf([candidate.params["a"] for candidate in strategy.ask(2048)])
    assert len(set(u)) == 2048
    # One point in each of as many equal intervals.
    assert sorted((2048 * u).astype(int)) == [*range(2048)]
