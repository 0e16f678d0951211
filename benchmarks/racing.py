"""What racing rules save, and what they lose: searches replayed in many orders.

    python benchmarks/racing.py          # the rules, about 5 minutes
    python benchmarks/racing.py lag      # shares and utilisation by lag
    python benchmarks/racing.py --quick  # does it run? Its figures prove nothing

Scores and times of all candidates on all of 10 splits are computed once for each
problem. Then the engine itself runs on these tables: 20 orders of candidates and
splits, in each of which the rules race.

"share" is the time of the fits that were made over that of all. "regret" is by how much
the mean over 10 splits of the chosen candidate lies below the best one, in standard
errors of the best one's mean. "kept" is the share of orders in which the best was
chosen, or its equal.
"""

import argparse
import sys
import time
import warnings

import numpy as np
from joblib import parallel_config
from scipy.stats import loguniform, randint, uniform
from sklearn.base import is_classifier
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_classification,
    make_friedman1,
)
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skhpo import RandomSearch
from skhpo._engine import Race, run
from skhpo.racing import Bound, Forgiving, Paired
from skhpo.space import Space
from skhpo.strategies.grid import GridStrategy
from skhpo.trial import SplitResult

N_SPLITS = 10
N_CANDIDATES = 50
N_ORDERS = 20
LAGS = (1, 2, 4, 8, 16)


def _first(n, X, y):
    return X[:n], y[:n]


def _noisy(n_samples, n_features, share):
    """Draw two classes, with a share of labels drawn anew."""
    return make_classification(
        n_samples, n_features, n_informative=4, flip_y=share, random_state=0
    )


# Name: data, estimator, space, scoring, maximum of the metric.
PROBLEMS = {
    "SVC, digits": (
        lambda: _first(700, *load_digits(return_X_y=True)),
        SVC(),
        {"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-5, 1e-1)},
        "accuracy",
        1.0,
    ),
    "kernel ridge, diabetes": (
        lambda: load_diabetes(return_X_y=True),
        make_pipeline(StandardScaler(), KernelRidge(kernel="rbf")),
        {
            "kernelridge__alpha": loguniform(1e-4, 1e2),
            "kernelridge__gamma": loguniform(1e-4, 1e0),
        },
        "r2",
        1.0,
    ),
    "SVC, noisy": (
        lambda: make_classification(
            600, 15, n_informative=5, flip_y=0.3, random_state=0
        ),
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": loguniform(1e-4, 1e0)},
        "roc_auc",
        1.0,
    ),
    "forest, breast cancer": (
        lambda: load_breast_cancer(return_X_y=True),
        RandomForestClassifier(20, random_state=0),
        {
            "max_features": uniform(0.05, 0.95),
            "max_depth": randint(1, 12),
            "min_samples_leaf": randint(1, 40),
        },
        "accuracy",
        1.0,
    ),
    "boosting, Friedman": (
        lambda: make_friedman1(400, noise=1.0, random_state=0),
        GradientBoostingRegressor(random_state=0),
        {
            "learning_rate": loguniform(1e-3, 1e0),
            "max_depth": randint(1, 6),
            "n_estimators": randint(10, 100),
        },
        "neg_mean_squared_error",
        0.0,
    ),
    "logistic, wine": (
        lambda: load_wine(return_X_y=True),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        {"logisticregression__C": loguniform(1e-4, 1e4)},
        "neg_log_loss",
        0.0,
    ),
    "neighbours, noisy": (
        lambda: make_classification(
            800, 8, n_informative=4, flip_y=0.1, random_state=1
        ),
        KNeighborsClassifier(),
        {
            "n_neighbors": randint(1, 100),
            "weights": ["uniform", "distance"],
            "p": [1, 1.5, 2, 3],
        },
        "accuracy",
        1.0,
    ),
    "tree, digits": (
        lambda: load_digits(return_X_y=True),
        DecisionTreeClassifier(random_state=0),
        {
            "max_depth": randint(1, 20),
            "min_samples_leaf": randint(1, 50),
            "max_features": uniform(0.1, 0.9),
        },
        "balanced_accuracy",
        1.0,
    ),
}


class Table:
    """Look scores up in place of an evaluator; sleep as long as fits take, or not."""

    shares = False
    error_score = np.nan

    def __init__(self, scores, seconds=None):
        self.scores = scores
        self.seconds = seconds

    def evaluate_batch(self, units):
        """Look up the scores of units."""
        return [self._evaluate(unit) for unit in units]

    evaluate_all = evaluate_batch

    def _evaluate(self, unit):
        place = unit.params["row"], unit.split
        if self.seconds is not None:
            time.sleep(self.seconds[place])
        return SplitResult(float(self.scores[place]), None, 0.0, 0.0)


def table_of(problem, n_candidates):
    """Score a problem's candidates on all splits; give scores and seconds."""
    data, estimator, space, scoring, _ = problem
    X, y = data()
    kind = StratifiedKFold if is_classifier(estimator) else KFold
    search = RandomSearch(
        estimator,
        space,
        n_iter=n_candidates,
        random_state=0,
        scoring=scoring,
        cv=kind(N_SPLITS, shuffle=True, random_state=0),
        refit=False,
        reuse=False,
    ).fit(X, y)
    results = [trial.splits for trial in search.trials_]
    scores = [[split.test_scores for split in splits] for splits in results]
    seconds = [[s.fit_time + s.score_time for s in splits] for splits in results]
    return np.array(scores), np.array(seconds)


def race(scores, rule, lag=None, **options):
    """Run the engine on a table; tell which of its places were evaluated."""
    options.setdefault("n_jobs", 1)
    seconds = options.pop("seconds", None)
    chosen = Race(rule) if lag is None else Race(rule, lag=lag)
    trials = run(
        GridStrategy(Space({"row": range(len(scores))})),
        Table(scores, seconds),
        n_splits=scores.shape[1],
        race=chosen,
        **options,
    ).trials
    return np.array([[result is not None for result in t.splits] for t in trials])


def orders(scores, seconds, n_orders):
    """Yield the table with its rows and columns in other orders."""
    rng = np.random.default_rng(0)
    for _ in range(n_orders):
        places = np.ix_(*(rng.permutation(n) for n in scores.shape))
        yield scores[places], seconds[places]


def judge(scores, seconds, rule, n_orders, lag=None):
    """Race in each order; give the means of share, regret and kept."""
    figures = []
    for s, t in orders(scores, seconds, n_orders):
        done = race(s, rule, lag)
        means = s.mean(axis=1)
        chosen = np.where(done.all(axis=1), means, -np.inf).argmax()
        best = means.argmax()
        error = s[best].std(ddof=1) / np.sqrt(s.shape[1])
        loss = means[best] - means[chosen]
        figures.append((t[done].sum() / t.sum(), loss / error, loss < 1e-12))
    return np.mean(figures, axis=0)


def rules_of(problem):
    """Give the rules by name, for the metric of a problem."""
    return {
        "bound": Bound(problem[-1]),
        "paired": Paired(),
        "forgiving": Forgiving(),
        "paired, alpha 0.05": Paired(alpha=0.05),
    }


def compare_rules(tables, n_orders):
    """Print a row for each problem, and the means."""
    names = [*rules_of(next(iter(PROBLEMS.values())))]
    print(f"| problem | {' | '.join(names)} |")
    print("|---" * (len(names) + 1) + "|")
    total = []
    for name, (scores, seconds) in tables.items():
        row = [
            judge(scores, seconds, rule, n_orders)
            for rule in rules_of(PROBLEMS[name]).values()
        ]
        total.append(row)
        _print_row(name, row)
    _print_row("mean", np.mean(total, axis=0))


def _print_row(name, row):
    cells = [f"{share:.2f}, {loss:.3f}, {kept:.2f}" for share, loss, kept in row]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def compare_lags(tables, n_orders):
    """Print share, regret and utilisation by lag."""
    rng = np.random.default_rng(0)
    scores, _ = tables["SVC, digits"]
    naps = rng.lognormal(sigma=1.0, size=scores.shape)
    naps *= 0.02 / naps.mean()
    print("| lag | bound | paired | forgiving | busy, 2 workers | 4 | 8 |")
    print("|---" * 7 + "|")
    for lag in LAGS:
        shares = [
            np.mean(
                [
                    judge(*table, rules_of(PROBLEMS[name])[rule], n_orders, lag)[0]
                    for name, table in tables.items()
                ]
            )
            for rule in ("bound", "paired", "forgiving")
        ]
        busy = [utilisation(scores, naps, lag, n) for n in (2, 4, 8)]
        cells = [f"{value:.2f}" for value in [*shares, *busy]]
        print(f"| {lag} | {' | '.join(cells)} |", flush=True)


def utilisation(scores, naps, lag, n_workers):
    """Tell how busy sleeping threads are in a race."""
    with parallel_config("threading"):
        start = time.perf_counter()
        done = race(scores, Paired(), lag, n_jobs=n_workers, seconds=naps)
        wall = time.perf_counter() - start
    return naps[done].sum() / (wall * n_workers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=["rules", "lag"], default="rules")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    n_candidates, n_orders = (12, 2) if args.quick else (N_CANDIDATES, N_ORDERS)
    tables = {}
    for name, problem in PROBLEMS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables[name] = table_of(problem, n_candidates)
        print(f"{name}: {tables[name][1].sum():.0f} s of fits", file=sys.stderr)
    part = compare_lags if args.part == "lag" else compare_rules
    part(tables, n_orders)


if __name__ == "__main__":
    main()
