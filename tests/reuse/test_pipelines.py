"""Pipelines that share steps, compared with separate fits."""

import warnings
from functools import partial

import numpy as np
import pytest
from comparison import candidates, check_group, groups, names_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import (
    RFE,
    SelectKBest,
    SelectPercentile,
    VarianceThreshold,
    chi2,
    mutual_info_classif,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    StandardScaler,
    normalize,
)
from sklearn.svm import SVC
from sklearn.utils import shuffle

from skhpo.reuse import fitted, group_key, leader, views


@pytest.fixture(autouse=True)
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pipe(*steps):
    return Pipeline([(f"s{i}", step) for i, step in enumerate(steps)])


FOREST = RandomForestClassifier(random_state=0, max_depth=3)
SEARCHES = {
    "scaler, PCA, SVC": (
        pipe(StandardScaler(), PCA(), SVC()),
        {"s1__n_components": [1, 3, 5], "s2__C": [0.1, 10.0], "s2__gamma": [0.1, 1.0]},
    ),
    "whitened PCA by covariance": (
        pipe(StandardScaler(), PCA(svd_solver="covariance_eigh"), LogisticRegression()),
        {"s1__n_components": [1, 3, None], "s1__whiten": [False, True]},
    ),
    "full PCA, neighbours": (
        pipe(PCA(svd_solver="full"), KNeighborsClassifier()),
        {
            "s0__n_components": [1, 4],
            "s1__n_neighbors": [1, 3, 8],
            "s1__weights": ["uniform", "distance"],
        },
    ),
    "polynomial, selection, ridge": (
        pipe(
            PolynomialFeatures(), StandardScaler(), SelectKBest(k=3), RidgeClassifier()
        ),
        {"s0__degree": [1, 2], "s2__k": [2, 5, "all"], "s3__alpha": [0.1, 1.0]},
    ),
    "selection, boosting": (
        pipe(
            VarianceThreshold(0.1),
            SelectPercentile(),
            GradientBoostingClassifier(random_state=0),
        ),
        {
            "s0__threshold": [0.01, 0.3],
            "s1__percentile": [40, 80],
            "s2__n_estimators": [2, 5],
        },
    ),
    "selection with scores for counts": (
        pipe(MinMaxScaler(), SelectKBest(chi2), FOREST),
        {"s1__k": [1, 3], "s2__n_estimators": [2, 4], "s2__ccp_alpha": [0.0, 0.02]},
    ),
    "elimination in the middle": (
        pipe(StandardScaler(), RFE(LogisticRegression()), FOREST),
        {"s1__n_features_to_select": [1, 3, 4], "s2__n_estimators": [2, 4]},
    ),
    "steps that come and go": (
        pipe(StandardScaler(), "passthrough", FOREST),
        {
            "s0": [StandardScaler(), StandardScaler(with_mean=False), "passthrough"],
            "s1": ["passthrough", PCA(2), PCA(4)],
            "s2__n_estimators": [2, 4],
        },
    ),
    "last steps that differ": (
        pipe(StandardScaler(), PCA(3), FOREST),
        {
            "s1__n_components": [2, 3],
            "s2": [FOREST, SVC(C=3), SVC(), RidgeClassifier()],
        },
    ),
    "a draw in the middle": (
        pipe(
            StandardScaler(), SelectKBest(k=3), TruncatedSVD(2, random_state=1), FOREST
        ),
        {"s1__k": [3, 4], "s2__n_components": [1, 2], "s3__n_estimators": [2, 4]},
    ),
    "a pipeline inside": (
        pipe(
            StandardScaler(),
            pipe(PCA(svd_solver="full"), SelectKBest(k=1)),
            pipe(FOREST),
        ),
        {"s1__s0__n_components": [2, 3], "s2__s0__n_estimators": [2, 4]},
    ),
}


def data(rng, *, sparse):
    n = int(rng.integers(35, 80))
    X = rng.normal(size=(n + 20, 5)) * [0.4, 0.8, 1, 1, 1.5]
    y = np.digitize(X[:, 2] + X[:, 3] + 0.5 * rng.normal(size=n + 20), [-0.7, 0.7])
    if sparse:
        X = csr_matrix(np.where(rng.random(X.shape) < 0.4, 0.0, np.abs(X)))
    return X[:n], y[:n], X[n:]


def check_pipelines(title, seed):
    base, grid = SEARCHES[title]
    rng = np.random.default_rng(seed)
    grid = list(ParameterGrid(grid))
    rng.shuffle(grid)
    X, y, X_new = data(rng, sparse=False)
    found, n_alone = groups(base, grid)
    assert not n_alone and len(found) <= len(grid) / 2
    for group in found:
        check_group(group, names_of(grid), X, y, X_new, {})


@pytest.mark.parametrize("title", SEARCHES)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=2, deadline=None, derandomize=True)
def test_pipelines_equal_separate_fits_to_the_last_bit(title, seed):
    check_pipelines(title, seed)


@pytest.mark.slow
@pytest.mark.parametrize("title", SEARCHES)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_pipelines_equal_separate_fits_in_many_cases(title, seed):
    check_pipelines(title, seed)


@pytest.mark.parametrize("seed", range(3))
def test_sparse_data_and_fit_parameters_go_down_the_steps(seed):
    rng = np.random.default_rng(seed)
    X, y, X_new = data(rng, sparse=True)
    base = pipe(MaxAbsScaler(), SelectKBest(chi2), FOREST)
    grid = list(ParameterGrid({"s1__k": [2, 4], "s2__n_estimators": [2, 3, 5]}))
    params = {"s2__sample_weight": rng.integers(1, 4, size=len(y)).astype(float)}
    (group,), n_alone = groups(base, grid)
    assert not n_alone
    check_group(group, names_of(grid), X, y, X_new, params)


def test_a_tall_and_a_wide_problem_resolve_the_solver_of_each_candidate(rng):
    base = pipe(PCA(random_state=0), SVC())
    grid = [{"s0__n_components": n} for n in (2, 10, 28, 30, None)]
    (group,), _ = groups(base, grid)
    for shape in [(600, 30), (300, 30), (550, 60)]:
        X = rng.normal(size=(shape[0] + 20, shape[1]))
        y = (X[:, 0] + X[:, 1] > 0).astype(int)
        n = shape[0]
        check_group(group, names_of(grid), X[:n], y[:n], X[n:], {})


def test_each_step_is_fitted_no_more_often_than_it_must(rng, monkeypatch):
    n_fits = {}

    def count(cls, method):
        original = getattr(cls, method)

        def counted(self, *args, **kwargs):
            n_fits[cls.__name__] = n_fits.get(cls.__name__, 0) + 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(cls, method, counted)

    base, grid = SEARCHES["polynomial, selection, ridge"]
    grid = list(ParameterGrid(grid))
    found, _ = groups(base, grid)
    for cls, method in [
        (PolynomialFeatures, "fit"),
        (StandardScaler, "fit"),
        (SelectKBest, "fit"),
        (RidgeClassifier, "fit"),
    ]:
        count(cls, method)
    X, y, _ = data(rng, sparse=False)
    for group in found:
        assert len(list(fitted(group, X, y, names=names_of(grid)))) == len(group)
    assert n_fits == {
        "PolynomialFeatures": 2,
        "StandardScaler": 2,
        "SelectKBest": 2,
        # and no RidgeClassifier: its penalties share a matrix
    }


def test_views_of_pipelines_that_differ_in_the_last_step_need_no_data(rng):
    X, y, X_new = data(rng, sparse=False)
    base = pipe(StandardScaler(), FOREST)
    group = candidates(base, [{"s1__n_estimators": n} for n in (4, 1, 2)])
    fitted_leader = leader(group).fit(X, y)
    for view, estimator in zip(views(fitted_leader, group), group, strict=True):
        separate = estimator.fit(X, y)
        np.testing.assert_array_equal(
            view.predict_proba(X_new), separate.predict_proba(X_new)
        )


def test_a_pipeline_that_differs_before_the_last_step_is_no_view(rng):
    X, y, _ = data(rng, sparse=False)
    base = pipe(PCA(2), FOREST)
    group = candidates(base, [{"s0__n_components": n} for n in (2, 3)])
    assert list(views(leader(group).fit(X, y), group))[1] is None


class Foreign(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


def test_what_draws_behind_the_step_that_differs_is_fitted_apart():
    for last, n_alone in ((RandomForestClassifier(), 2), (SVC(), 0)):
        grid = [{"s0__with_mean": True, "s1__k": k} for k in (1, 2)]
        base = pipe(StandardScaler(), SelectKBest(), last)
        assert groups(base, grid)[1] == n_alone


def test_fit_parameters_of_no_step_fail_like_a_fit_of_its_own(rng):
    X, y, _ = data(rng, sparse=False)
    base = pipe(StandardScaler(), FOREST)
    grid = [{"s1__n_estimators": n} for n in (4, 1)]
    (group,), _ = groups(base, grid)
    with pytest.raises(ValueError, match=r"sample_weight|step"):
        check_group(group, names_of(grid), X, y, X, {"sample_weight": np.ones(len(y))})


@pytest.mark.parametrize(
    "base",
    [
        pipe(Foreign(), FOREST),
        pipe(FunctionTransformer(lambda X: X), FOREST),
        pipe(StandardScaler(copy=False), FOREST),
        pipe(FunctionTransformer(normalize, kw_args={"copy": False}), FOREST),
        pipe(FunctionTransformer(partial(normalize, copy=False)), FOREST),
        pipe(FunctionTransformer(np.random.permutation), FOREST),
        pipe(FunctionTransformer(shuffle), FOREST),
        pipe(SelectKBest(mutual_info_classif), FOREST),
        pipe(FrozenEstimator(StandardScaler().fit([[0.0], [1.0]])), FOREST),
        pipe(TruncatedSVD(2), FOREST),
        pipe(KBinsDiscretizer(subsample=20), FOREST),
        pipe(StandardScaler(), RandomForestClassifier()),
        pipe(StandardScaler(), FOREST).set_output(transform="pandas"),
        Pipeline([("s0", StandardScaler()), ("s1", FOREST)], memory="cache"),
        Pipeline([("s0", StandardScaler()), ("s1", FOREST)], verbose=True),
    ],
)
def test_pipelines_whose_fits_are_not_their_parameters_share_nothing(base):
    grid = [{"s1__n_estimators": n} for n in (4, 1)]
    for estimator, params in zip(candidates(base, grid), grid, strict=True):
        assert group_key(estimator, params, names_of(grid)) is None
