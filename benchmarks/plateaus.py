"""Does an improvement have to be a whole step? On random accuracies, with and without.

    python benchmarks/plateaus.py [--landscapes 70] [--seed 0] [--n 100]

An accuracy here is that of 178 samples in three uneven splits, each of them right or
wrong by a random function of six hyperparameters (two of them whole numbers, one a
choice): a common slope, and wiggles of its own. A third of the landscapes is smooth but
for the counting, in a third some hyperparameters act in steps, and in a third some do
nothing below a threshold of another. README.md in this folder has the results.
"""

import argparse
import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
from _measure import print_table
from scipy.stats import wilcoxon
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold

from skhpo import BayesSearch, Integer, Real
from skhpo.space import Space
from skhpo.strategies.surrogates import GaussianProcessSurrogate

N_SAMPLES, N_WAVES, N_DRAWN, N_CLIMBED = 178, 128, 3000, 1500
CHECKPOINTS = (16, 32, 64, 100)
CV = KFold(3, shuffle=True, random_state=0)
X = np.arange(N_SAMPLES)[:, None]
TESTS = [test for _, test in CV.split(X)]
SPACE = {
    "a": Real(0, 1),
    "b": Real(0, 1),
    "c": Integer(0, 15),
    "d": Integer(1, 40, log=True),
    "e": Real(0, 1),
    "kind": ["x", "y", "z"],
}


class Landscape:
    """Which samples are right, as a random function of five numbers and a choice."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.sort, self.seed = seed % 3, seed
        self.slow = rng.normal(size=(5, N_WAVES)) * rng.choice([0.3, 1, 2.5], (5, 1))
        self.fast = rng.normal(size=(5, N_WAVES)) * rng.choice([0.5, 2, 5], (5, 1))
        self.phases = rng.uniform(0, 2 * np.pi, (2, N_WAVES))
        self.common = rng.normal(size=N_WAVES) * np.sqrt(2 / N_WAVES)
        self.own = rng.normal(size=(N_WAVES, N_SAMPLES)) * np.sqrt(2 / N_WAVES)
        self.of_kind = rng.normal(size=3) * 0.4
        self.own_of_kind = rng.normal(size=(3, N_SAMPLES)) * 0.5
        self.top = rng.uniform(size=5)
        self.curvature = rng.choice([0, 0.5, 2, 6], 5)
        self.ease = rng.normal(size=N_SAMPLES)
        self.n_steps = rng.integers(3, 9, 5)

    def right(self, u, kind):
        """Tell it for numbers `u` in the unit cube."""
        if self.sort >= 1:
            coarse = np.floor(u * self.n_steps) / self.n_steps
            u = np.where(np.arange(5) % 2 == self.seed % 2, coarse, u)
        if self.sort == 2 and u[0] < 0.5:
            u = np.array([u[0], 0.5, u[2], 0.5, u[4]])
        slope = np.cos(u @ self.slow + self.phases[0]) @ self.common
        slope = 1.6 + 0.8 * slope + self.of_kind[kind]
        slope -= self.curvature @ (u - self.top) ** 2
        wiggles = np.cos(u @ self.fast + self.phases[1]) @ self.own
        return slope + self.ease + 0.9 * wiggles + self.own_of_kind[kind] > 0


class Accuracy(BaseEstimator):
    """A model whose accuracy on samples is that of a landscape."""

    def __init__(self, landscape=None, a=0.5, b=0.5, c=5, d=5, e=0.5, kind="x"):
        self.landscape = landscape
        self.a = a
        self.b = b
        self.c = c
        self.d = d
        self.e = e
        self.kind = kind

    def __sklearn_clone__(self):
        return Accuracy(**self.get_params(deep=False))

    def fit(self, X, y=None):
        return self

    def score(self, X, y=None):
        u = np.array([self.a, self.b, self.c / 15, np.log(self.d) / np.log(40), self.e])
        return float(self.landscape.right(u, "xyz".index(self.kind))[X[:, 0]].mean())


class Unaware(GaussianProcessSurrogate):
    """The Gaussian process, which is not told the step."""

    step = property(lambda self: 0.0, lambda self, value: None)


def scale(landscape):
    """Give the median of random draws, and the best of these and of a climb."""
    rng = np.random.default_rng(10**6)

    def draw():
        return {name: d.from_unit(rng.random()) for name, d in dimensions.items()}

    def evaluate(params):
        model = Accuracy(landscape, **params)
        return np.mean([model.score(X[test]) for test in TESTS])

    (dimensions,) = Space(SPACE).branches
    drawn = [draw() for _ in range(N_DRAWN)]
    scores = [evaluate(params) for params in drawn]
    top, params = max(scores), drawn[int(np.argmax(scores))]
    for _ in range(N_CLIMBED):
        other = draw()
        names = rng.choice([*SPACE], rng.integers(1, 4), replace=False)
        changed = {**params, **{name: other[name] for name in names}}
        score = evaluate(changed)
        if score >= top:
            top, params = score, changed
    return np.median(scores), top


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--landscapes", type=int, default=70)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=100)
    options = parser.parse_args()
    shown = [n for n in CHECKPOINTS if n <= options.n]
    found = []
    for number in range(options.landscapes):
        landscape = Landscape(number)
        median, top = scale(landscape)
        row = []
        for surrogate in (GaussianProcessSurrogate(), Unaware()):
            search = BayesSearch(
                Accuracy(landscape),
                SPACE,
                n_iter=options.n,
                max_pending=1,
                surrogate=surrogate,
                cv=CV,
                refit=False,
                random_state=options.seed + number,
            ).fit(X)
            scores = np.maximum.accumulate(search.cv_results_["mean_test_score"])
            row.append(100 * (scores - median) / (top - median))
        found.append(row)
    aware, unaware = np.moveaxis(found, 1, 0)
    rows = []
    for n in shown:
        difference = (aware - unaware)[:, n - 1].round(8)
        p = wilcoxon(difference).pvalue if difference.any() else 1.0
        won, lost = (difference > 0).sum(), (difference < 0).sum()
        rows.append(
            (
                n,
                f"{aware[:, n - 1].mean():.1f}",
                f"{unaware[:, n - 1].mean():.1f}",
                f"{difference.mean():+.2f} (p={p:.2g})",
                f"{won}-{lost}",
            )
        )
    print_table(
        f"Random accuracies, {options.landscapes} landscapes",
        ("n", "whole steps", "any improvement", "difference", "won-lost"),
        rows,
    )


if __name__ == "__main__":
    main()
