"""Searches whose candidates share fits: the same results, with fewer fits."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from oracle import fit_both
from scipy import sparse
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_selection import SelectKBest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skhpo import BayesSearch, GridSearch, RandomSearch, Real

X, y = make_classification(90, 6, flip_y=0.2, random_state=0)
CV = KFold(3)

pytestmark = pytest.mark.filterwarnings("ignore:One or more of the test scores")

SEARCHES = {
    "forest": (
        RandomForestClassifier(random_state=0),
        {"n_estimators": [2, 4, 6], "max_depth": [2, None]},
    ),
    "boosting": (
        GradientBoostingClassifier(random_state=0),
        [{"n_estimators": [3, 1, 5]}, {"n_estimators": [2, 4], "max_depth": [1]}],
    ),
    "tree": (DecisionTreeClassifier(random_state=0), {"ccp_alpha": [0.0, 0.01, 0.1]}),
    "neighbours": (
        KNeighborsClassifier(),
        {"n_neighbors": [1, 3, 7], "weights": ["uniform", "distance"]},
    ),
    "scaler, SVC": (
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": [0.1, 1.0, 10.0], "svc__kernel": ["rbf", "linear"]},
    ),
    "scaler, PCA, logistic": (
        make_pipeline(StandardScaler(), PCA(random_state=0), LogisticRegression()),
        {"pca__n_components": [1, 3, 5], "logisticregression__C": [0.1, 1.0]},
    ),
    "polynomial, selection, forest": (
        make_pipeline(
            PolynomialFeatures(include_bias=False),
            SelectKBest(),
            RandomForestClassifier(random_state=0),
        ),
        {
            "polynomialfeatures__degree": [1, 2],
            "selectkbest__k": [2, 5],
            "randomforestclassifier__n_estimators": [2, 4],
        },
    ),
    "columns, logistic": (
        make_pipeline(
            make_column_transformer(
                (StandardScaler(), [0, 1]), (PCA(2, random_state=0), [2, 3, 4])
            ),
            LogisticRegression(),
        ),
        {"logisticregression__C": [0.1, 1.0, 10.0]},
    ),
    "columns that differ": (
        make_pipeline(
            make_column_transformer(
                (SelectKBest(), [0, 1]), (PCA(2, random_state=0), [2, 3, 4])
            ),
            LogisticRegression(),
        ),
        {
            "columntransformer__selectkbest__k": [1, 2],
            "columntransformer__pca__n_components": [1, 3],
        },
    ),
    "stack": (
        StackingClassifier(
            [
                ("tree", DecisionTreeClassifier(random_state=0)),
                ("linear", LogisticRegression()),
            ],
            LogisticRegression(),
            cv=2,
        ),
        {"final_estimator__C": [0.1, 1.0]},
    ),
}


ALPHAS = [float(alpha) for alpha in np.geomspace(1e-3, 1e4, 20)]
CLOSE_SEARCHES = {
    "ridge": (Ridge(), {"alpha": ALPHAS}),
    "classifier": (RidgeClassifier(), {"alpha": ALPHAS}),
    "kernel": (
        KernelRidge(kernel="rbf"),
        {"alpha": ALPHAS, "gamma": [0.1, 1.0]},
    ),
    "scaler, ridge": (
        make_pipeline(StandardScaler(), PCA(3, svd_solver="full"), Ridge()),
        {"ridge__alpha": ALPHAS},
    ),
}


def groups_of(search, split=0):
    return [trial.splits[split].group for trial in search.trials_]


def failing_at(n):
    """Make a scorer that ends its process at candidates of so many trees."""

    def score(estimator, X, y):
        if estimator.n_estimators == n:
            os._exit(7)
        return accuracy_score(y, estimator.predict(X))

    return score


@pytest.fixture
def n_fits(monkeypatch):
    """Count fits of a class: forests, here."""
    counted = []
    fit = RandomForestClassifier.fit

    def count(self, *args, **kwargs):
        counted.append(self.n_estimators)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(RandomForestClassifier, "fit", count)
    return counted


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_jobs": 2},
        {
            "return_train_score": True,
            "scoring": ["accuracy", "roc_auc"],
            "refit": False,
        },
        {"scoring": lambda e, X, y: e.score(X, y), "return_train_score": True},
    ],
    ids=["plain", "n_jobs", "multimetric", "callable"],
)
def test_results_are_those_of_separate_fits(name, options):
    estimator, grid = SEARCHES[name]
    with parallel_config("threading"):
        ours, _ = fit_both(estimator, grid, X, y, cv=CV, **options)
    assert groups_of(ours)[:2] == [0, 0]


@pytest.mark.parametrize("name", sorted({*SEARCHES} - {"neighbours"}))  # it takes none
def test_weights_reach_shared_fits(name):
    estimator, grid = SEARCHES[name]
    weights = np.random.default_rng(0).uniform(0.1, 2.0, len(y))
    prefix = "" if not hasattr(estimator, "steps") else f"{estimator.steps[-1][0]}__"
    params = {f"{prefix}sample_weight": weights}
    ours, _ = fit_both(estimator, grid, X, y, cv=CV, params=params)
    assert None not in groups_of(ours)


@pytest.mark.parametrize("kind", ["frame", "sparse", "list"])
def test_other_containers_are_shared_too(kind):
    make = {
        "frame": lambda: pd.DataFrame(X, columns=list("abcdef")),
        "sparse": lambda: sparse.csr_array(X),
        "list": X.tolist,
    }[kind]
    estimator, grid = SEARCHES["forest"]
    ours, _ = fit_both(estimator, grid, make, y, cv=CV)
    assert None not in groups_of(ours)


def unsorted(rng):
    made = sparse.random(90, 60, 0.5, format="csr", random_state=0)
    for row in range(90):
        part = slice(*made.indptr[row : row + 2])
        order = rng.permutation(part.stop - part.start)
        made.indices[part] = made.indices[part][order]
        made.data[part] = made.data[part][order]
    made.has_sorted_indices = False
    return made


@pytest.mark.parametrize("return_train_score", [False, True])
def test_a_fit_that_sorts_a_sparse_matrix_changes_no_other(return_train_score):
    """Support vector machines do; others sum in the order that they find."""
    made = unsorted(np.random.default_rng(0))
    sums = np.asarray(made.sum(axis=1)).ravel()
    estimator = make_pipeline(MaxAbsScaler(), "passthrough", LogisticRegression())
    grid = {
        "maxabsscaler": [MaxAbsScaler(), "passthrough"],
        "logisticregression": [SVC(), LogisticRegression()],
    }
    fit_both(
        estimator,
        grid,
        lambda: made.copy(),
        (sums > np.median(sums)).astype(int),
        cv=CV,
        scoring=lambda e, X, y: float(e.decision_function(X).sum()),
        return_train_score=return_train_score,
        refit=False,
    )


def test_random_candidates_are_shared_as_well():
    space = {"n_estimators": randint(1, 9), "max_depth": [1, 2]}
    estimator = RandomForestClassifier(random_state=0)
    searches = [
        RandomSearch(estimator, space, n_iter=12, random_state=0, reuse=reuse).fit(X, y)
        for reuse in ("exact", False)
    ]
    shared, separate = searches
    assert shared.cv_results_["params"] == separate.cv_results_["params"]
    for i in range(5):
        column = f"split{i}_test_score"
        assert [*shared.cv_results_[column]] == [*separate.cv_results_[column]]
    assert len(set(groups_of(shared))) == 2
    assert set(groups_of(separate)) == {None}


def test_one_fit_answers_for_a_group_and_its_time_is_shared_out(n_fits):
    grid = {"n_estimators": [2, 6, 4], "max_depth": [2, 3]}
    search = GridSearch(RandomForestClassifier(random_state=0), grid, cv=CV)
    search.set_params(refit=False).fit(X, y)
    assert n_fits == [6] * 6
    assert groups_of(search) == [0, 0, 0, 3, 3, 3]  # max_depth varies slowest
    times = [trial.splits[1].fit_time for trial in search.trials_]
    assert times[0] == times[1] == times[2] != times[3]
    n_fits.clear()
    search.set_params(reuse=False).fit(X, y)
    assert sorted(n_fits) == [2] * 6 + [4] * 6 + [6] * 6
    assert set(groups_of(search)) == {None}


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(),
        RandomForestClassifier(random_state=0, warm_start=True),
        RandomForestClassifier(random_state=0, oob_score=True),
    ],
)
@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
def test_what_depends_on_more_than_its_parameters_is_fitted_apart(estimator):
    ours, _ = fit_both(estimator, {"n_estimators": [2, 3]}, X, y, cv=CV)
    assert set(groups_of(ours)) == {None}


def test_nothing_is_shared_beside_candidates_that_draw_without_a_seed():
    """Fewer fits would draw fewer numbers, and these would get others."""
    pipeline = make_pipeline(StandardScaler(), SVC(kernel="linear"))
    grid = [
        {"svc__gamma": [1.0, 2.0, 3.0]},
        {"svc": [RandomForestClassifier()], "svc__n_estimators": [2, 3]},
    ]
    ours, _ = fit_both(pipeline, grid, X, y, cv=CV)
    assert set(groups_of(ours)) == {None}
    assert groups_of(GridSearch(pipeline, grid[:1], cv=CV).fit(X, y)) == [0] * 3


def test_lines_for_each_fit_need_fits_of_their_own(capsys):
    estimator, grid = SEARCHES["tree"]
    ours, _ = fit_both(estimator, grid, X, y, cv=CV, verbose=2)
    assert set(groups_of(ours)) == {None}
    assert capsys.readouterr().out.count("[CV] END") == 18


def test_failures_in_a_group_land_on_their_candidates():
    grid = {"n_estimators": [2, 0, 4, -1], "max_depth": [2, 3]}
    ours, _ = fit_both(RandomForestClassifier(random_state=0), grid, X, y, cv=CV)
    assert groups_of(ours) == [0, None, 0, None, 4, None, 4, None]
    errors = [len(trial.errors) for trial in ours.trials_]
    assert errors == [0, 3, 0, 3] * 2


def test_a_group_whose_fit_fails_is_fitted_apart(monkeypatch):
    """The largest fails, so that the shared fit does; the others do not."""
    fit = RandomForestClassifier.fit

    def fails(self, *args, **kwargs):
        if self.n_estimators == 6:
            raise MemoryError("too large")
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(RandomForestClassifier, "fit", fails)
    grid = {"n_estimators": [2, 6, 4]}
    search = GridSearch(RandomForestClassifier(random_state=0), grid, cv=CV)
    with pytest.warns(FitFailedWarning, match="too large"):
        search.fit(X, y)
    assert groups_of(search) == [None] * 3
    assert [len(trial.errors) for trial in search.trials_] == [0, 3, 0]
    with pytest.raises(MemoryError, match="too large"):
        search.set_params(error_score="raise").fit(X, y)


def test_more_features_than_there_are_warn_once_for_each_fit():
    estimator = make_pipeline(SelectKBest(), LogisticRegression())
    ours, _ = fit_both(estimator, {"selectkbest__k": [1, 100, 3]}, X, y, cv=CV)
    assert groups_of(ours) == [0, 0, 0]


def test_a_scorer_that_fails_costs_its_candidate_only():
    def score(estimator, X, y):
        if estimator.n_estimators == 4:
            raise ValueError("four")
        return estimator.score(X, y)

    grid = {"n_estimators": [2, 6, 4]}
    estimator = RandomForestClassifier(random_state=0)
    ours, _ = fit_both(estimator, grid, X, y, cv=CV, scoring=score)
    assert groups_of(ours) == [0, 0, 0]


def test_a_scorer_that_writes_spoils_nothing():
    def score(estimator, X, y):
        value = estimator.score(X, y)
        X[:] = 0
        return value

    for name in ("neighbours", "scaler, SVC"):
        estimator, grid = SEARCHES[name]
        fit_both(estimator, grid, X, y, cv=CV, scoring=score, return_train_score=True)


def refits(estimator, X, y):
    return estimator.fit(X[::2], y[::2]).score(X, y)


def sets_parameters(estimator, X, y):
    if isinstance(estimator, KNeighborsClassifier):
        estimator.set_params(n_neighbors=1)
    return log_loss(y, estimator.predict_proba(X))


def spoils(estimator, X, y):
    value = log_loss(y, estimator.predict_proba(X))
    steps = [step for _, step in getattr(estimator, "steps", [(None, estimator)])]
    for tree in getattr(steps[-1], "estimators_", []):
        if isinstance(tree, DecisionTreeClassifier):
            tree.tree_.value[:] = 0.5
    for step in steps:
        for name in ("mean_", "scores_", "components_", "support_vectors_"):
            if hasattr(step, name):
                getattr(step, name)[:] = 0
    return value


@pytest.mark.parametrize("name", [*SEARCHES][:-3])
@pytest.mark.parametrize("scorer", [refits, sets_parameters, spoils])
def test_a_scorer_that_changes_its_estimator_spoils_nothing(name, scorer):
    estimator, grid = SEARCHES[name]
    if name == "scaler, SVC":
        estimator = make_pipeline(StandardScaler(), LogisticRegression())
        grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    options = dict(cv=CV, scoring=scorer, return_train_score=True, refit=False)
    ours, _ = fit_both(estimator, grid, X, y, **options)
    assert None not in groups_of(ours)


def test_a_scorer_has_the_training_data_that_its_estimator_holds():
    """Distances between an array and itself are rounded differently."""

    def score(estimator, X, y):
        return float(estimator.kneighbors(X)[0].sum())

    estimator = KNeighborsClassifier(metric="cosine", algorithm="brute")
    options = dict(cv=CV, scoring=score, return_train_score=True)
    ours, _ = fit_both(estimator, {"n_neighbors": [1, 2, 4]}, X + 100, y, **options)
    assert groups_of(ours) == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills processes")
def test_a_group_that_takes_too_long_is_fitted_apart():
    grid = {"n_estimators": [2, 100_000, 4]}
    search = GridSearch(
        RandomForestClassifier(random_state=0), grid, cv=KFold(2), fit_timeout=3
    )
    with pytest.warns(FitFailedWarning, match="longer than fit_timeout"):
        search.fit(X, y)
    assert [trial.status for trial in search.trials_] == [
        "complete",
        "timeout",
        "complete",
    ]
    assert groups_of(search) == [None] * 3


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills processes")
@pytest.mark.filterwarnings("ignore:A worker process of joblib died")
@pytest.mark.parametrize("options", [{"fit_timeout": 100}, {"n_jobs": 2}])
def test_a_group_whose_process_dies_costs_one_candidate(options):
    grid = {"n_estimators": [2, 6, 4]}
    estimator = RandomForestClassifier(random_state=0)
    search = GridSearch(estimator, grid, cv=CV, scoring=failing_at(4), **options)
    with pytest.warns(FitFailedWarning, match="exited with code 7"):
        search.fit(X, y)
    assert [len(trial.errors) for trial in search.trials_] == [0, 0, 3]
    expected = GridSearch(estimator, grid, cv=CV).fit(X, y)
    for i in range(3):
        column = f"split{i}_test_score"
        assert [*search.cv_results_[column][:2]] == [*expected.cv_results_[column][:2]]


def test_a_checkpoint_has_one_record_for_a_group(tmp_path, n_fits):
    path = tmp_path / "a"
    estimator = RandomForestClassifier(random_state=0)

    def search(*sizes, **options):
        return GridSearch(
            estimator,
            {"n_estimators": sizes},
            cv=CV,
            refit=False,
            checkpoint=path,
            **options,
        ).fit(X, y)

    first = search(2, 4)
    assert path.read_bytes().count(b'"end":') == 3
    assert n_fits == [4] * 3
    again = search(2, 4)
    assert groups_of(again) == groups_of(first) == [0, 0]
    assert n_fits == [4] * 3
    # What is missing is shared among itself; and not if it shall not be.
    assert groups_of(search(2, 4, 6, 8)) == [0, 0, 2, 2]
    assert n_fits == [4] * 3 + [8] * 3
    search(1, 3, reuse=False)
    assert sorted(n_fits[6:]) == [1] * 3 + [3] * 3


@pytest.mark.parametrize("n_jobs", [1, 5])
def test_groups_are_divided_while_workers_have_nothing_to_do(n_jobs):
    grid = {"n_estimators": [*range(1, 41)]}
    estimator = RandomForestClassifier(random_state=0)
    cv = [next(iter(CV.split(X)))]
    with parallel_config("threading", n_jobs=n_jobs):
        search = GridSearch(estimator, grid, cv=cv).fit(X, y)
    sizes = np.unique(groups_of(search), return_counts=True)[1]
    assert [*sizes] == ([20, 20] if n_jobs == 1 else [8] * 5)


def test_groups_that_share_what_is_in_front_are_smaller_with_workers():
    grid = {"svc__C": np.geomspace(0.1, 10, 20)}
    estimator = make_pipeline(StandardScaler(), SVC())
    sizes = {}
    for n_jobs in (1, 2):
        with parallel_config("threading", n_jobs=n_jobs):
            search = GridSearch(estimator, grid, cv=CV).fit(X, y)
        sizes[n_jobs] = sorted(np.unique(groups_of(search), return_counts=True)[1])
    # The first of one worker when nothing is known, the rest when fits are fast.
    assert sizes == {1: [4, 16], 2: [2, 3, 3, 3, 3, 3, 3]}
    search = GridSearch(estimator, grid, cv=CV).fit(X, y)
    assert groups_of(search, split=1) == [0] * 20


def test_candidates_are_complete_early_where_fits_are_slow(monkeypatch):
    monkeypatch.setattr("skhpo._engine.schedule.PART_SECONDS", 0.0)
    fit, fits = SVC.fit, []

    def interrupted(self, *args, **kwargs):
        fits.append(self.C)
        if len(fits) == 20:
            raise KeyboardInterrupt
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(SVC, "fit", interrupted)
    grid = {"svc__C": np.geomspace(0.1, 10, 20)}
    search = GridSearch(make_pipeline(StandardScaler(), SVC()), grid, cv=CV)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    # Three splits of the first four candidates, then eight fits that are lost.
    assert groups_of(search) == [0] * 4


def test_groups_go_through_other_backends():
    estimator, grid = SEARCHES["forest"]
    expected = GridSearch(estimator, grid, cv=CV, reuse=False).fit(X, y)
    for backend in ("loky", "multiprocessing"):
        with parallel_config(backend, n_jobs=2):
            search = GridSearch(estimator, grid, cv=CV).fit(X, y)
        assert None not in groups_of(search)
        for i in range(3):
            column = f"split{i}_test_score"
            assert [*search.cv_results_[column]] == [*expected.cv_results_[column]]


def test_searches_within_searches_share_fits():
    estimator, grid = SEARCHES["boosting"]
    scores = [
        cross_val_score(GridSearch(estimator, grid, reuse=reuse), X, y, cv=CV)
        for reuse in ("exact", False)
    ]
    assert [*scores[0]] == [*scores[1]]


def test_regressors_and_what_has_no_target():
    X, y = make_regression(60, 4, noise=5.0, random_state=0)
    estimator = make_pipeline(StandardScaler(), Ridge())
    fit_both(estimator, {"ridge__alpha": [0.1, 1.0]}, X, y, cv=CV)
    fit_both(RandomForestRegressor(random_state=0), {"n_estimators": [1, 2]}, X, y)
    fit_both(HistGradientBoostingRegressor(random_state=0), {"max_iter": [2, 1]}, X, y)
    clusters = make_pipeline(StandardScaler(), KMeans(random_state=0, n_init=1))
    ours, _ = fit_both(clusters, {"kmeans__n_clusters": [2, 3]}, X)
    assert groups_of(ours) == [0, 0]


def test_the_largest_candidate_need_not_be_the_first_or_the_best(n_fits):
    grid = {"n_estimators": [3, 9, 1]}
    search = GridSearch(RandomForestClassifier(random_state=0), grid, cv=CV)
    search.fit(X, y)
    best = clone(search.best_estimator_).fit(X, y)
    assert np.array_equal(best.predict_proba(X), search.predict_proba(X))
    assert len(search.best_estimator_.estimators_) == best.n_estimators


def close_pair(estimator, grid, X, y, **options):
    """Fit a search that shares what is close, and one that shares nothing."""
    close, apart = (
        GridSearch(estimator, grid, cv=CV, reuse=reuse, **options).fit(X, y)
        for reuse in ("close", False)
    )
    assert close.cv_results_["params"] == apart.cv_results_["params"]
    for column, expected in apart.cv_results_.items():
        if column.startswith("split") and column.endswith("_score"):
            scores = close.cv_results_[column]
            np.testing.assert_allclose(scores, expected, rtol=1e-10, atol=0)
    return close, apart


@pytest.mark.parametrize("name", CLOSE_SEARCHES)
@pytest.mark.parametrize(
    "options",
    [
        {
            "scoring": ["neg_mean_absolute_error", "r2"],
            "refit": "r2",
            "return_train_score": True,
            "n_jobs": 2,
        },
        {"scoring": lambda e, X, y: float(np.abs(e.predict(X)).sum())},
    ],
    ids=["multimetric", "callable"],
)
def test_close_results_are_close_to_those_of_separate_fits(name, options):
    estimator, grid = CLOSE_SEARCHES[name]
    with parallel_config("threading"):
        close, _ = close_pair(estimator, grid, X, y, **options)
    assert None not in groups_of(close)
    assert close.best_estimator_.predict(X).shape == y.shape


def test_close_shares_all_that_is_exact():
    for name in ("forest", "scaler, PCA, logistic"):
        close, apart = close_pair(*SEARCHES[name], X, y)
        assert None not in groups_of(close)
        for i in range(3):
            column = f"split{i}_test_score"
            assert [*close.cv_results_[column]] == [*apart.cv_results_[column]]


def test_failing_candidates_among_close_ones_fail_alone():
    grid = {"alpha": [*ALPHAS[:9], -1.0, "one", *ALPHAS[9:]]}
    with pytest.warns(FitFailedWarning, match="6 fits failed"):
        close, _ = close_pair(Ridge(), grid, X, y)
    errors = [len(trial.errors) for trial in close.trials_]
    assert errors == [0] * 9 + [3, 3] + [0] * 11
    assert groups_of(close) == [0] * 9 + [None, None] + [0] * 11


def test_weights_reach_close_fits():
    weights = np.random.default_rng(0).uniform(0.1, 2.0, len(y))
    scores = [
        GridSearch(Ridge(), {"alpha": ALPHAS}, cv=CV, reuse=reuse)
        .fit(X, y, sample_weight=weights)
        .cv_results_["mean_test_score"]
        for reuse in ("close", False)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-10)
    unweighted = GridSearch(Ridge(), {"alpha": ALPHAS}, cv=CV).fit(X, y)
    assert np.any(scores[0] != unweighted.cv_results_["mean_test_score"])


def test_close_and_exact_results_are_never_mixed_in_a_checkpoint(tmp_path):
    def search(reuse, path):
        grid = {"alpha": ALPHAS}
        options = dict(cv=CV, reuse=reuse, checkpoint=path, refit=False)
        return GridSearch(Ridge(), grid, **options).fit(X, y)

    for first, others in (("close", ("exact", False)), ("exact", ("close",))):
        search(first, tmp_path / first)
        search(first, tmp_path / first)
        for other in others:
            with pytest.raises(ValueError, match="another search: reuse differs"):
                search(other, tmp_path / first)
    search(False, tmp_path / "exact")
    folder = tmp_path / "folder"
    folder.mkdir()
    for reuse in ("close", "exact", False):
        search(reuse, folder)
    assert len([*folder.iterdir()]) == 2


@pytest.mark.parametrize("cls", [GridSearch, RandomSearch])
def test_close_is_a_parameter_like_any_other(cls):
    search = clone(cls(Ridge(), {"alpha": ALPHAS}, reuse="close"))
    assert search.get_params()["reuse"] == "close"
    assert clone(search).set_params(reuse="exact").fit(X, y).reuse == "exact"


def test_random_candidates_are_close_as_well():
    space = {"alpha": loguniform(1e-2, 1e3)}
    scores = [
        RandomSearch(Ridge(), space, n_iter=25, random_state=0, reuse=reuse)
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for reuse in ("close", False)
    ]
    assert 0 < np.max(np.abs(scores[0] - scores[1])) < 1e-10


def test_a_search_that_is_off_asks_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = GridSearch(SVC(), {"C": [1, 2]}, reuse=False).fit(X, y)
    assert set(groups_of(search)) == {None}


# Candidates of a search that learns --------------------------------------------------


def assert_same_search(one, other):
    assert one.cv_results_["params"] == other.cv_results_["params"]
    for i in range(one.n_splits_):
        column = f"split{i}_test_score"
        assert [*one.cv_results_[column]] == [*other.cv_results_[column]]


def learn(estimator, space, *, n_jobs=None, **options):
    search = BayesSearch(estimator, space, cv=CV, random_state=0, refit=False)
    with parallel_config("threading", n_jobs=n_jobs or 1):
        return search.set_params(**options).fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("max_pending", [1, 2])
def test_a_space_that_is_evaluated_whole_is_shared_as_a_grid(
    max_pending, n_jobs, n_fits
):
    space = {"n_estimators": [2, 6, 4], "max_depth": [2, 3]}
    options = {"n_iter": 6, "max_pending": max_pending, "n_jobs": n_jobs}
    forest = RandomForestClassifier(random_state=0)
    learn(forest, space, **options)  # the first one tries the family
    n_fits.clear()
    shared = learn(forest, space, **options)
    assert n_fits == [6] * 6
    assert len(set(groups_of(shared))) == 2
    separate = learn(forest, space, reuse=False, **options)
    assert set(groups_of(separate)) == {None}
    assert_same_search(shared, separate)


IN_FRONT = make_pipeline(StandardScaler(), PCA(random_state=0), LogisticRegression())
BEHIND = {"logisticregression__C": Real(1e-3, 1e3, log=True)}


@pytest.mark.parametrize("max_pending", [1, 2, 3, 7])
def test_candidates_under_way_share_steps_and_change_no_proposal(max_pending):
    options = {"n_iter": 14, "max_pending": max_pending}
    shared = learn(IN_FRONT, BEHIND, **options)
    assert_same_search(shared, learn(IN_FRONT, BEHIND, reuse=False, **options))
    assert_same_search(shared, learn(IN_FRONT, BEHIND, n_jobs=2, **options))
    groups = groups_of(shared)
    if max_pending == 1:
        assert set(groups) == {None}
    else:
        size = min(max_pending, 4)  # how slow fits are is not measured here
        assert groups[:size] == [0] * size
        assert len(groups) - groups.count(None) >= 12
    # With several workers they do not wait for one another.
    assert set(groups_of(learn(IN_FRONT, BEHIND, n_jobs=2, **options))) == {None}


def test_candidates_under_way_that_differ_in_front_are_fitted_apart():
    space = {**BEHIND, "pca__whiten": [False, True]}
    options = {"n_iter": 12, "max_pending": 3}
    shared = learn(IN_FRONT, space, **options)
    assert_same_search(shared, learn(IN_FRONT, space, reuse=False, **options))
    whiten = {}
    for params, group in zip(
        shared.cv_results_["params"], groups_of(shared), strict=True
    ):
        if group is not None:
            whiten.setdefault(group, set()).add(params["pca__whiten"])
    assert whiten
    assert all(len(values) == 1 for values in whiten.values())


def test_a_search_that_learns_and_shares_goes_on_from_a_checkpoint(tmp_path):
    found = {}
    for reuse in ("exact", False):
        options = {"max_pending": 3, "checkpoint": tmp_path / f"{reuse}"}
        learn(IN_FRONT, BEHIND, n_iter=7, reuse=reuse, **options)
        found[reuse] = learn(IN_FRONT, BEHIND, n_iter=14, reuse=reuse, **options)
    assert_same_search(found["exact"], found[False])
    assert groups_of(found["exact"])[-2] is not None


C = {"model__C": Real(0.1, 10)}
DRAWING = {"model": [SVC(), RandomForestClassifier(3)]}


@pytest.mark.parametrize(
    "space, shares",
    [
        (C, True),
        ({**C, "model__probability": [False, True]}, False),
        ({**C, "model__random_state": [None, 0]}, False),
        ([C, {**DRAWING, "front__tol": Real(0.0, 1.0)}], False),
    ],
)
def test_where_a_later_candidate_may_draw_none_under_way_share(space, shares):
    front = PCA(3, svd_solver="full")
    estimator = Pipeline([("front", front), ("model", SVC())])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SVC's probability, on its way out
        search = learn(estimator, space, n_iter=6)
    assert (set(groups_of(search)) != {None}) == shares


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_fits_that_call_a_function_of_the_user_are_not_shared(in_pipeline):
    """Each of them asks it, and it may answer by the estimator that asks."""
    base, before = GradientBoostingClassifier(max_depth=1, random_state=0), ""
    if in_pipeline:
        base, before = (
            Pipeline([("scale", StandardScaler()), ("model", base)]),
            "model__",
        )
    n_calls = []

    def monitor(i, estimator, local):
        n_calls[-1] += 1
        return i + 1 >= estimator.n_estimators // 2

    scores = []
    for reuse in ("exact", False):
        n_calls.append(0)
        search = GridSearch(base, {f"{before}n_estimators": [2, 8, 20]}, reuse=reuse)
        search.set_params(refit=False, cv=CV).fit(X, y, **{f"{before}monitor": monitor})
        scores.append(search.cv_results_["mean_test_score"].tolist())
    assert scores[0] == scores[1]
    assert n_calls[0] == n_calls[1] > 0
