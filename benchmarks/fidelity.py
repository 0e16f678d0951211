"""What little of the data saves, and what it loses, beside halving of scikit-learn.

    python benchmarks/fidelity.py [--quick] [--only problem ...] [part ...]

README.md in this folder says what each part measures and how to read it.
"""

import argparse
import os
import time
import warnings
from functools import cache, partial

# Before NumPy is imported: several threads would measure the other core's load.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ.update(MKL_NUM_THREADS="1")

import numpy as np
from _measure import (
    NO_GOAL,
    Goal,
    interleave,
    judged,
    load,
    print_machine,
    print_table,
    quartiles,
)
from _problems import log, ordinals, read, scaled
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from skhpo import BayesSearch, GridSearch, RandomSearch, Real
from skhpo.fidelity import Halving, Hyperband

N_ROWS = 10_000
N_CANDIDATES = 27
N_POOL = 54
# So many for a search that begins with little, which costs about half of those above
# with everything.
N_MANY = 81
HAIR = 1e-9


# Problems: estimator, space, scoring, splitter, data


def adult(n_rows):
    X, y = read("adult", "income", n_rows)
    estimator = make_pipeline(
        make_column_transformer(
            (
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(handle_unknown="ignore"),
                ),
                make_column_selector(dtype_exclude="number"),
            ),
            remainder=StandardScaler(),
        ),
        LogisticRegression(max_iter=200),
    )
    space = {
        "logisticregression__C": log(1e-5, 1e3),
        "logisticregression__class_weight": [None, "balanced"],
    }
    return estimator, space, "neg_log_loss", stratified(), X, y


def beijing_pm25(n_rows):
    frame, y = read("beijing_pm25", "pm2.5")
    X = ordinals(frame.drop(columns="time"), missing=True)
    space = {
        "learning_rate": log(0.01, 1.0),
        "max_leaf_nodes": log(3, 60),
        "min_samples_leaf": log(2, 100),
        "l2_regularization": log(1e-3, 1e3),
    }
    estimator = HistGradientBoostingRegressor(max_iter=40, early_stopping=False)
    return estimator, space, "r2", TimeSeriesSplit(3), X[:n_rows], y[:n_rows]


def diamonds(n_rows):
    frame, y = read("diamonds", "price", n_rows)
    space = {
        "max_features": Real(0.1, 1.0),
        "min_samples_leaf": log(1, 100),
        "max_samples": Real(0.2, 1.0),
    }
    estimator = RandomForestRegressor(10, random_state=0)
    splits = KFold(3, shuffle=True, random_state=0)
    return estimator, space, "r2", splits, ordinals(frame), np.log(y)


def mammography(n_rows):
    X, y = read("mammography", "cls", n_rows)
    space = {"svc__C": log(1e-2, 1e3), "svc__gamma": log(1e-4, 1e1)}
    estimator = scaled("svc", SVC())
    return estimator, space, "average_precision", stratified(), X.to_numpy(), y


def stratified():
    return StratifiedKFold(3, shuffle=True, random_state=0)


PROBLEMS = {
    problem.__name__: problem
    for problem in (adult, beijing_pm25, diamonds, mammography)
}


# What more of a parameter is given to, and which.
GROWING = {
    "beijing_pm25": (
        HistGradientBoostingRegressor(early_stopping=False, random_state=0),
        "max_iter",
    ),
    "diamonds": (RandomForestRegressor(random_state=0), "n_estimators"),
}


class Clock:
    """Score as a scorer does, and note this process's CPU time after each score."""

    def __init__(self, scoring):
        self.scorer = get_scorer(scoring)
        self.times = []
        self.start = time.process_time()

    def __call__(self, estimator, X, y):
        score = self.scorer(estimator, X, y)
        self.times.append(time.process_time())
        return score

    def seconds(self, results):
        """Give the CPU time from the start to the end of each row."""
        n_rows = len(results["params"])
        times = np.array(self.times).reshape(n_rows, -1)
        return times[:, -1] - self.start


@cache
def table_of(name, n_rows, n_pool):
    """Score a pool of candidates on all data.

    Returns
    -------
    pool : list of dict
        Candidates.
    scores, seconds : ndarray of shape (n_pool,)
        Mean scores, and CPU time of the fits and scores of each.
    """
    estimator, space, scoring, cv, X, y = PROBLEMS[name](n_rows)
    clock = Clock(scoring)
    search = RandomSearch(
        estimator,
        space,
        n_iter=n_pool,
        random_state=0,
        scoring=clock,
        cv=cv,
        refit=False,
        reuse=False,
    ).fit(X, y)
    results = search.cv_results_
    ends = clock.seconds(results)
    return results["params"], results["mean_test_score"], np.diff(ends, prepend=0.0)


def chosen_of(seed, size):
    """Draw the numbers of those candidates of the pool that one search has."""
    _, n_pool, n_candidates = size
    return np.random.default_rng(seed).permutation(n_pool)[:n_candidates]


# Parts


def imbalance(*, size, names, n_repeats=50):
    """Seeds with a score that is not finite, in any round: roc_auc, 97/3."""
    kinds = {
        "HalvingRandomSearchCV": partial(
            HalvingRandomSearchCV, n_candidates=27, min_resources="exhaust"
        ),
        "RandomSearch, Halving": partial(RandomSearch, n_iter=27, fidelity=Halving()),
    }
    bad = dict.fromkeys(kinds, 0)
    broken = dict.fromkeys(kinds, 0)
    for seed in range(n_repeats):
        X, y = make_classification(1000, weights=[0.97], random_state=seed)
        for name, kind in kinds.items():
            search = kind(
                LogisticRegression(),
                {"C": np.logspace(-4, 4, 50)},
                scoring="roc_auc",
                cv=5,
                random_state=seed,
                refit=False,
            )
            try:
                search.fit(X, y)
            except ValueError:  # all fits of a round failed
                broken[name] += 1
            else:
                scores = search.cv_results_["mean_test_score"]
                bad[name] += not np.isfinite(scores).all()
    rows = [
        (
            name,
            f"{bad[name]} of {n_repeats}",
            f"{broken[name]} of {n_repeats}",
            *(
                judged(bad[name] + broken[name], Goal(0))
                if name.startswith("Random")
                else NO_GOAL
            ),
        )
        for name in kinds
    ]
    print_table(
        "imbalance: 97/3, 1000 samples, roc_auc, 5 folds, logistic regression",
        ("search", "seeds with NaN", "with an error", "goal", ""),
        rows,
    )


def halving(*, size, names, n_repeats=7):
    """Time and regret with the same candidates, over HalvingGridSearchCV's."""
    n_rows, _, n_candidates = size
    rows, ratios, losses = [], [], []
    for name in names:
        runs = {
            which: partial(halve, which, name, size, iter(range(n_repeats)))
            for which in ("ours", "theirs")
        }
        figures = interleave(runs, n_repeats, n_warm_ups=0)
        ratio = figures["ours"][:, 0] / figures["theirs"][:, 0]
        loss = {which: values[:, 1:].mean(axis=0) for which, values in figures.items()}
        ratios.append(np.median(ratio))
        losses.append((loss["ours"][1], loss["theirs"][1]))
        rows.append(
            (
                name,
                f"{np.median(figures['theirs'][:, 0]):.1f}",
                quartiles(ratio),
                *(f"{loss[which][0]:.4f}, {loss[which][1]:.3f}" for which in loss),
                *judged(ratios[-1], Goal(1.05)),
            )
        )
    ours, theirs = np.mean(losses, axis=0)
    verdict = "no worse" if ours <= theirs else "worse"
    rows.append(
        (
            "median, mean",
            "",
            f"{np.median(ratios):.2f}",
            f"{ours:.3f}",
            f"{theirs:.3f}",
            f"regret {verdict}",
            "",
        )
    )
    print_table(
        f"halving: {n_candidates} candidates, {n_rows} rows, {n_repeats} seeds",
        ("problem", "its CPU s", "CPU ratio", "regret", "its regret", "goal", ""),
        rows,
    )


def halve(which, name, size, seeds):
    """Search with the next seed; give CPU seconds, regret and its share."""
    n_rows, n_pool, _ = size
    pool, scores, _ = table_of(name, n_rows, n_pool)
    estimator, _, scoring, cv, X, y = PROBLEMS[name](n_rows)
    seed = next(seeds)
    numbers = chosen_of(seed, size)
    params = [pool[i] for i in numbers]
    grid = [{key: [value] for key, value in each.items()} for each in params]
    options = {"scoring": scoring, "cv": cv, "refit": False}
    if which == "ours":
        fidelity = Halving(random_state=seed)
        search = GridSearch(estimator, grid, fidelity=fidelity, **options)
    else:
        search = HalvingGridSearchCV(
            estimator,
            grid,
            random_state=seed,
            min_resources="exhaust",
            return_train_score=False,
            **options,
        )
    start = time.process_time()
    search.fit(X, y)
    seconds = time.process_time() - start
    chosen = search.cv_results_["params"][search.best_index_]
    own = scores[numbers]
    regret = own.max() - own[params.index(chosen)]
    return seconds, regret, regret / (own.max() - np.median(own))


def growth(*, size, names, n_repeats=5):
    """Time with fits that go on over time with fits that start anew: trees, stages."""
    n_rows, _, n_candidates = size
    rows = []
    for name in names:
        if name not in GROWING:
            continue
        runs = {
            reuse: partial(grow, name, n_rows, n_candidates, reuse)
            for reuse in ("exact", False)
        }
        figures = interleave(runs, n_repeats, n_warm_ups=0)
        seconds = {reuse: values[:, 0] for reuse, values in figures.items()}
        assert np.array_equal(figures["exact"][:, 1:], figures[False][:, 1:])
        ratio = seconds["exact"] / seconds[False]
        rows.append((name, f"{np.median(seconds[False]):.1f}", quartiles(ratio)))
    print_table(
        f"growth: {n_candidates} candidates, up to 81 trees or stages, {n_rows} rows",
        ("problem", "CPU s anew", "going on / anew"),
        rows,
    )


def grow(name, n_rows, n_candidates, reuse):
    """Search with more trees or stages for the best; give CPU seconds and scores."""
    _, space, scoring, cv, X, y = PROBLEMS[name](n_rows)
    estimator, resource = GROWING[name]
    search = RandomSearch(
        estimator,
        space,
        n_iter=n_candidates,
        random_state=0,
        scoring=scoring,
        cv=cv,
        refit=False,
        reuse=reuse,
        fidelity=Halving(resource, max_resources=81),
    )
    start = time.process_time()
    search.fit(X, y)
    seconds = time.process_time() - start
    return seconds, *search.cv_results_["mean_test_score"]


def target(*, size, names, n_repeats=5):
    """Time until a search with little at first has the score of a random search."""
    n_rows, n_pool, n_candidates = size
    # Where a fit takes a hundredth of a second there is nothing to save.
    n_rows, n_many = (None, N_MANY) if n_rows == N_ROWS else (n_rows, n_candidates)
    kinds = {
        "RandomSearch, Hyperband": partial(RandomSearch, fidelity=Hyperband()),
        "BayesSearch, Hyperband": partial(BayesSearch, fidelity=Hyperband()),
    }
    rows = []
    everything = {kind: [] for kind in kinds}
    for name in names:
        _, scores, seconds = table_of(name, n_rows, n_pool)
        estimator, space, scoring, cv, X, y = PROBLEMS[name](n_rows)
        figures = {kind: [] for kind in kinds}
        curves = {kind: [] for kind in kinds}
        aims, totals = [], []
        for seed in range(n_repeats):
            numbers = chosen_of(seed, size)
            aims.append(scores[numbers].max())
            totals.append(seconds[numbers].sum())
            first = seconds[numbers][: scores[numbers].argmax() + 1].sum()
            for kind, make in kinds.items():
                clock = Clock(scoring)
                search = make(
                    estimator,
                    space,
                    n_iter=n_many,
                    random_state=seed + 1,
                    scoring=clock,
                    cv=cv,
                    refit=False,
                    reuse=False,
                ).fit(X, y)
                results = search.cv_results_
                ends = clock.seconds(results)
                full = results["n_resources"] == results["n_resources"].max()
                best = np.maximum.accumulate(
                    np.where(full, results["mean_test_score"], -np.inf)
                )
                curves[kind].append((ends, best))
                reached = _first(ends, best, aims[-1])
                figures[kind].append(
                    (reached / totals[-1], reached / first, ends[-1] / totals[-1])
                )
        for kind, values in figures.items():
            median = _median_reaches(curves[kind], np.median(aims)) / np.median(totals)
            everything[kind] += [(median, *value) for value in values]
            rows.append((name, *_row(kind, values, f"{median:.2f}")))
    for kind, values in everything.items():
        median, *values = np.array(values).T
        goal = judged(np.median(values[0]), Goal(0.4))
        median = f"{np.median(median):.2f}"
        rows.append(("all", *_row(kind, np.transpose(values), median, goal)))
    print_table(
        f"target: score of {n_candidates} random candidates with everything, {n_many} "
        f"candidates with little at first, {n_rows or 'all'} rows, {n_repeats} seeds",
        (
            "problem",
            "search",
            "reached",
            "of total",
            "of first",
            "all",
            "median",
            "goal",
            "",
        ),
        rows,
    )


def _first(times, best, aim):
    there = best >= aim - HAIR
    return times[there][0] if there.any() else np.inf


def _median_reaches(curves, aim):
    """Tell when the median over searches of the best score so far reaches a score."""
    moments = np.sort(np.concatenate([times for times, _ in curves]))
    at_moments = [
        np.r_[-np.inf, best][np.searchsorted(times, moments, side="right")]
        for times, best in curves
    ]
    return _first(moments, np.median(at_moments, axis=0), aim)


def _row(kind, values, median, goal=NO_GOAL):
    total, first, whole = np.array(values).T
    return (
        kind,
        f"{np.isfinite(total).sum()} of {len(total)}",
        f"{np.median(total):.2f}",
        f"{np.median(first):.2f}",
        f"{np.median(whole):.2f}",
        median,
        *goal,
    )


PARTS = {part.__name__: part for part in (imbalance, halving, growth, target)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Parts: "
        + " ".join(f"{name}: {part.__doc__}" for name, part in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=[*PROBLEMS])
    parser.add_argument(
        "--quick", action="store_true", help="a short run that proves nothing"
    )
    parser.add_argument(
        "--repeats", type=int, metavar="N", help="instead of each part's own number"
    )
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    warnings.simplefilter("ignore")
    print_machine(("scikit-learn", "joblib", "numpy"))
    size = (1500, 12, 9) if options.quick else (N_ROWS, N_POOL, N_CANDIDATES)
    n_repeats = options.repeats or (2 if options.quick else None)
    for name in options.parts or PARTS:
        before = load()
        keywords = {} if n_repeats is None else {"n_repeats": n_repeats}
        PARTS[name](size=size, names=options.only, **keywords)
        print(f"\nload {before} before, {load()} after", flush=True)


if __name__ == "__main__":
    main()
