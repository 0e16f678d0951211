"""HypergradSearch beside grids, random and Bayesian searches, and built-in paths.

    python benchmarks/hypergrad.py [--quick] [--problems NAME ...] [part ...]

README.md in this folder says what each part measures and how to read it.
"""

import argparse
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

# Before NumPy is imported: several BLAS threads would measure the other core's load.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ.update(MKL_NUM_THREADS="1")

import numpy as np
import pandas as pd
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
from _peers import OptunaGP, OptunaTPE, in_words
from _problems import read, sample, scaled
from sklearn.base import clone, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_classification,
    make_regression,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import (
    Lasso,
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
)
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from skhpo import BayesSearch, BlockScaler, HypergradSearch, Real

RESULTS = Path(__file__).parent / "results" / "hypergrad"
N_SPLITS = 5
N_CANDIDATES = 25
N_VALUES = 30  # of a grid or built-in path over the whole range
STARTS = (1.0, 1e-3, 1e3, 30.0)
ONE_THOUSANDTH, TWO_THOUSANDTHS = Goal(1e-3), Goal(2e-3)


@dataclass(frozen=True)
class Problem:
    """What to tune on what.

    Parameters
    ----------
    estimator : estimator
        What is tuned.
    space : dict of str to Real
        Ranges, all logarithmic.
    scoring : str or callable
        What every tool maximises.
    X, y : array-like
        The data.
    starts : list of dict
        Own parameters of the estimator that HypergradSearch begins at.
    n_values : tuple of int
        Points of the grid along each parameter.
    built_in : callable, default=None
        ``built_in(problem, cv)`` gives scikit-learn's own search for this model.
    cacheable : bool, default=False
        Whether there are steps in front of the model that no candidate changes, or a
        curve in closed form.
    """

    estimator: object
    space: dict
    scoring: str | Callable
    X: object
    y: object
    starts: list
    n_values: tuple
    built_in: Callable | None = None
    cacheable: bool = False

    @property
    def cv(self):
        """Give the splits, the same for every tool."""
        kind = StratifiedKFold if is_classifier(self.estimator) else KFold
        splitter = kind(N_SPLITS, shuffle=True, random_state=0)
        return list(splitter.split(self.X, self.y))


def linear(model, X, y, *, steps=(), low=1e-4, high=1e4, closed=False):
    """Make a problem with one penalty, behind some steps."""
    key = "C" if isinstance(model, LogisticRegression) else "alpha"
    estimator = make_pipeline(*steps, model) if steps else model
    name = f"{estimator.steps[-1][0]}__{key}" if steps else key
    return Problem(
        estimator=estimator,
        space={name: Real(low, high, log=True)},
        scoring="neg_log_loss" if key == "C" else "neg_mean_squared_error",
        X=X,
        y=y,
        starts=[{name: value} for value in STARTS],
        n_values=(N_VALUES,),
        built_in=BUILT_IN[type(model)],
        cacheable=bool(steps) or closed,
    )


def built_in_logistic(problem, cv, values):
    return LogisticRegressionCV(
        Cs=values,
        cv=cv,
        scoring=problem.scoring,
        max_iter=1000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )


def built_in_ridge(problem, cv, values):
    return RidgeCV(alphas=values)


def built_in_lasso(problem, cv, values):
    return LassoCV(cv=cv)


BUILT_IN = {
    LogisticRegression: built_in_logistic,
    Ridge: built_in_ridge,
    Lasso: built_in_lasso,
}
N_BUILT_IN_FITS = {
    LogisticRegression: N_VALUES * N_SPLITS + 1,
    Ridge: 1,  # a decomposition gives all leave-one-out errors
    Lasso: 100 * N_SPLITS + 1,
}


def logistic():
    return LogisticRegression(max_iter=1000)


def breast_cancer_logistic():
    X, y = load_breast_cancer(return_X_y=True)
    return linear(logistic(), X, y, steps=[StandardScaler()])


def digits_logistic():
    X, y = sample(*load_digits(return_X_y=True), 1000)
    return linear(logistic(), X, y, steps=[StandardScaler()])


def classification_logistic():
    X, y = make_classification(5000, 200, n_informative=30, flip_y=0.1, random_state=0)
    return linear(logistic(), X, y)


def sms_logistic():
    X, y = read("sms_spam", "label", 1200)
    X = X.iloc[:, 0].to_numpy(str)
    return linear(logistic(), X, y, steps=[TfidfVectorizer()])


def phoneme_logistic():
    X, y = read("phoneme", "cls", 1500)
    return linear(logistic(), X.to_numpy(float), y, steps=polynomial(3))


def german_logistic():
    X, y = read("german_credit", "bad")
    numeric = np.array([pd.api.types.is_numeric_dtype(kind) for kind in X.dtypes])
    columns = make_column_transformer(
        (StandardScaler(), numeric),
        (OneHotEncoder(handle_unknown="ignore"), ~numeric),
    )
    return linear(logistic(), X, y, steps=[columns])


def polynomial(degree):
    return [PolynomialFeatures(degree, include_bias=False), StandardScaler()]


def diabetes_ridge():
    X, y = load_diabetes(return_X_y=True)
    return linear(Ridge(), X, y, steps=polynomial(2))


def diabetes_lasso():
    X, y = load_diabetes(return_X_y=True)
    return linear(Lasso(), X, y, steps=polynomial(2), low=1e-3, high=1e3)


def regression_ridge():
    X, y = regression()
    return linear(Ridge(), X, y, closed=True)


def regression_lasso():
    X, y = regression()
    return linear(Lasso(), X, y, low=1e-3, high=1e3)


def regression():
    X, y = make_regression(
        5000, 200, n_informative=50, effective_rank=60, noise=3.0, random_state=0
    )
    return StandardScaler().fit_transform(X), y


def concrete_nystroem():
    """Two parameters, one of them of a step in front of the model."""
    X, y = read("concrete", "compressive_strength")
    estimator = Pipeline(
        [
            ("scale", StandardScaler()),
            ("map", Nystroem(n_components=100, random_state=0)),
            ("ridge", Ridge()),
        ]
    )
    names = "ridge__alpha", "map__gamma"
    starts = [(1.0, 0.1), (1e-3, 1e-3), (1e3, 1.0), (30.0, 0.01)]
    return Problem(
        estimator=estimator,
        space={
            names[0]: Real(1e-4, 1e4, log=True),
            names[1]: Real(1e-4, 10.0, log=True),
        },
        scoring="neg_mean_squared_error",
        X=X.to_numpy(float),
        y=y,
        starts=[dict(zip(names, start, strict=True)) for start in starts],
        n_values=(6, 5),
        cacheable=True,
    )


def breast_cancer_svc():
    X, y = load_breast_cancer(return_X_y=True)
    names = "svc__C", "svc__gamma"
    starts = [(1.0, 0.1), (1e-2, 1e-4), (1e3, 1e-3), (30.0, 1.0)]
    return Problem(
        estimator=scaled("svc", SVC()),
        space={
            names[0]: Real(1e-3, 1e4, log=True),
            names[1]: Real(1e-5, 10.0, log=True),
        },
        scoring="accuracy",
        X=X,
        y=y,
        starts=[dict(zip(names, start, strict=True)) for start in starts],
        n_values=(10, 10),
        cacheable=True,
    )


def breast_cancer_svc_by_loss():
    return replace(breast_cancer_svc(), scoring=calibrated_log_loss)


def calibrated_log_loss(estimator, X, y):
    """Score an estimator by its decision values."""
    return -calibrated(estimator.decision_function(X), y)


def calibrated(values, y):
    """Give the log-loss of decision values after Platt scaling of all together."""
    values = values.reshape(-1, 1)
    platt = LogisticRegression(C=1e6, tol=1e-8).fit(values, y)
    return log_loss(y, platt.predict_proba(values))


PROBLEMS = {
    "breast_cancer logistic": breast_cancer_logistic,
    "digits logistic": digits_logistic,
    "sms logistic": sms_logistic,
    "phoneme logistic": phoneme_logistic,
    "german_credit logistic": german_logistic,
    "5000x200 logistic": classification_logistic,
    "diabetes ridge": diabetes_ridge,
    "5000x200 ridge": regression_ridge,
    "diabetes lasso": diabetes_lasso,
    "5000x200 lasso": regression_lasso,
    "concrete Nystroem ridge": concrete_nystroem,
    "breast_cancer SVC": breast_cancer_svc,
    "breast_cancer SVC log-loss": breast_cancer_svc_by_loss,
}


# Tools: function(problem, seed) -> number of fits, best parameters. Each ends with
# a fit of the best on all data.


def grid_search(problem, seed):
    grid = {
        name: np.geomspace(real.low, real.high, n)
        for (name, real), n in zip(problem.space.items(), problem.n_values, strict=True)
    }
    search = GridSearchCV(
        problem.estimator, grid, scoring=problem.scoring, cv=problem.cv
    ).fit(problem.X, problem.y)
    return fits_of(search), search.best_params_


def random_search(problem, seed):
    search = RandomizedSearchCV(
        problem.estimator,
        problem.space,
        n_iter=N_CANDIDATES,
        scoring=problem.scoring,
        cv=problem.cv,
        random_state=seed,
    ).fit(problem.X, problem.y)
    return fits_of(search), search.best_params_


def fits_of(search):
    return len(search.cv_results_["params"]) * N_SPLITS + 1


def bayes_search(problem, seed):
    search = BayesSearch(
        problem.estimator,
        problem.space,
        n_iter=N_CANDIDATES,
        max_pending=1,
        scoring=problem.scoring,
        cv=problem.cv,
        random_state=seed,
    ).fit(problem.X, problem.y)
    return search.n_fits_ + 1, search.best_params_


def optuna_search(asker, problem, seed):
    """Run the loop that a user writes around ``cross_val_score``."""
    asker = asker(in_words(problem.space), N_CANDIDATES, seed)
    cv, best = problem.cv, (-np.inf, None)
    for _ in range(N_CANDIDATES):
        handle, params = asker.ask()
        estimator = clone(problem.estimator).set_params(**params)
        score = cross_val_score(
            estimator, problem.X, problem.y, scoring=problem.scoring, cv=cv
        ).mean()
        asker.tell(handle, score)
        best = max(best, (score, params), key=lambda pair: pair[0])
    clone(problem.estimator).set_params(**best[1]).fit(problem.X, problem.y)
    return N_CANDIDATES * N_SPLITS + 1, best[1]


def built_in_search(problem, seed):
    """Run scikit-learn's search in the place of the model."""
    ((name, real),) = problem.space.items()
    values = np.geomspace(real.low, real.high, N_VALUES)
    *steps, model = steps_of(problem.estimator)
    search = problem.built_in(problem, problem.cv, values)
    make_pipeline(*map(clone, steps), search).fit(problem.X, problem.y)
    found = search.C_ if isinstance(model, LogisticRegression) else search.alpha_
    return N_BUILT_IN_FITS[type(model)], {name: float(np.ravel(found)[0])}


def steps_of(estimator):
    if isinstance(estimator, Pipeline):
        return [step for _, step in estimator.steps]
    return [estimator]


def hypergrad_search(problem, seed, *, start):
    search = HypergradSearch(
        clone(problem.estimator).set_params(**start),
        problem.space,
        scoring=problem.scoring,
        smooth_scoring="neg_log_loss" if callable(problem.scoring) else None,
        cv=problem.cv,
        random_state=seed,
    ).fit(problem.X, problem.y)
    return search.n_fits_ + 1, search.best_params_


RIVALS = {
    "GridSearchCV": grid_search,
    "RandomizedSearchCV": random_search,
    "built-in": built_in_search,
    "Optuna TPE": partial(optuna_search, OptunaTPE),
    "Optuna GP": partial(optuna_search, OptunaGP),
    "BayesSearch": bayes_search,
}


# What judges all of them


class Judge:
    """Gives the CV loss of parameters by tight fits; remembers what it has done.

    Parameters
    ----------
    problem : Problem
        Where the winners come from.
    """

    def __init__(self, problem):
        self.problem = problem
        self.seen = {}
        last = steps_of(problem.estimator)[-1]
        prefix = ""
        if isinstance(problem.estimator, Pipeline):
            prefix = problem.estimator.steps[-1][0] + "__"
        max_iter = -1 if isinstance(last, SVC) else 1_000_000
        self.estimator = clone(problem.estimator).set_params(
            **{prefix + "tol": 1e-8, prefix + "max_iter": max_iter}
        )

    def __call__(self, params):
        """Give loss and accuracy; the latter only where it is the score."""
        key = tuple(float(params[name]) for name in self.problem.space)
        if key not in self.seen:
            self.seen[key] = self._evaluate(params)
        return self.seen[key]

    def _evaluate(self, params):
        problem = self.problem
        estimator = clone(self.estimator).set_params(**params)
        if problem.scoring != "accuracy":
            scores = cross_val_score(
                estimator, problem.X, problem.y, scoring=problem.scoring, cv=problem.cv
            )
            return -scores.mean(), np.nan
        values = cross_val_predict(
            estimator, problem.X, problem.y, cv=problem.cv, method="decision_function"
        )
        return calibrated(values, problem.y), np.mean((values > 0) == problem.y)


def measured(problem, judge, tool):
    """Make a function that runs `tool` and returns its figures, a new seed each time.

    The figures are CPU seconds, number of fits, and loss and accuracy of the winner;
    all nan if the tool fails.
    """
    seeds = count()

    def run():
        start = time.process_time()
        try:
            n_fits, params = tool(problem, next(seeds))
        except Exception:
            traceback.print_exc()
            return (np.nan,) * 4
        seconds = time.process_time() - start
        return seconds, n_fits, *judge(params)

    return run


def smaller(problem):
    """Take the first rows only, two starts and few candidates."""
    X, y = sample(problem.X, problem.y, 200)
    return replace(problem, X=X, y=y, starts=problem.starts[:2])


def compare(problem, n_repeats):
    """Run all tools on a problem, side by side."""
    judge = Judge(problem)
    rivals = {
        name: tool
        for name, tool in RIVALS.items()
        if name != "built-in" or problem.built_in
    }
    ours = {
        f"start {i}": partial(hypergrad_search, start=start)
        for i, start in enumerate(problem.starts)
    }
    runs = {
        name: measured(problem, judge, tool)
        for name, tool in {**ours, **rivals}.items()
    }
    figures = interleave(runs, n_repeats, n_warm_ups=0)
    return {name: figures[name] for name in rivals}, [figures[name] for name in ours]


def warm_up():
    """Let everybody import what it imports."""
    problem = smaller(breast_cancer_logistic())
    for name, tool in RIVALS.items():
        if name != "GridSearchCV":
            tool(problem, 0)
    hypergrad_search(problem, 0, start=problem.starts[0])


def searches(*, quick, n_repeats=3, problems=(), report=False):
    """CPU time, fits and quality of searches of one or two parameters."""
    if not report:
        warm_up()
    results = {}
    for name in problems or PROBLEMS:
        problem = PROBLEMS[name]()
        if quick:
            problem = smaller(problem)
        file = RESULTS / f"{name.replace(' ', '-')}.json"
        if not report:
            start = time.perf_counter()
            rivals, ours = compare(problem, n_repeats)
            print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
            if not quick:
                RESULTS.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps([rivals, ours], default=np.ndarray.tolist))
        elif file.exists():
            rivals, ours = json.loads(file.read_text())
            rivals = {rival: np.array(figures) for rival, figures in rivals.items()}
            ours = [np.array(figures) for figures in ours]
            n_repeats = len(ours[0])
        else:
            continue
        results[name] = problem, rivals, ours
    ratios = print_times(results, n_repeats)
    print_fits(results)
    gaps = print_gaps(results)
    print_accuracies(results)
    print_goals(results, ratios, gaps)


def print_times(results, n_repeats):
    """Print time ratios; give them by problem and rival, one for each start."""
    rows, ratios = [], {}
    for name, (_, rivals, ours) in results.items():
        ratios[name] = {
            rival: [np.median(figures[:, 0] / own[:, 0]) for own in ours]
            for rival, figures in rivals.items()
        }
        seconds = np.median([own[:, 0] for own in ours])
        cells = [
            spread(ratios[name][rival], 1) if rival in ratios[name] else ""
            for rival in RIVALS
        ]
        least = min(ratios[name]["GridSearchCV"])
        rows.append(
            (name, f"{seconds:.2f}", *cells, *judged(least, Goal(3, at_least=True)))
        )
    everywhere = [
        f"{geometric_mean(all_of(ratios, rival)):.1f}" if all_of(ratios, rival) else ""
        for rival in RIVALS
    ]
    rows.append(("geometric mean", "", *everywhere, *NO_GOAL))
    print_table(
        f"searches: CPU time over HypergradSearch's, {n_repeats} repeats, median of "
        "the starts [least, most]",
        ("problem", "ours, s", *RIVALS, "least of the grid", ""),
        rows,
    )
    return ratios


def print_fits(results):
    rows = [
        (
            name,
            spread([np.median(own[:, 1]) for own in ours], 0),
            *(
                f"{np.median(rivals[rival][:, 1]):.0f}" if rival in rivals else ""
                for rival in RIVALS
            ),
        )
        for name, (_, rivals, ours) in results.items()
    ]
    print_table(
        "searches: number of fits, the last on all data included",
        ("problem", "HypergradSearch", *RIVALS),
        rows,
    )


def print_gaps(results):
    """Print how far losses are above the best; give ours, one for each start."""
    rows, gaps = [], {}
    for name, (problem, rivals, ours) in results.items():
        everything = [*rivals.values(), *ours]
        best = np.nanmin([figures[:, 2] for figures in everything])
        gaps[name] = [np.median(own[:, 2]) / best - 1 for own in ours]
        cells = [
            f"{100 * (np.median(rivals[rival][:, 2]) / best - 1):.3f}"
            if rival in rivals
            else ""
            for rival in RIVALS
        ]
        goal = ONE_THOUSANDTH if len(problem.space) == 1 else TWO_THOUSANDTHS
        rows.append(
            (
                name,
                f"{best:.6g}",
                spread(100 * np.array(gaps[name]), 3),
                *cells,
                f"<= {100 * goal.limit:g}",
                goal.judge(max(gaps[name])),
            )
        )
    print_table(
        "searches: CV loss of the winner above the best of all, in %, by tight fits; "
        "median of the starts [least, most]",
        ("problem", "best loss", "HypergradSearch", *RIVALS, "every start", ""),
        rows,
    )
    return gaps


def print_accuracies(results):
    rows = []
    for name, (problem, rivals, ours) in results.items():
        if problem.scoring != "accuracy":
            continue
        cells = [
            f"{np.median(rivals[r][:, 3]):.4f}" if r in rivals else "" for r in RIVALS
        ]
        rows.append((name, spread([np.median(own[:, 3]) for own in ours], 4), *cells))
    if rows:
        print_table(
            "searches: accuracy of the winner, by tight fits",
            ("problem", "HypergradSearch", *RIVALS),
            rows,
        )


def print_goals(results, ratios, gaps):
    goals = {
        name: ONE_THOUSANDTH if len(problem.space) == 1 else TWO_THOUSANDTHS
        for name, (problem, *_) in results.items()
    }

    def names(model=object, *, cacheable=False):
        return [
            name
            for name, (problem, *_) in results.items()
            if isinstance(steps_of(problem.estimator)[-1], model)
            and (problem.cacheable or not cacheable)
        ]

    rows = []
    for what, goal in [
        ("one parameter", ONE_THOUSANDTH),
        ("two parameters", TWO_THOUSANDTHS),
    ]:
        by_start = [
            gap for name in results if goals[name] == goal for gap in gaps[name]
        ]
        if by_start:
            n_kept = sum(gap <= goal.limit for gap in by_start)
            rows.append(
                (
                    f"worst gap, {what}, %",
                    f"{100 * max(by_start):.3f}",
                    f"{n_kept} of {len(by_start)} starts",
                    "",
                    f"<= {100 * goal.limit:g}",
                    goal.judge(max(by_start)),
                )
            )
    for what, chosen, rival, limit in [
        ("GridSearchCV", names(), "GridSearchCV", 8),
        ("GridSearchCV, cacheable", names(cacheable=True), "GridSearchCV", 10),
        ("LogisticRegressionCV", names(LogisticRegression), "built-in", 1),
        ("LassoCV", names(Lasso), "built-in", 1),
        ("Optuna GP", names(), "Optuna GP", 8),
    ]:
        pairs = [
            (ratio, gap <= goals[name].limit)
            for name in chosen
            for ratio, gap in zip(ratios[name].get(rival, ()), gaps[name], strict=False)
        ]
        kept = [ratio for ratio, is_kept in pairs if is_kept]
        if kept:
            # What stops at a bad place is fast, and proves nothing.
            figure = geometric_mean(kept)
            rows.append(
                (
                    f"time of {what}",
                    f"{figure:.1f}",
                    f"least {min(kept):.1f}",
                    f"{geometric_mean([ratio for ratio, _ in pairs]):.1f}",
                    *judged(figure, Goal(limit, at_least=True)),
                )
            )
    print_table(
        "searches: goals; geometric means over problems and those starts that keep "
        "the goal of the gap",
        ("what", "figure", "", "all starts", "goal", ""),
        rows,
    )


def spread(values, digits):
    """Write median, least and most: ``8.1 [5.2, 9.0]``."""
    middle, low, high = np.median(values), np.min(values), np.max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def all_of(ratios, rival):
    return [r for by_rival in ratios.values() for r in by_rival.get(rival, ())]


def geometric_mean(values):
    return np.exp(np.mean(np.log(values)))


def groups(*, quick, n_repeats=5, **unused):
    """One penalty for each degree of a polynomial against a single one."""
    X, y = load_diabetes(return_X_y=True)
    degree = 2 if quick else 3
    powers = PolynomialFeatures(degree, include_bias=False).fit(X).powers_.sum(axis=1)
    blocks = {f"degree{d}": np.flatnonzero(powers == d) for d in np.unique(powers)}
    scaler = BlockScaler(blocks, scales=dict.fromkeys(blocks, 1.0))
    names = ("powers", "scale", "blocks", "ridge")
    steps = [*polynomial(degree), scaler, Ridge()]
    estimator = Pipeline(list(zip(names, steps, strict=True)))
    spaces = {
        "single": {"ridge__alpha": Real(1e-4, 1e6, log=True)},
        # A scale s is a penalty 1 / s^2: the same range.
        "groups": {f"blocks__{name}": Real(1e-3, 1e2, log=True) for name in blocks},
    }
    figures = {name: [] for name in spaces}
    for seed in range(n_repeats):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.3, random_state=seed
        )
        for name, space in spaces.items():
            start = time.process_time()
            search = HypergradSearch(
                estimator,
                space,
                scoring="neg_mean_squared_error",
                cv=KFold(N_SPLITS, shuffle=True, random_state=0),
            ).fit(X_train, y_train)
            seconds = time.process_time() - start
            error = mean_squared_error(y_test, search.predict(X_test))
            figures[name].append(
                (error, -search.best_score_, search.n_fits_ + 1, seconds)
            )
    figures = {name: np.array(values) for name, values in figures.items()}
    ratio = figures["groups"] / figures["single"]
    rows = [
        (
            what,
            *(f"{values[:, i].mean():.{digits}f}" for values in figures.values()),
            quartiles(ratio[:, i], 3),
            f"{values_ratio(figures, i):.3f}",
            *(judged(values_ratio(figures, i), Goal(0.95)) if i == 0 else NO_GOAL),
        )
        for i, (what, digits) in enumerate(
            [("outer test MSE", 0), ("CV MSE", 0), ("fits", 0), ("CPU seconds", 2)]
        )
    ]
    print_table(
        f"groups: {len(blocks)} penalties over {len(powers)} columns of diabetes, "
        f"{n_repeats} outer splits",
        (
            "what",
            "single, mean",
            "groups, mean",
            "median ratio",
            "ratio of means",
            "goal",
            "",
        ),
        rows,
    )


def values_ratio(figures, i):
    return figures["groups"][:, i].mean() / figures["single"][:, i].mean()


def many_regression(seed, n, p, n_informative, noise):
    X, y = make_regression(
        n, p, n_informative=n_informative, noise=noise, random_state=seed
    )
    return Ridge(), X, y


def many_classification(seed):
    X, y = make_classification(
        1000,
        100,
        n_informative=10,
        n_redundant=10,
        class_sep=0.5,
        flip_y=0.1,
        random_state=seed,
    )
    return LogisticRegression(max_iter=10_000), X, y


def many_diabetes(seed):
    X, y = load_diabetes(return_X_y=True)
    return Ridge(), PolynomialFeatures(2, include_bias=False).fit_transform(X), y


def many_digits(seed):
    X, y = load_digits(return_X_y=True)
    both = np.isin(y, (3, 8))
    return LogisticRegression(max_iter=10_000), X[both], y[both] == 8


# Model, features and target by seed.
MANY = {
    "breast_cancer logistic, 30": lambda seed: (
        LogisticRegression(max_iter=10_000),
        *load_breast_cancer(return_X_y=True),
    ),
    "diabetes degree 2 ridge, 65": many_diabetes,
    "regression, 20 of 200 matter": lambda seed: many_regression(
        seed, 1000, 200, 20, 50
    ),
    "regression, all of 60 matter": lambda seed: many_regression(
        seed, 600, 60, 60, 300
    ),
    "classification, 20 of 100 matter": many_classification,
    "digits 3 and 8 logistic, 64": many_digits,
    "wine, one class, 13": lambda seed: (
        LogisticRegression(max_iter=10_000),
        load_wine().data,
        load_wine().target == 1,
    ),
}
# Others than those that the rule of the choice was looked at with.
FIRST_SEED = 10
SHRINKAGE = {"single": np.inf, "none": 0, "automatic": "auto"}


def scales(*, quick, n_repeats=6, problems=(), **unused):
    """One penalty for each feature: single, none shrunk, automatic shrinkage."""
    table, cost = [], []
    for name in list(MANY)[: 1 if quick else None]:
        figures = {way: [] for way in SHRINKAGE}
        chosen = []
        for seed in range(FIRST_SEED, FIRST_SEED + n_repeats):
            for way, strength in SHRINKAGE.items():
                found, search = scales_searched(name, seed, strength, quick)
                figures[way].append(found)
                if way == "automatic":
                    chosen.append(f"{search.shrinkage_:g}")
        figures = {way: np.array(values) for way, values in figures.items()}
        test, cv, judged_cv, n_rows, seconds = (
            {way: values[:, i] for way, values in figures.items()} for i in range(5)
        )
        ratios = [test[way] / test["single"] for way in ("none", "automatic")]
        table.append(
            (
                name,
                f"{np.median(test['single']):.4g}",
                *(spread(ratio, 3) for ratio in ratios),
                " ".join(chosen),
                *judged(ratios[1].max(), Goal(1.02)),
                spread(cv["none"] / test["none"], 2),
                spread(cv["automatic"] / test["automatic"], 2),
                spread(judged_cv["automatic"] / test["automatic"], 2),
            )
        )
        cost.append(
            (
                name,
                *(f"{np.median(n_rows[way]):.0f}" for way in SHRINKAGE),
                *(f"{np.median(seconds[way]):.1f}" for way in SHRINKAGE),
            )
        )
        print(name, "done", flush=True)
    print_table(
        f"scales: outer test loss over that of the single penalty, {n_repeats} seeds, "
        "and CV loss over test loss",
        (
            "problem, scales",
            "single, loss",
            "none",
            "automatic",
            "strengths",
            "worst automatic",
            "",
            "CV/test, none",
            "CV/test, automatic",
            "(CV + optimism)/test",
        ),
        table,
    )
    ways = list(SHRINKAGE)
    print_table(
        "scales: candidates and CPU seconds, medians",
        ("problem", *(f"rows, {w}" for w in ways), *(f"s, {w}" for w in ways)),
        cost,
    )


def scales_searched(name, seed, shrinkage, quick):
    """Search on 70 % of the data; give the figures, and the search."""
    model, X, y = MANY[name](seed)
    classifier = is_classifier(model)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=seed, stratify=y if classifier else None
    )
    kind = StratifiedKFold if classifier else KFold
    space = {f"blockscaler__x{j}": Real(1e-3, 1e2, log=True) for j in range(X.shape[1])}
    start = time.process_time()
    search = HypergradSearch(
        make_pipeline(StandardScaler(), BlockScaler("each"), model),
        space,
        n_iter=20 if quick else 300,
        shrinkage=shrinkage,
        scoring="neg_log_loss" if classifier else "neg_mean_squared_error",
        cv=kind(N_SPLITS, shuffle=True, random_state=0),
    ).fit(X_train, y_train)
    seconds = time.process_time() - start
    cv, test = -search.best_score_, -search.score(X_test, y_test)
    optimism = getattr(search, "optimism_", np.nan)
    return (test, cv, cv + optimism, search.n_candidates_, seconds), search


PARTS = {part.__name__: part for part in (searches, groups, scales)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Parts: "
        + " ".join(f"{name}: {part.__doc__}" for name, part in PARTS.items()),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short run that proves nothing"
    )
    parser.add_argument(
        "--repeats", type=int, metavar="N", help="instead of each part's own number"
    )
    parser.add_argument(
        "--problems",
        nargs="+",
        metavar="NAME",
        choices=list(PROBLEMS),
        help=f"of {', '.join(PROBLEMS)}; for searches; default: all",
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="the tables of searches that have been run, problem by problem",
    )
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")

    warnings.simplefilter("ignore")  # solvers that stop early, at the ends of ranges
    print_machine(("scikit-learn", "optuna", "numpy"))
    n_repeats = options.repeats or (1 if options.quick else None)
    for name in options.parts or (("searches",) if options.report else PARTS):
        before = load()
        keywords = {} if n_repeats is None else {"n_repeats": n_repeats}
        keywords.update(problems=options.problems, report=options.report)
        PARTS[name](quick=options.quick, **keywords)
        print(f"\nload {before} before, {load()} after", flush=True)


if __name__ == "__main__":
    main()
