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
from skhpo.fidelity import Halving

N_ROWS = 10_000
N_CANDIDATES = 27
N_POOL = 54
HAIR = 1e-9
# Standard errors below which a difference does not count, as for racing.
NEARLY = 0.05


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
    """Score as a scorer does, and note this process's CPU time after each score.

    Parameters
    ----------
    scoring : str
        Name of the scorer.
    names : iterable of str
        Of the parameters by which candidates are known.
    """

    def __init__(self, scoring, names):
        self.scorer = get_scorer(scoring)
        self.names = [*names]
        self.seen = {}
        self.start = time.process_time()

    def __call__(self, estimator, X, y):
        score = self.scorer(estimator, X, y)
        key = self._key(estimator.get_params(), len(X))
        self.seen.setdefault(key, []).append(time.process_time() - self.start)
        return score

    def _key(self, params, n_test):
        return *(params[name] for name in self.names), n_test

    def incumbents(self, results):
        """Follow the best score with everything.

        Parameters
        ----------
        results : dict
            ``cv_results_``.

        Returns
        -------
        times, best, error : ndarray of shape (n_full,)
            CPU time from the start to the end of each candidate with everything, the
            best mean score so far, and the standard error of that over the splits.
        """
        n_all = np.ones(len(results["params"]))
        full = results.get("n_resources", n_all)
        n_test = max(key[-1] for key in self.seen)
        n_splits = sum(name.endswith("_test_score") for name in results) - 3
        found = []
        for i in np.flatnonzero(full == full.max()):
            keys = [self._key(results["params"][i], n) for n in (n_test, n_test - 1)]
            ends = [end for key in keys for end in self.seen.get(key, [])]
            error = results["std_test_score"][i] / np.sqrt(n_splits)
            found.append((max(ends), results["mean_test_score"][i], error))
        found.sort()
        best = [max(range(i + 1), key=lambda j: found[j][1]) for i in range(len(found))]
        times, *_ = np.array(found).T
        return times, *np.array([found[i][1:] for i in best]).T


@cache
def table_of(name, n_rows, n_pool):
    """Score a pool of candidates on all data.

    Returns
    -------
    pool : list of dict
        Candidates.
    scores : ndarray of shape (n_pool,)
        Their mean scores.
    """
    estimator, space, scoring, cv, X, y = PROBLEMS[name](n_rows)
    search = RandomSearch(
        estimator,
        space,
        n_iter=n_pool,
        random_state=0,
        scoring=scoring,
        cv=cv,
        refit=False,
    ).fit(X, y)
    results = search.cv_results_
    return results["params"], results["mean_test_score"]


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
    pool, scores = table_of(name, n_rows, n_pool)
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
    n_rows, _, n_candidates = size
    # Where a fit takes a hundredth of a second there is nothing to save.
    n_rows = None if n_rows == N_ROWS else n_rows
    rows, everything = [], {kind: [] for kind in KINDS}
    for name in names:
        curves = {kind: [] for kind in KINDS}
        for seed in range(n_repeats):
            for kind in KINDS:
                curves[kind].append(follow(kind, name, n_rows, n_candidates, seed))
        for kind in KINDS:
            figures = [*map(_compare, curves[kind], curves["RandomSearch"])]
            everything[kind] += figures
            rows.append((name, *_row(kind, figures)))
    for kind, figures in everything.items():
        goal = NO_GOAL
        if "Hyperband" in kind:
            goal = judged(np.median([figure[1] for figure in figures]), Goal(0.4))
        rows.append(("all", *_row(kind, figures, goal)))
    print_table(
        f"target: the score of a random search; {n_candidates} candidates for all, "
        f"{n_rows or 'all'} rows, {n_repeats} seeds",
        ("problem", "search", "same", "time", "nearly", "time", "all", "goal", ""),
        rows,
    )


KINDS = {
    "RandomSearch": RandomSearch,
    "BayesSearch": BayesSearch,
    "RandomSearch, Hyperband": partial(RandomSearch, fidelity="hyperband"),
    "RandomSearch, halving": partial(RandomSearch, fidelity="halving"),
    "BayesSearch, Hyperband": partial(BayesSearch, fidelity="hyperband"),
    "BayesSearch, halving": partial(BayesSearch, fidelity="halving"),
}


def follow(kind, name, n_rows, n_candidates, seed):
    """Search; give CPU seconds in all, and the best scores by time."""
    estimator, space, scoring, cv, X, y = PROBLEMS[name](n_rows)
    clock = Clock(scoring, space)
    search = KINDS[kind](
        estimator,
        space,
        n_iter=n_candidates,
        random_state=seed,
        scoring=clock,
        cv=cv,
        refit=False,
    ).fit(X, y)
    seconds = time.process_time() - clock.start
    return seconds, clock.incumbents(search.cv_results_)


def _compare(ours, theirs):
    """Give the times to their last score, and to nearly that, and in all; over theirs.

    Nearly is by less than `NEARLY` standard errors of theirs.
    """
    total, (_, scores, errors) = theirs
    seconds, (times, best, _) = ours
    reached = [
        np.min(times[best >= scores[-1] - less], initial=np.inf)
        for less in (HAIR, NEARLY * errors[-1])
    ]
    return *(moment / total for moment in reached), seconds / total


def _row(kind, figures, goal=NO_GOAL):
    same, nearly, whole = np.array(figures).T
    return (
        kind,
        f"{np.isfinite(same).sum()} of {len(same)}",
        f"{np.median(same):.2f}",
        f"{np.isfinite(nearly).sum()}",
        f"{np.median(nearly):.2f}",
        f"{np.median(whole):.2f}",
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
