"""Compare shared fits with separate ones, family by family.

For each grid, every candidate is fitted and scored on two splits: with a fit of its
own, and in groups that share fits, in turns. Both do the cloning, the setting of
parameters and the scoring themselves, so that the ratio is that of the computation and
not of a search around it. Scores have to be equal. CPU time of the process.

    python benchmarks/reuse.py [name ...]
"""

import statistics
import sys
import time
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_classification,
)
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import KFold, ParameterGrid, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skhpo.reuse import fitted, group_key

N_ROUNDS = 5
N_SPLITS = 2


def digits(n=1000):
    X, y = load_digits(return_X_y=True)
    return X[:n], y[:n]


def cancer():
    return load_breast_cancer(return_X_y=True)


def diabetes():
    return load_diabetes(return_X_y=True)


def made(n=4000, p=20):
    return make_classification(n, p, n_informative=8, random_state=0)


STEPS = [10, 20, 30, 40, 50]
ALPHAS = [0.0, *np.geomspace(1e-4, 0.1, 19)]
NEIGHBOURS = {"n_neighbors": range(1, 40, 2), "weights": ["uniform", "distance"]}
SEED = {"random_state": 0}
GRIDS = {
    "gradient boosting": (
        GradientBoostingClassifier(**SEED),
        {"n_estimators": STEPS, "max_depth": [1, 3]},
        cancer,
    ),
    "gradient boosting, regression": (
        GradientBoostingRegressor(**SEED),
        {"n_estimators": STEPS, "learning_rate": [0.05, 0.1]},
        diabetes,
    ),
    "histogram boosting": (
        HistGradientBoostingClassifier(),
        {"max_iter": STEPS, "learning_rate": [0.05, 0.1]},
        made,
    ),
    "histogram boosting, regression": (
        HistGradientBoostingRegressor(),
        {"max_iter": STEPS, "learning_rate": [0.05, 0.1]},
        diabetes,
    ),
    "random forest": (
        RandomForestClassifier(**SEED),
        {"n_estimators": STEPS, "max_features": ["sqrt", 0.3]},
        digits,
    ),
    "random forest, pruned": (
        RandomForestRegressor(**SEED),
        {"n_estimators": [10, 20, 40], "ccp_alpha": [0.0, 10.0, 100.0]},
        diabetes,
    ),
    "extra trees": (
        ExtraTreesClassifier(**SEED),
        {"n_estimators": STEPS, "min_samples_leaf": [1, 3]},
        digits,
    ),
    "bagging": (
        BaggingClassifier(**SEED),
        {"n_estimators": [5, 10, 15, 20], "max_samples": [0.5, 1.0]},
        cancer,
    ),
    "AdaBoost": (
        AdaBoostClassifier(**SEED),
        {"n_estimators": STEPS, "learning_rate": [0.5, 1.0]},
        cancer,
    ),
    "AdaBoost, regression": (
        AdaBoostRegressor(**SEED),
        {"n_estimators": STEPS, "learning_rate": [0.5, 1.0]},
        diabetes,
    ),
    "tree, pruned": (DecisionTreeClassifier(**SEED), {"ccp_alpha": ALPHAS}, digits),
    "tree, pruned, regression": (
        DecisionTreeRegressor(**SEED),
        {"ccp_alpha": ALPHAS},
        diabetes,
    ),
    "neighbours": (KNeighborsClassifier(), NEIGHBOURS, lambda: made(2000, 10)),
    "neighbours, regression": (KNeighborsRegressor(), NEIGHBOURS, diabetes),
    "neighbours without a tree": (KNeighborsClassifier(), NEIGHBOURS, made),
    "the same, regression": (KNeighborsRegressor(), NEIGHBOURS, made),
    "the same, tied": (KNeighborsClassifier(), NEIGHBOURS, digits),
    "discriminant": (
        LinearDiscriminantAnalysis(),
        {"n_components": [1, 3, 5, 7, 9]},
        digits,
    ),
    "unused parameters": (
        SVC(kernel="linear"),
        {"gamma": [0.01, 0.1, 1.0, 10.0], "C": [0.1, 1.0]},
        digits,
    ),
    "elimination": (
        RFE(LogisticRegression()),
        {"n_features_to_select": [2, 4, 6, 8, 10]},
        lambda: made(1000, 12),
    ),
    "scaler, PCA, SVC": (
        make_pipeline(StandardScaler(), PCA(), SVC()),
        {"pca__n_components": [10, 20, 30, 40], "svc__C": [0.1, 1.0, 10.0]},
        lambda: digits(500),
    ),
    "scaler, PCA, logistic": (
        make_pipeline(
            StandardScaler(), PCA(svd_solver="full"), LogisticRegression(max_iter=500)
        ),
        {"pca__n_components": [4, 8, 16], "logisticregression__C": [0.01, 0.1]},
        cancer,
    ),
    "polynomial, selection, ridge": (
        make_pipeline(
            PolynomialFeatures(), StandardScaler(), SelectKBest(), RidgeClassifier()
        ),
        {
            "selectkbest__k": [20, 50, 100, 200],
            "ridgeclassifier__alpha": [0.1, 1.0, 10.0],
        },
        cancer,
    ),
    "selection, forest": (
        make_pipeline(SelectKBest(), RandomForestClassifier(**SEED)),
        {
            "selectkbest__k": [10, 20],
            "randomforestclassifier__n_estimators": [10, 20, 40],
        },
        cancer,
    ),
}


def separate(base, grid, X, y, splits):
    scores = {}
    for j, (train, test) in enumerate(splits):
        X_train, y_train, X_test, y_test = X[train], y[train], X[test], y[test]
        for i, params in enumerate(grid):
            estimator = clone(base).set_params(**clone(params, safe=False))
            estimator.fit(X_train, y_train)
            scores[i, j] = estimator.score(X_test, y_test)
    return scores


def shared(base, grid, X, y, splits):
    names = {name for params in grid for name in params}
    scores = {}
    groups = {}
    for i, params in enumerate(grid):
        estimator = clone(base).set_params(**clone(params, safe=False))
        key = group_key(estimator, params, names)
        groups.setdefault(key, []).append((i, estimator))
    assert None not in groups
    for j, (train, test) in enumerate(splits):
        X_train, y_train, X_test, y_test = X[train], y[train], X[test], y[test]
        for group in groups.values():
            numbers, estimators = zip(*group, strict=True)
            for i, view in fitted(estimators, X_train, y_train, names=names):
                scores[numbers[i], j] = view.score(X_test, y_test)
    return scores


def seconds(run, *args):
    start = time.process_time()
    scores = run(*args)
    return time.process_time() - start, scores


def main(names):
    """Print one line per grid: medians, and the median of the paired ratios."""
    warnings.simplefilter("ignore")
    all_ratios = []
    for name in names or GRIDS:
        base, grid, load = GRIDS[name]
        X, y = load()
        grid = list(ParameterGrid(grid))
        kind = StratifiedKFold if len(np.unique(y)) < 20 else KFold
        splits = list(kind(5, shuffle=True, random_state=0).split(X, y))[:N_SPLITS]
        args = base, grid, X, y, splits
        shared(*args)  # the self-tests, and what is imported late
        rounds = []
        for _ in range(N_ROUNDS):
            theirs, expected = seconds(separate, *args)
            ours, scores = seconds(shared, *args)
            assert scores == expected, name
            rounds.append((theirs, ours))
        ratios = [theirs / ours for theirs, ours in rounds]
        all_ratios.append(statistics.median(ratios))
        theirs, ours = map(statistics.median, zip(*rounds, strict=True))
        print(
            f"{name:32} {len(grid):4} candidates  {theirs:7.3f} s  {ours:7.3f} s  "
            f"ratio {all_ratios[-1]:5.2f}  ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )
    print(f"geometric mean of the ratios {statistics.geometric_mean(all_ratios):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
