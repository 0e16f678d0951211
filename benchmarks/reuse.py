"""Compare GridSearch, which shares fits, with GridSearchCV, grid by grid.

Both search each grid on the same splits, in turns. Scores have to be equal, or close
for what is shared by reuse="close" only. Wall time, without the refit.

    python benchmarks/reuse.py [--n-jobs N ...] [--n-rounds N] [name ...]

With --bayes it is BayesSearch with shared fits and without (``reuse=False``).
"""

import argparse
import statistics
import time
import warnings

import numpy as np
from _problems import read
from sklearn.compose import make_column_transformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    make_classification,
    make_regression,
)
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
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
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    Lars,
    LassoLars,
    LogisticRegression,
    OrthogonalMatchingPursuit,
    Ridge,
    RidgeClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    KFold,
    ParameterGrid,
    StratifiedKFold,
)
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from skhpo import BayesSearch, Categorical, GridSearch, Integer, Real

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


def wide(n=1400, p=300):
    return make_regression(n, p, noise=10.0, random_state=0)


def messages():
    X, y = read("sms_spam", "label", 2000)
    return X["text"].to_numpy(str), y


def messages_and_lengths():
    X, y = read("sms_spam", "label", 2000)
    X["length"] = X["text"].str.len()
    X["digits"] = X["text"].str.count(r"\d")
    return X, y


STEPS = [10, 20, 30, 40, 50]
ALPHAS = [0.0, *np.geomspace(1e-4, 0.1, 19)]
NEIGHBOURS = {"n_neighbors": range(1, 40, 2), "weights": ["uniform", "distance"]}
PENALTIES = list(np.geomspace(1e-3, 1e3, 30))
KERNEL = {"alpha": list(np.geomspace(0.1, 100, 30))}
NEAR = KNeighborsClassifier()
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
    "tf-idf weights, naive Bayes": (
        make_pipeline(TfidfVectorizer(), MultinomialNB()),
        {
            "tfidfvectorizer__use_idf": [True, False],
            "tfidfvectorizer__norm": ["l1", "l2"],
            "tfidfvectorizer__sublinear_tf": [True, False],
        },
        messages,
    ),
    "columns, logistic": (
        make_pipeline(
            make_column_transformer(
                (make_pipeline(TfidfVectorizer(), SelectKBest()), "text"),
                (StandardScaler(), ["length", "digits"]),
            ),
            LogisticRegression(max_iter=500),
        ),
        {
            "columntransformer__pipeline__tfidfvectorizer__use_idf": [True, False],
            "columntransformer__pipeline__selectkbest__k": [200, 1000],
            "columntransformer__standardscaler__with_mean": [True, False],
        },
        messages_and_lengths,
    ),
    "stack": (
        StackingClassifier(
            [("forest", RandomForestClassifier(20, **SEED)), ("near", NEAR)],
            LogisticRegression(max_iter=500),
        ),
        {"final_estimator__C": [0.01, 0.1, 1.0, 10.0]},
        cancer,
    ),
    "votes": (
        VotingClassifier(
            [("forest", RandomForestClassifier(20, **SEED)), ("near", NEAR)],
            voting="soft",
        ),
        {"weights": [[1, 1], [1, 2], [2, 1], [1, 4], [4, 1]]},
        cancer,
    ),
    "thresholds": (
        FixedThresholdClassifier(RandomForestClassifier(20, **SEED)),
        {"threshold": [0.2, 0.3, 0.4, 0.5, 0.6]},
        cancer,
    ),
    "partial least squares": (
        PLSRegression(),
        {"n_components": range(1, 15)},
        wide,
    ),
    "least angle": (Lars(), {"n_nonzero_coefs": range(5, 155, 5)}, wide),
    "least angle, lasso": (
        LassoLars(),
        {"alpha": list(np.geomspace(0.1, 30, 30))},
        wide,
    ),
    "matching pursuit": (
        OrthogonalMatchingPursuit(),
        {"n_nonzero_coefs": range(5, 155, 5)},
        wide,
    ),
    "class variances": (
        QuadraticDiscriminantAnalysis(),
        {"reg_param": list(np.linspace(0.05, 1.0, 20))},
        lambda: made(4000, 40),
    ),
    "ridge": (Ridge(), {"alpha": PENALTIES}, wide),
    "ridge, few features": (Ridge(), {"alpha": PENALTIES}, diabetes),
    "ridge classifier": (RidgeClassifier(), {"alpha": PENALTIES}, digits),
    "kernel ridge": (KernelRidge(kernel="rbf", gamma=1.0), KERNEL, diabetes),
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
        Ridge(solver="lsqr"),
        {"alpha": list(np.geomspace(1e-3, 1e3, 50))},
        diabetes,
    ),
    "close: ridge": (Ridge(), {"alpha": PENALTIES}, wide),
    "close: ridge, few features": (Ridge(), {"alpha": PENALTIES}, diabetes),
    "close: ridge classifier": (RidgeClassifier(), {"alpha": PENALTIES}, digits),
    "close: kernel ridge": (KernelRidge(kernel="rbf", gamma=1.0), KERNEL, diabetes),
    "close: SVC": (
        SVC(),
        {"C": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]},
        lambda: made(2100, 40),
    ),
    "close: SVC, digits": (SVC(), {"C": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]}, digits),
    "close: SVR": (
        make_pipeline(StandardScaler(), SVR()),
        {"svr__C": [1.0, 10.0, 100.0], "svr__epsilon": [0.1, 1.0, 10.0]},
        diabetes,
    ),
}
CLOSE = {name for name in GRIDS if name.startswith("close")}
NOTHING = {name for name in GRIDS if name.startswith("nothing")}


# For BayesSearch: estimator, space, data, number of candidates.
SPACES = {
    "tf-idf, naive Bayes": (
        make_pipeline(TfidfVectorizer(), MultinomialNB()),
        {"multinomialnb__alpha": Real(1e-3, 10.0, log=True)},
        messages,
        20,
    ),
    "n-grams, naive Bayes": (
        make_pipeline(TfidfVectorizer(), MultinomialNB()),
        {
            "tfidfvectorizer__ngram_range": Categorical([(1, 1), (1, 2)]),
            "multinomialnb__alpha": Real(1e-3, 10.0, log=True),
        },
        messages,
        20,
    ),
    "scaler, PCA, SVC": (
        make_pipeline(StandardScaler(), PCA(random_state=0), SVC()),
        {
            "pca__n_components": Integer(5, 60),
            "svc__C": Real(1e-2, 1e2, log=True),
            "svc__gamma": Real(1e-4, 1.0, log=True),
        },
        digits,
        16,
    ),
    "evaluated whole: random forest": (
        RandomForestClassifier(random_state=0),
        {"n_estimators": [10, 20, 40, 60], "max_depth": [2, 4, None]},
        digits,
        12,
    ),
}


def fit_bayes(reuse, base, space, data, splits, n_jobs, n_iter):
    """Fit a BayesSearch; return it and the seconds it took."""
    search = BayesSearch(
        base,
        space,
        n_iter=n_iter,
        random_state=0,
        cv=splits,
        refit=False,
        n_jobs=n_jobs,
        reuse=reuse,
    )
    start = time.perf_counter()
    search.fit(*data)
    return search, time.perf_counter() - start


def compare_bayes(options):
    """Print one line per space: the median of the paired ratios."""
    for name in options.names or SPACES:
        base, space, load, n_iter = SPACES[name]
        data = load()
        splits = list(StratifiedKFold(5, shuffle=True, random_state=0).split(*data))
        args = base, space, data, splits[:N_SPLITS], options.n_jobs[0], n_iter
        fit_bayes("exact", *args)
        ratios = []
        for i in range(options.n_rounds):
            order = (False, "exact")[:: 1 if i % 2 else -1]
            done = {reuse: fit_bayes(reuse, *args) for reuse in order}
            check_scores(done["exact"][0], done[False][0], name)
            ratios.append(done[False][1] / done["exact"][1])
        print(
            f"{name:32} {n_iter:4} candidates  ratio {statistics.median(ratios):5.2f}"
            f"  ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def fit(cls, base, grid, data, splits, n_jobs, reuse):
    """Fit a search; return it and the seconds it took."""
    search = cls(base, grid, cv=splits, refit=False, n_jobs=n_jobs)
    if cls is GridSearch:
        search.set_params(reuse=reuse)
    start = time.perf_counter()
    search.fit(*data)
    return search, time.perf_counter() - start


def check_scores(ours, theirs, name):
    for column, scores in theirs.cv_results_.items():
        if column.endswith("_test_score"):
            rtol = 1e-10 if name in CLOSE else 0.0
            same = np.allclose(ours.cv_results_[column], scores, rtol=rtol, atol=0.0)
            assert same, (name, column)


def compare(name, n_jobs, n_rounds):
    """Print a line for a grid; return the median of the paired ratios."""
    base, grid, load = GRIDS[name]
    data = load()
    kind = StratifiedKFold if len(np.unique(data[1])) < 20 else KFold
    splits = list(kind(5, shuffle=True, random_state=0).split(*data))[:N_SPLITS]
    reuse = "close" if name in CLOSE else "exact"
    args = base, grid, data, splits, n_jobs, reuse
    for cls in (GridSearch, GridSearchCV):
        fit(cls, *args)  # self-tests, workers, and what is imported late
    rounds = []
    for i in range(n_rounds):
        order = (GridSearchCV, GridSearch)[:: 1 if i % 2 else -1]
        done = {cls: fit(cls, *args) for cls in order}
        check_scores(done[GridSearch][0], done[GridSearchCV][0], name)
        rounds.append((done[GridSearchCV][1], done[GridSearch][1]))
    ratios = [theirs / ours for theirs, ours in rounds]
    theirs, ours = map(statistics.median, zip(*rounds, strict=True))
    print(
        f"{name:32} {len(ParameterGrid(grid)):4} candidates  n_jobs {n_jobs}  "
        f"{theirs:7.3f} s  {ours:7.3f} s  ratio {statistics.median(ratios):5.2f}  "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )
    return statistics.median(ratios)


def main():
    """Print one line for each grid and number of workers."""
    parser = argparse.ArgumentParser(description="Compare shared fits with separate.")
    parser.add_argument("names", nargs="*", help="grids; all if none is given")
    parser.add_argument("--n-jobs", type=int, nargs="+", default=[1])
    parser.add_argument("--n-rounds", type=int, default=9)
    parser.add_argument("--bayes", action="store_true", help="see above")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    if options.bayes:
        compare_bayes(options)
        return
    for n_jobs in options.n_jobs:
        medians = {
            name: compare(name, n_jobs, options.n_rounds)
            for name in options.names or GRIDS
        }
        sharing = [ratio for name, ratio in medians.items() if name not in NOTHING]
        if sharing:
            mean = statistics.geometric_mean(sharing)
            print(f"n_jobs {n_jobs}: geometric mean of those that share {mean:.2f}")


if __name__ == "__main__":
    main()
