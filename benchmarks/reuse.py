"""Compare GridSearch, which shares fits, with GridSearchCV, grid by grid.

Both search each grid on the same splits, in turns. Scores have to be equal. Wall time,
without the refit.

    python benchmarks/reuse.py [--n-jobs N] [--n-rounds N] [name ...]
"""

import argparse
import statistics
import time
import warnings

import numpy as np
from _problems import read
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
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ParameterGrid,
    StratifiedKFold,
)
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from skhpo import GridSearch

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


def messages():
    X, y = read("sms_spam", "label", 2000)
    return X["text"].to_numpy(str), y


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
    "tf-idf, naive Bayes": (
        make_pipeline(TfidfVectorizer(), MultinomialNB()),
        {
            "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)],
            "multinomialnb__alpha": [0.01, 0.03, 0.1, 0.3, 1.0],
        },
        messages,
    ),
    "scaler, SVC": (
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": [0.1, 1.0, 10.0], "svc__gamma": [0.01, 0.1]},
        lambda: digits(500),
    ),
    "nothing to share: SVC": (
        SVC(),
        {"C": [0.1, 1.0, 10.0], "gamma": [1e-4, 1e-3]},
        digits,
    ),
    "nothing to share: ridge": (
        Ridge(),
        {"alpha": list(np.geomspace(1e-3, 1e3, 50))},
        diabetes,
    ),
}
NOTHING = {name for name in GRIDS if name.startswith("nothing")}


def fit(cls, base, grid, data, splits, n_jobs):
    """Fit a search; return it and the seconds it took."""
    search = cls(base, grid, cv=splits, refit=False, n_jobs=n_jobs)
    start = time.perf_counter()
    search.fit(*data)
    return search, time.perf_counter() - start


def check_scores(ours, theirs, name):
    for column, scores in theirs.cv_results_.items():
        if column.endswith("_test_score"):
            assert np.array_equal(ours.cv_results_[column], scores), (name, column)


def main():
    """Print one line per grid: medians, and the median of the paired ratios."""
    parser = argparse.ArgumentParser(description="Compare shared fits with separate.")
    parser.add_argument("names", nargs="*", help="grids; all if none is given")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--n-rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    medians = {}
    for name in options.names or GRIDS:
        base, grid, load = GRIDS[name]
        data = load()
        kind = StratifiedKFold if len(np.unique(data[1])) < 20 else KFold
        splits = list(kind(5, shuffle=True, random_state=0).split(*data))[:N_SPLITS]
        args = base, grid, data, splits, options.n_jobs
        for cls in (GridSearch, GridSearchCV):
            fit(cls, *args)  # self-tests, workers, and what is imported late
        rounds = []
        for i in range(options.n_rounds):
            order = (GridSearchCV, GridSearch)[:: 1 if i % 2 else -1]
            done = {cls: fit(cls, *args) for cls in order}
            check_scores(done[GridSearch][0], done[GridSearchCV][0], name)
            rounds.append((done[GridSearchCV][1], done[GridSearch][1]))
        ratios = [theirs / ours for theirs, ours in rounds]
        medians[name] = statistics.median(ratios)
        theirs, ours = map(statistics.median, zip(*rounds, strict=True))
        n = len(ParameterGrid(grid))
        print(
            f"{name:32} {n:4} candidates  {theirs:7.3f} s  {ours:7.3f} s  "
            f"ratio {medians[name]:5.2f}  ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )
    sharing = [ratio for name, ratio in medians.items() if name not in NOTHING]
    print(
        f"geometric mean of those that share {statistics.geometric_mean(sharing):.2f}"
    )


if __name__ == "__main__":
    main()
