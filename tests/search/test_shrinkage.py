"""Many scales of a BlockScaler, shrunk as much as it takes."""

import pickle
import time

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, make_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhpo import BlockScaler, HypergradSearch, Real

X, y, COEF = make_regression(
    120, 40, n_informative=3, noise=30, coef=True, random_state=0
)
X_cancer, y_cancer = load_breast_cancer(return_X_y=True)
RIDGE = make_pipeline(StandardScaler(), BlockScaler("each"), Ridge())
MSE = "neg_mean_squared_error"


def space(n):
    return {f"blockscaler__x{j}": Real(1e-3, 1e3, log=True) for j in range(n)}


def ridge(n=40, **options):
    return HypergradSearch(
        RIDGE, space(n), **{"n_iter": 300, "scoring": MSE, **options}
    )


@pytest.fixture(scope="module")
def automatic():
    return ridge(shrinkage="auto").fit(X, y)


def losses(trial):
    return np.array([split.derivative.loss for split in trial.splits])


def test_infinite_shrinkage_is_a_single_penalty():
    found = ridge(shrinkage=np.inf).fit(X, y)
    grid = {"ridge__alpha": np.logspace(0, 3, 60)}
    expected = GridSearchCV(RIDGE, grid, scoring=MSE).fit(X, y)
    assert found.best_score_ == pytest.approx(expected.best_score_, rel=2e-4)
    ratio = found.best_params_["blockscaler__x0"] ** -2
    ratio /= expected.best_params_["ridge__alpha"]
    assert 0.8 < ratio < 1.25
    assert found.shrinkage_ == np.inf
    assert np.isnan(found.optimism_)
    assert len(set(found.best_params_.values())) == 1
    # The first row is the estimator as it is.
    assert set(found.cv_results_["params"][0].values()) == {1.0}


def test_few_features_that_matter_are_found(automatic):
    one = ridge(shrinkage=np.inf).fit(X, y)
    assert automatic.shrinkage_ <= 1
    assert automatic.best_score_ > one.best_score_
    scales = np.array([automatic.best_params_[name] for name in space(40)])
    assert scales[COEF != 0].min() > np.median(scales[COEF == 0])


def test_the_best_row_is_the_chosen_one_and_not_that_of_the_best_score(automatic):
    search = automatic
    # Descents with ever less shrinkage have better scores.
    assert search.best_score_ < search.cv_results_["mean_test_score"].max()
    trial = search.trials_[search.best_index_]
    assert trial.params == search.best_params_
    tuned = losses(trial).mean()
    assert -search.best_score_ == pytest.approx(tuned, rel=1e-6)
    assert 0 < search.optimism_ < 0.5 * tuned
    assert search.stop_reason_.startswith("converged")


def test_a_callable_refit_chooses_for_itself():
    def first(results):
        return 0

    search = ridge(shrinkage="auto", refit=first, n_iter=10).fit(X, y)
    assert search.best_index_ == 0
    # Of a row that it has not chosen itself, the search knows what led to it.
    assert search.shrinkage_ == np.inf
    assert np.isnan(search.optimism_)


@pytest.mark.parametrize("n_iter", [1, 2, 3])
@pytest.mark.parametrize("shrinkage", ["auto", None, 0.1, np.inf])
def test_a_search_that_ends_at_once_says_how_far_it_came(shrinkage, n_iter):
    search = ridge(shrinkage=shrinkage, n_iter=n_iter).fit(X, y)
    assert search.n_candidates_ == n_iter
    assert search.shrinkage_ == np.inf
    assert np.isnan(search.optimism_)
    mean = [losses(trial).mean() for trial in search.trials_]
    assert search.best_index_ == np.argmin(mean)
    strengths = {0.1: "0.1", np.inf: "inf"}.get(shrinkage, "inf, 10, 1, 0.1, 0.01")
    end = f"n_iter candidates evaluated; not tried to the end: shrinkage = {strengths}"
    assert search.stop_reason_ == end


def test_the_default_n_iter_names_what_it_leaves_untried():
    search = ridge(shrinkage="auto", n_iter=50).fit(X, y)
    assert search.stop_reason_.startswith("n_iter candidates evaluated; not tried")
    assert search.stop_reason_.endswith(", 0.1, 0.01")
    assert np.isfinite(search.optimism_)


def test_a_timeout_leaves_what_there_is(tmp_path):
    def score(estimator, X, y):
        with (tmp_path / "scored").open("a+") as file:
            file.write("1")
            if file.tell() > 10:
                time.sleep(60)
        return estimator.score(X, y)

    search = ridge(shrinkage="auto", scoring=score, smooth_scoring="r2", n_iter=2)
    search.set_params(checkpoint=tmp_path / "fits").fit(X, y)
    # What is recorded is recalled; there is no time for more.
    search.set_params(n_iter=300, timeout=0.5).fit(X, y)
    assert search.n_candidates_ == 2
    assert search.shrinkage_ == np.inf
    assert np.isnan(search.optimism_)
    assert search.stop_reason_ == (
        "timeout reached; not tried to the end: shrinkage = inf, 10, 1, 0.1, 0.01"
    )


@pytest.mark.parametrize("shrinkage", ["auto", 0.1])
def test_an_interruption_leaves_what_there_is(shrinkage):
    calls = []

    def score(estimator, X, y):
        calls.append(estimator)
        if len(calls) > 12:
            raise KeyboardInterrupt
        return estimator.score(X, y)

    search = ridge(shrinkage=shrinkage, scoring=score, smooth_scoring="r2")
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert search.n_candidates_ == 2
    assert search.shrinkage_ == np.inf
    assert np.isnan(search.optimism_)
    assert search.stop_reason_.startswith("interrupted; not tried to the end: shr")


def test_without_a_best_candidate_it_is_that_of_the_least_loss(automatic):
    search = ridge(
        shrinkage="auto", scoring=[MSE, "r2"], refit=False, smooth_scoring=MSE
    ).fit(X, y)
    assert not hasattr(search, "best_index_")
    assert search.shrinkage_ == automatic.shrinkage_
    assert search.optimism_ == automatic.optimism_


def test_the_best_candidate_may_have_no_scales_to_shrink():
    space_without = [{**space(40)}, {"blockscaler": ["passthrough"]}]
    search = ridge(n_iter=40, cv=3).set_params(param_distributions=space_without)
    noise = np.random.default_rng(0).normal(size=len(y))
    search.set_params(refit=lambda results: len(results["params"]) - 1).fit(X, noise)
    assert "blockscaler" in search.best_params_
    assert search.shrinkage_ == 0
    assert np.isnan(search.optimism_)


def test_workers_do_not_matter(automatic):
    alone = automatic
    two = ridge(shrinkage="auto", n_jobs=2).fit(X, y)
    assert alone.cv_results_["params"] == two.cv_results_["params"]
    assert alone.best_index_ == two.best_index_
    assert alone.optimism_ == two.optimism_


def test_the_order_of_columns_does_not_matter(automatic):
    order = np.random.default_rng(0).permutation(40)
    found = automatic
    other = ridge(shrinkage="auto").fit(X[:, order], y)
    assert other.shrinkage_ == found.shrinkage_
    assert other.best_score_ == pytest.approx(found.best_score_, rel=1e-6)
    assert other.optimism_ == pytest.approx(found.optimism_, rel=1e-4)


def test_many_scales_are_shrunk_unless_told_otherwise():
    assert hasattr(ridge(9, n_iter=20).fit(X, y), "shrinkage_")
    assert not hasattr(ridge(8, n_iter=20).fit(X, y), "shrinkage_")
    search = ridge(9, n_iter=20, shrinkage=0).fit(X, y)
    assert not hasattr(search, "shrinkage_")
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    search.set_params(shrinkage=1.0).fit(X, y)
    assert search.shrinkage_ == 1.0
    search.set_params(shrinkage=0).fit(X, y)
    assert not hasattr(search, "shrinkage_")


def test_other_hyperparameters_are_searched_along():
    penalty = {"ridge__alpha": Real(1e-2, 1e2, log=True)}
    search = clone(ridge()).set_params(param_distributions={**space(40), **penalty})
    search.set_params(shrinkage=0.1).fit(X, y)
    alone = ridge(shrinkage=0.1).fit(X, y)
    # alpha is what a common scale is.
    assert search.best_score_ == pytest.approx(alone.best_score_, rel=2e-2)


def test_choices_around_it_compete_by_their_chosen_rows():
    both = {**space(40), "ridge__fit_intercept": [True, False]}
    search = ridge(n_iter=60, cv=3).set_params(param_distributions=both).fit(X, y + 50)
    assert search.best_params_["ridge__fit_intercept"]
    assert np.isfinite(search.optimism_)


ONE_SPLIT = ridge(cv=ShuffleSplit(1, random_state=0))
FEW_ROWS = ridge().set_params(
    n_iter=5,
    param_distributions={**space(40), "ridge__fit_intercept": [True, False]},
)
IMPOSSIBLE = [
    (ONE_SPLIT, "there is a single one"),
    (FEW_ROWS, "set shrinkage=0"),
]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (ridge(shrinkage=-1.0), "'shrinkage' parameter"),
        (ridge(shrinkage="much"), "'shrinkage' parameter"),
        (ridge(1, shrinkage="auto"), "no two scales of one BlockScaler"),
        (clone(ONE_SPLIT).set_params(shrinkage="auto"), "gives a single one"),
        (clone(FEW_ROWS).set_params(shrinkage="auto"), "set shrinkage=0"),
    ],
)
def test_what_cannot_be_shrunk_is_refused_before_any_fit(search, message, monkeypatch):
    monkeypatch.setattr(Ridge, "fit", None)
    with pytest.raises(ValueError, match=message):
        search.fit(X, y)
    pickle.loads(pickle.dumps(search))


@pytest.mark.parametrize(("search", "message"), IMPOSSIBLE)
def test_what_is_not_shrunk_unasked_is_said(search, message):
    search = clone(search)
    with pytest.warns(UserWarning, match=message):
        search.fit(X, y)
    if message == "set shrinkage=0":
        assert not hasattr(search, "shrinkage_")
        assert not hasattr(search, "optimism_")
        assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    else:
        assert search.shrinkage_ == np.inf
        assert np.isnan(search.optimism_)


def outer_losses(shrinkage, seed):
    parts = train_test_split(
        X_cancer, y_cancer, test_size=0.3, random_state=seed, stratify=y_cancer
    )
    model = make_pipeline(
        StandardScaler(), BlockScaler("each"), LogisticRegression(max_iter=10_000)
    )
    search = HypergradSearch(
        model,
        space(30),
        n_iter=200 if shrinkage else 60,
        shrinkage=shrinkage,
        scoring="neg_log_loss",
    ).fit(parts[0], parts[2])
    return log_loss(parts[3], search.predict_proba(parts[1]))


@pytest.mark.slow
def test_the_outer_loss_is_not_ruined_where_features_nearly_separate_the_classes():
    """On two splits of breast_cancer; without shrinkage it is, as a control."""
    ratios = {0: [], "auto": []}
    for seed in range(2):
        single = outer_losses(np.inf, seed)
        for shrinkage, found in ratios.items():
            found.append(outer_losses(shrinkage, seed) / single)
    assert np.mean(ratios["auto"]) < 1.03
    assert np.mean(ratios[0]) > 1.15


@pytest.mark.slow
def test_the_outer_loss_gains_where_few_features_matter():
    gains = []
    for seed in range(3):
        data = make_regression(300, 60, n_informative=3, noise=30, random_state=seed)
        parts = train_test_split(*data, test_size=0.5, random_state=seed)
        cv = KFold(5, shuffle=True, random_state=0)
        found = {
            shrinkage: ridge(60, shrinkage=shrinkage, cv=cv).fit(parts[0], parts[2])
            for shrinkage in ("auto", np.inf)
        }
        scores = {k: s.score(parts[1], parts[3]) for k, s in found.items()}
        gains.append(scores["auto"] / scores[np.inf])
    assert np.max(gains) < 1.02
    assert np.mean(gains) < 0.95


def test_a_small_problem_of_the_past_still_has_its_two_penalties():
    X, y = load_diabetes(return_X_y=True)
    model = make_pipeline(
        StandardScaler(), BlockScaler({"a": slice(0, 4), "b": slice(4, 10)}), Ridge()
    )
    names = {f"blockscaler__{name}": Real(1e-3, 1e3, log=True) for name in "ab"}
    search = HypergradSearch(model, names).fit(X, y)
    assert search.best_index_ == search.cv_results_["mean_test_score"].argmax()
