"""Whether learning helps: paired tests against random search, seeds fixed.

Each test compares the best of 40 candidates over the same 10 seeds. One that learns
nothing passes with a chance of at most 1 %: the one-sided Wilcoxon test of 10 pairs.
"""

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from skhpo import Integer, Real
from skhpo.space import Space
from skhpo.strategies.bayes import BayesStrategy
from skhpo.strategies.random import RandomStrategy
from skhpo.strategies.surrogates import SURROGATES
from skhpo.trial import SplitResult, Trial

pytestmark = pytest.mark.slow

N_SEEDS = 10
N_CANDIDATES = 40
ERROR_RATE = 0.01


def hartmann3(params):
    """Score three numbers; four hills, the best of 3.86."""
    A = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
    P = 1e-4 * np.array(
        [[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]
    )
    x = np.array([params["x0"], params["x1"], params["x2"]])
    return float([1, 1.2, 3, 3.2] @ np.exp(-np.sum(A * (x - P) ** 2, axis=1)))


def mixed(params):
    """Score a number, a rate, a count and a category; the best of 0."""
    place = {"a": 0.2, "b": 0.5, "c": 0.8}[params["kind"]]
    return -(
        (params["x"] - place) ** 2
        + 0.1 * (math.log10(params["rate"]) + 2) ** 2
        + 0.02 * (params["n"] - 7) ** 2
        + {"a": 0.5, "b": 0.0, "c": 0.3}[params["kind"]]
    )


def conditional(params):
    """Score like a support vector machine with a choice of the kernel."""
    error = 0.1 * (math.log10(params["C"]) - 1) ** 2
    if params["kernel"] == "linear":
        return -error - 0.4
    if params["kernel"] == "poly":
        return -error - 0.2 * (params["degree"] - 3) ** 2 - 0.2
    ridge = math.log10(params["C"]) + math.log10(params["gamma"]) + 1
    return -error - 0.2 * ridge**2


C, GAMMA = Real(1e-3, 1e3, log=True), Real(1e-5, 10, log=True)
PROBLEMS = {
    "hartmann3": (hartmann3, {f"x{i}": Real(0, 1) for i in range(3)}),
    "mixed": (
        mixed,
        {
            "x": Real(0, 1),
            "rate": Real(1e-6, 1, log=True),
            "n": Integer(1, 20),
            "kind": ["a", "b", "c"],
        },
    ),
    "conditional": (
        conditional,
        [
            {"kernel": ["linear"], "C": C},
            {"kernel": ["rbf"], "C": C, "gamma": GAMMA},
            {"kernel": ["poly"], "C": C, "degree": Integer(2, 6)},
        ],
    ),
}


class Misled:
    """A surrogate that is told the scores of other candidates."""

    predicts = False

    def __init__(self):
        self._inner = SURROGATES["auto"]()

    def propose(self, domain, x, losses, pending, number, rng):
        # Of its own generator: the last score stays unknown as well.
        shuffled = np.random.default_rng(number).permutation(losses)
        return self._inner.propose(domain, x, shuffled, pending, number, rng)


def best_score(strategy, function):
    """Return the best score of a search, one candidate at a time."""
    scores = []
    while batch := strategy.ask(1):
        (candidate,) = batch
        scores.append(function(candidate.params))
        split = SplitResult(scores[-1], None, 0.0, 0.0)
        strategy.tell([Trial(len(scores) - 1, candidate, (split,), len(scores) - 1)])
    assert len(scores) == N_CANDIDATES
    return max(scores)


def p_value(problem, surrogate):
    """Return that of no gain over random search, against some gain."""
    function, spec = PROBLEMS[problem]
    gains = []
    for seed in range(N_SEEDS):
        space = Space(spec)
        learnt = BayesStrategy(space, N_CANDIDATES, seed, surrogate=surrogate)
        drawn = RandomStrategy(space, N_CANDIDATES, 100 + seed)
        gains.append(best_score(learnt, function) - best_score(drawn, function))
    return wilcoxon(gains, alternative="greater").pvalue


@pytest.mark.parametrize("problem", PROBLEMS)
def test_learning_beats_random_search(problem):
    assert p_value(problem, "auto") < ERROR_RATE


@pytest.mark.parametrize("surrogate", sorted(set(SURROGATES) - {"auto"}))
def test_each_surrogate_beats_random_search(surrogate):
    assert p_value("mixed", surrogate) < ERROR_RATE


@pytest.mark.parametrize("problem", PROBLEMS)
def test_learning_from_shuffled_scores_does_not(problem):
    # The negative control.
    assert p_value(problem, Misled()) > ERROR_RATE
