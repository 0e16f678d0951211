"""Fitted steps that candidates share transform each part once."""

import warnings
from functools import partial

import numpy as np
import pytest
from oracle import assert_same_results
from scipy.sparse import csr_matrix
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectKBest
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from skhpo import GridSearch
from skhpo._evaluation.splits import Part
from skhpo._evaluation.steps import SharedSteps

X, y = make_classification(90, 6, random_state=0)
MODEL = make_pipeline(MinMaxScaler(), SelectKBest(k=4), PCA(), LogisticRegression())
SPACE = {"pca__n_components": [1, 2, 3], "logisticregression__C": [0.1, 1.0, 10.0]}
OPTIONS = {"cv": 3, "return_train_score": True}


def theirs(model=MODEL, space=SPACE, **options):
    return GridSearchCV(model, space, **{**OPTIONS, **options}).fit(X, y)


def ours(model=MODEL, space=SPACE, **options):
    return GridSearch(model, space, **{**OPTIONS, **options}).fit(X, y)


@pytest.fixture
def transformed(monkeypatch):
    """Lists the numbers of samples that steps transform, by class."""
    ours(refit=False)  # families are tried once in a process
    n_samples = {MinMaxScaler: [], SelectKBest: [], PCA: []}
    for cls, found in n_samples.items():

        def transform(self, X, *, cls=cls, found=found, real=cls.transform):
            found.append(len(X))
            return real(self, X)

        monkeypatch.setattr(cls, "transform", transform)
    return n_samples


@pytest.mark.parametrize("scoring", [None, "roc_auc"])
def test_each_step_transforms_each_part_once(transformed, scoring):
    search = ours(scoring=scoring, refit=False)
    # 27 fits on three splits, of which each is divided once at most.
    for cls, n_distinct in {MinMaxScaler: 1, SelectKBest: 1, PCA: 3}.items():
        n_held_out = transformed[cls].count(30)
        assert 3 * n_distinct <= n_held_out <= 6 * n_distinct
        # In `fit_transform`, and for the score of the fit's part.
        assert transformed[cls].count(60) == 2 * n_held_out
    expected = theirs(scoring=scoring, refit=False)
    assert_same_results(search.cv_results_, expected.cv_results_)


def test_a_scorer_of_the_users_sees_the_whole(transformed):
    def score(estimator, X, y):
        assert type(estimator) is Pipeline and len(estimator) == 4
        assert X.shape[1] == 6
        return estimator.score(X, y)

    search = ours(scoring=score, refit=False)
    assert transformed[MinMaxScaler].count(30) == 27
    assert_same_results(search.cv_results_, theirs(refit=False).cv_results_)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(copy=False), PCA(), LogisticRegression()),
        make_pipeline(FunctionTransformer(np.negative), PCA(), LogisticRegression()),
    ],
)
def test_behind_steps_that_may_write_it_is_the_same(model):
    search = ours(model, refit=False)
    expected = theirs(model, refit=False)
    assert_same_results(search.cv_results_, expected.cv_results_)


def test_a_metric_of_the_users_may_write():
    def metric(y_true, y_pred):
        score = accuracy_score(y_true, y_pred)
        y_true[:] = 0
        return score

    search = ours(scoring=make_scorer(metric))
    assert_same_results(search.cv_results_, theirs(scoring="accuracy").cv_results_)


def test_a_score_that_fails_is_scikit_learns():
    model = make_pipeline(MinMaxScaler(), SVC(random_state=0))
    space = {"svc__C": [1.0, 2.0], "svc__decision_function_shape": ["ovr", "ovo"]}
    options = dict(scoring="neg_log_loss", refit=False)
    found = []
    for search in (ours, theirs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results = search(model, space, **options).cv_results_
        texts = [str(w.message) for w in caught if "Scoring failed" in str(w.message)]
        assert len(texts) == 24
        assert np.isnan(results["mean_test_score"]).all()
        assert np.isnan(results["mean_train_score"]).all()
        found.append({text.splitlines()[-1] for text in texts})
    assert found[0] == found[1]


@pytest.mark.parametrize("scoring", ["r2", ["r2", "neg_mean_squared_error"]])
def test_each_candidate_has_its_own_draws_of_missing_values(scoring):
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    imputer = IterativeImputer(sample_posterior=True, random_state=0, max_iter=2)
    search = make_pipeline(imputer, Ridge()), {"ridge__alpha": [0.1, 1.0, 10.0]}
    options = dict(cv=3, return_train_score=True, scoring=scoring, refit=False)
    found, expected = (
        cls(*search, **options).fit(holes, y) for cls in (GridSearch, GridSearchCV)
    )
    assert_same_results(found.cv_results_, expected.cv_results_)


def unsorted(X):
    """Give a sparse matrix whose rows have their entries in reverse."""
    X = csr_matrix(X)
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:end] = X.indices[start:end][::-1]
        X.data[start:end] = X.data[start:end][::-1]
    X.has_sorted_indices = False
    return X


def test_who_sorts_features_sorts_a_copy():
    model = make_pipeline(FunctionTransformer(unsorted), LogisticRegression())
    model.fit(X, y)
    strip = partial(SharedSteps().strip, model, Part(X, y, {}))
    first, part = strip()
    assert first is model[-1]
    before = part.X.indices.copy()
    part.X.sort_indices()
    assert (part.X.indices != before).any()
    _, again = strip()
    np.testing.assert_array_equal(again.X.indices, before)


def test_features_cannot_be_written_to():
    model = MODEL.fit(X, y)
    _, part = SharedSteps().strip(model, Part(X, y, {}))
    with pytest.raises(ValueError, match="read-only"):
        part.X[0] = 0


@pytest.mark.parametrize(
    "estimator, params",
    [
        (LogisticRegression(), {}),
        (make_pipeline(MinMaxScaler(), "passthrough"), {}),
        (MODEL, {"other": 1}),
    ],
)
def test_what_is_no_pipeline_or_asks_for_more_stays_whole(estimator, params):
    part = Part(X, y, params)
    found = SharedSteps().strip(estimator.fit(X, y), part)
    assert found == (estimator, part)
