"""The data of each split: when it is shared, and that nobody notices."""

from functools import wraps

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_regression
from sklearn.feature_selection import SelectKBest, f_regression, mutual_info_regression
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVR

from skhpo import GridSearch
from skhpo._evaluation import splits as splits_module
from skhpo._evaluation.splits import Splits
from skhpo._evaluation.subsamples import Subsamples
from skhpo._evaluation.trust import cannot_write

X, y = make_regression(60, 4, noise=5.0, random_state=0)


def make_splits(X=X, y=y, **params):
    params = {"fit_params": {}, "score_params": {}, **params}
    return Splits(X, y, list(KFold(3).split(X)), **params)


def test_a_shared_part_is_sliced_once_and_read_only():
    splits = make_splits(fit_params={"sample_weight": np.ones(60)})
    first, second = (splits.train((0, 1.0), Ridge(), share=True) for _ in range(2))
    assert first.X is second.X
    for array in [first.X, first.y, first.params["sample_weight"]]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_thread_that_needs_less_gets_no_part_of_another_that_needs_all():
    indices = list(KFold(3).split(X))
    splits = Splits(
        X,
        y,
        indices,
        fit_params={},
        score_params={},
        subsamples=Subsamples(indices, seed=0),
    )
    whole = splits.train((0, 1.0), Ridge(), share=True)
    splits._fraction = 0.5  # as if that thread were just being interrupted
    half = splits.train((0, 0.5), Ridge(), share=True)
    assert (len(whole.X), len(half.X)) == (40, 20)
    assert splits.train((0, 0.5), Ridge(), share=True) is half


def test_a_part_that_is_not_shared_is_sliced_for_each_fit():
    splits = make_splits()
    first, second = (splits.train((0, 1.0), Ridge(), share=False) for _ in range(2))
    assert not np.shares_memory(first.X, second.X)
    first.X[:] = 0
    np.testing.assert_array_equal(second.X, X[splits.indices[0][0]])


def test_shared_parts_stay_under_the_cap(monkeypatch):
    splits = make_splits()
    one_part = splits.train((0, 1.0), Ridge(), share=False)
    n_bytes = one_part.X.nbytes + one_part.y.nbytes
    monkeypatch.setattr(splits_module, "MAX_SHARED_BYTES", 2 * n_bytes)
    parts = [splits.train((i, 1.0), Ridge(), share=True) for i in range(3)]
    assert [part.shared for part in parts] == [True, True, False]
    assert parts[2].X.flags.writeable


@pytest.mark.parametrize(
    "estimator, expected",
    [
        (Ridge(), True),
        (Ridge(copy_X=False), False),
        (make_pipeline(StandardScaler(), Ridge()), True),
        (make_pipeline(StandardScaler(copy=False), Ridge()), False),
        (make_pipeline(FunctionTransformer(np.negative), Ridge()), False),
        (make_pipeline("passthrough", Ridge()), True),
        (make_pipeline(SelectKBest(f_regression), Ridge()), True),
        (make_pipeline(SelectKBest(mutual_info_regression), Ridge()), False),
        (make_pipeline(SelectKBest(wraps(f_regression)(np.dot)), Ridge()), False),
        (make_column_transformer((Ridge(), make_column_selector("a"))), True),
        (make_column_transformer((Ridge(), lambda X: [0])), False),
        (type("Mine", (Ridge,), {})(), False),
    ],
)
def test_only_scikit_learns_own_classes_count_as_harmless(estimator, expected):
    assert cannot_write(estimator) is expected


class Vandal(RegressorMixin, BaseEstimator):
    """Write into everything it is given."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y, sample_weight=None):
        self.model_ = LinearRegression().fit(X.copy(), y.copy(), sample_weight)
        X *= 2
        y += 1
        if sample_weight is not None:
            sample_weight[:] = 0
        return self

    def predict(self, X):
        prediction = self.model_.predict(X.copy()) + self.shift
        X[:] = np.nan
        return prediction


def vandal_metric(y_true, y_pred):
    score = r2_score(y_true, y_pred)
    y_true[:] = 0
    return score


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    "estimator, grid",
    [
        (Vandal(), {"shift": [0.0, 1.0, 2.0]}),
        (make_pipeline(StandardScaler(), Vandal()), {"vandal__shift": [0.0, 1.0]}),
        (Ridge(), {"copy_X": [False, True], "alpha": [0.1, 1.0]}),
        (
            make_pipeline(StandardScaler(copy=False), SVR()),
            {"svr__C": [0.1, 1.0, 10.0]},
        ),
        (
            make_pipeline(StandardScaler(), SVR()),
            {"standardscaler": [StandardScaler(copy=False), "passthrough", None]},
        ),
    ],
)
@pytest.mark.parametrize("scoring", [None, make_scorer(vandal_metric)])
def test_fits_do_not_see_each_others_damage(estimator, grid, scoring, n_jobs):
    options = {"scoring": scoring, "return_train_score": True, "refit": False}
    weight = np.linspace(1, 2, 60)
    expected = GridSearchCV(estimator, grid, **options).fit(X.copy(), y.copy())
    mine_X, mine_y, mine_weight = X.copy(), y.copy(), weight.copy()
    found = GridSearch(estimator, grid, n_jobs=n_jobs, **options).fit(mine_X, mine_y)
    for key, values in expected.cv_results_.items():
        if "score_" not in key and key.endswith("score"):
            np.testing.assert_array_equal(found.cv_results_[key], values, err_msg=key)
    np.testing.assert_array_equal(mine_X, X)
    np.testing.assert_array_equal(mine_y, y)
    np.testing.assert_array_equal(mine_weight, weight)


def test_a_class_that_breaks_its_promise_gets_data_of_its_own(monkeypatch):
    class Liar(Vandal):
        __module__ = "sklearn.liar"

    grid = {"shift": [0.0, 1.0]}
    found = GridSearch(Liar(), grid, refit=False, scoring="r2").fit(X, y)
    expected = GridSearchCV(Vandal(), grid, refit=False, scoring="r2").fit(X, y)
    assert found.n_fits_ == 10
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


class LeavesOneEmpty(KFold):
    """A splitter with one test part more than it has rows for."""

    def get_n_splits(self, X=None, y=None, groups=None):
        return super().get_n_splits() + 1

    def split(self, X, y=None, groups=None):
        yield from super().split(X)
        yield np.arange(len(X)), np.array([], int)


def test_an_empty_test_part_that_a_splitter_makes_is_left_to_the_scorer():
    def score(estimator, X, y):
        return float(len(X))

    search = GridSearch(Ridge(), {"alpha": [1.0]}, cv=LeavesOneEmpty(2), scoring=score)
    with pytest.warns(UserWarning, match=r"LeavesOneEmpty\(.* of split 2 empty"):
        search.fit(X, y)
    assert search.cv_results_["split2_test_score"] == [0.0]
