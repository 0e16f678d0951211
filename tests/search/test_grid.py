"""GridSearch beyond GridSearchCV: repeated rows, huge grids, what it tells after."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from skhpo import Categorical, GridSearch, Integer, Real

X, y = load_iris(return_X_y=True)


def test_repeated_rows_share_one_evaluation_of_a_seeded_estimator(capsys):
    grid = {"max_depth": [1, 2, 1, 1.0, 2]}
    search = GridSearch(DecisionTreeClassifier(random_state=0), {}, verbose=2)
    search.set_params(param_grid={"max_depth": [1, 2, 1, 2]}).fit(X, y)
    expected = GridSearchCV(search.estimator, search.param_grid).fit(X, y)
    assert search.cv_results_["params"] == expected.cv_results_["params"]
    for key in ["mean_test_score", "rank_test_score", "split3_test_score"]:
        np.testing.assert_array_equal(
            search.cv_results_[key], expected.cv_results_[key]
        )
    assert [trial.group for trial in search.trials_] == [0, 1, 0, 1]
    assert (search.n_candidates_, search.n_fits_) == (4, 10)
    output = capsys.readouterr().out
    assert "for each of 4 candidates, totalling 20 fits" in output
    assert output.count("END") == 20
    assert grid["max_depth"][3] == 1.0


def test_repeated_rows_of_an_unseeded_estimator_show_their_noise():
    grid = {"n_estimators": [3] * 6}
    search = GridSearch(RandomForestClassifier(), grid).fit(X, y)
    assert search.n_fits_ == 30
    assert len(set(search.cv_results_["mean_fit_time"])) == 6
    seeded = {"n_estimators": [3, 3], "random_state": [None, 0]}
    search = GridSearch(RandomForestClassifier(random_state=0), seeded).fit(X, y)
    # Only the two rows with a seed share.
    assert search.n_fits_ == 15


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_values_that_differ_in_type_are_not_the_same(n_jobs):
    grid = {"C": [1, 1.0, np.float64(1.0), np.int64(1)]}
    search = GridSearch(LogisticRegression(random_state=0, max_iter=500), grid)
    search.set_params(n_jobs=n_jobs).fit(X, y)
    assert [trial.group for trial in search.trials_] == [0, 1, 2, 3]


def test_overlapping_grids_share_their_rows():
    grid = [{"C": [1, 10]}, {"C": [10, 100]}]
    search = GridSearch(SVC(random_state=0), grid).fit(X, y)
    assert search.cv_results_["params"] == [{"C": c} for c in [1, 10, 10, 100]]
    assert search.n_fits_ == 15


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_repeated_row_has_one_score_under_splits_that_are_drawn_at_random(n_jobs):
    cv = ShuffleSplit(5, random_state=np.random.RandomState(0))
    search = GridSearch(SVC(), {"C": [1.0, 2.0, 1.0]}, cv=cv, n_jobs=n_jobs).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == scores[2]


def test_a_grid_that_nothing_bounds_is_refused_with_its_size():
    grid = {"C": list(range(1, 10**4)), "gamma": list(range(1, 10**4))}
    with pytest.raises(ValueError, match=r"99980001 points.*RandomSearch with n_iter"):
        GridSearch(SVC(), grid).fit(X, y)


def test_finite_dimensions_stand_for_their_values():
    grid = {"C": Integer(1, 3), "kernel": Categorical(["linear", "rbf"])}
    search = GridSearch(SVC(), grid).fit(X, y)
    expected = GridSearchCV(SVC(), {"C": [1, 2, 3], "kernel": ["linear", "rbf"]})
    assert search.cv_results_["params"] == expected.fit(X, y).cv_results_["params"]


def test_a_continuous_dimension_is_refused_by_name():
    with pytest.raises(TypeError, match=r"param_grid\['C'\] = .*give a list"):
        GridSearch(SVC(), {"C": Real(1, 3)}).fit(X, y)


def test_a_misspelt_name_is_refused_before_any_fit():
    search = GridSearch(make_pipeline(StandardScaler(), SVC()), {"svc__gama": [1, 2]})
    with pytest.raises(ValueError, match="Did you mean 'svc__gamma'"):
        search.fit(X, y)


def test_the_search_says_what_it_did():
    search = GridSearch(SVC(), {"C": [1, 10]}, cv=3).fit(X, y)
    assert search.stop_reason_ == "all candidates evaluated"
    assert (search.n_candidates_, search.n_fits_) == (2, 6)
    assert search.search_time_ > 0
    assert [trial.params for trial in search.trials_] == search.cv_results_["params"]
    trial = search.trials_[1]
    assert (trial.number, trial.status, trial.n_splits_done) == (1, "complete", 3)
    assert trial.errors == {}


@pytest.mark.parametrize(
    "inner", [StandardScaler(), SimpleImputer(), SVC(), DecisionTreeClassifier()]
)
def test_tags_follow_the_inner_estimator(inner):
    found, expected = get_tags(GridSearch(inner, {})), get_tags(inner)
    assert found.transformer_tags == expected.transformer_tags
    assert found.input_tags.allow_nan == expected.input_tags.allow_nan
    assert found.estimator_type == expected.estimator_type


def test_a_clone_is_unfitted_and_equal():
    search = GridSearch(SVC(), {"C": [1, 10]}).fit(X, y)
    copy = clone(search)
    assert not hasattr(copy, "trials_")
    assert repr(copy) == repr(search)
