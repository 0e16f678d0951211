"""HypergradSearch as its users call it."""

import warnings

import numpy as np
import pytest
from joblib import parallel_config
from scipy.sparse import csr_array, csr_matrix
from scipy.spatial.distance import cdist
from scipy.stats import expon, gamma, halfnorm, loguniform, poisson
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_wine,
    make_classification,
    make_regression,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectPercentile
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    RidgeCV,
)
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from skhpo import BlockScaler, HypergradSearch, Integer, Real
from skhpo._evaluation.looks import complete, look_from
from skhpo.hypergradients.path import Path

X, y = load_breast_cancer(return_X_y=True)
X_diabetes, y_diabetes = load_diabetes(return_X_y=True)
LOG = Real(1e-4, 1e4, log=True)
LOGISTIC = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
SPACE = {"logisticregression__C": LOG}


def logistic(**options):
    return HypergradSearch(LOGISTIC, SPACE, scoring="neg_log_loss", **options)


def scores_of(search):
    return search.cv_results_["mean_test_score"]


def test_a_handful_of_fits_beats_a_grid():
    search = logistic().fit(X, y)
    grid = {"logisticregression__C": np.logspace(-4, 4, 30)}
    reference = GridSearchCV(LOGISTIC, grid, scoring="neg_log_loss").fit(X, y)
    assert search.best_score_ >= reference.best_score_
    assert search.n_candidates_ <= 6
    assert search.stop_reason_.startswith("converged")


@pytest.mark.parametrize("start", [1e-3, 0.1, 30.0, 1e3])
def test_every_start_comes_to_the_same_end(start):
    estimator = clone(LOGISTIC).set_params(logisticregression__C=start)
    search = HypergradSearch(estimator, SPACE, scoring="neg_log_loss").fit(X, y)
    assert search.cv_results_["params"][0] == {"logisticregression__C": start}
    assert search.best_score_ == pytest.approx(-0.07902, abs=2e-4)
    assert search.n_candidates_ <= 8


def test_rows_are_fits_of_the_estimator_like_any_others():
    search = logistic(return_train_score=True).fit(X, y)
    for row, params in enumerate(search.cv_results_["params"]):
        expected = cross_val_score(
            clone(LOGISTIC).set_params(**params), X, y, scoring="neg_log_loss"
        )
        found = [search.cv_results_[f"split{k}_test_score"][row] for k in range(5)]
        np.testing.assert_array_equal(found, expected)


def test_steps_before_the_first_that_is_searched_are_fitted_once(monkeypatch):
    # Where nothing is shared, there are no looks; here there are none for either.
    monkeypatch.setattr("skhpo._evaluation.looks.MAX_LOOKED_BYTES", 0)
    fits = []

    def look(X):
        fits.append(X.shape)
        return X

    estimator = make_pipeline(
        StandardScaler(), FunctionTransformer(look), Nystroem(random_state=0), Ridge()
    )
    # Only what cannot write to its data is shared, and a function may.
    space = {"nystroem__gamma": Real(1e-3, 1, log=True), "ridge__alpha": LOG}
    found = HypergradSearch(estimator, space, n_iter=4, cv=3)
    found.fit(X_diabetes, y_diabetes)
    assert len(fits) > 20
    estimator.set_params(functiontransformer="passthrough")
    shared = clone(found).set_params(estimator=estimator).fit(X_diabetes, y_diabetes)
    np.testing.assert_allclose(scores_of(shared), scores_of(found), rtol=1e-9)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_results_do_not_depend_on_the_workers(backend):
    expected = logistic().fit(X, y)
    with parallel_config(backend):
        found = logistic(n_jobs=2).fit(X, y)
    assert found.cv_results_["params"] == expected.cv_results_["params"]
    np.testing.assert_array_equal(scores_of(found), scores_of(expected))


def test_scores_behind_a_prefix_are_those_of_whole_fits():
    estimator = make_pipeline(
        PolynomialFeatures(2), StandardScaler(), Lasso(max_iter=100_000)
    )
    space = {"lasso__alpha": Real(1e-2, 1e2, log=True)}
    search = HypergradSearch(estimator, space).fit(X_diabetes, y_diabetes)
    best = clone(estimator).set_params(**search.best_params_)
    expected = cross_val_score(best, X_diabetes, y_diabetes)
    row = search.best_index_
    found = [search.cv_results_[f"split{k}_test_score"][row] for k in range(5)]
    np.testing.assert_array_equal(found, expected)


WEIGHT = np.random.default_rng(0).uniform(0.2, 2, 200)
X_three, y_three = make_classification(
    200, 12, n_informative=5, n_classes=3, flip_y=0.2, random_state=0
)
X_count, y_count = make_regression(200, 12, noise=50, n_informative=4, random_state=0)
LOOKED_AT = [
    (LogisticRegression(tol=1e-8), "C", X_three, y_three == 1),
    (LogisticRegression(tol=1e-8, class_weight="balanced"), "C", X_three, y_three),
    (LogisticRegression(tol=1e-8), "C", csr_array(X_three), y_three == 0),
    (LogisticRegression(tol=1e-8), "C", csr_matrix(X_three), y_three),
    (Ridge(), "alpha", X_count, y_count),
    (Ridge(), "alpha", X_count, np.column_stack([y_count, -y_count[::-1]])),
    (Lasso(tol=1e-8), "alpha", X_count, y_count),
    (ElasticNet(tol=1e-8), "alpha", X_count, y_count),
    (PoissonRegressor(tol=1e-8), "alpha", X_count, np.exp(y_count / 200)),
    (LinearSVR(loss="squared_epsilon_insensitive"), "C", X_count, y_count / 100),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("estimator", "name", "features", "target"), LOOKED_AT)
def test_between_start_and_end_it_only_looks(
    estimator, name, features, target, weighted
):
    if weighted and np.ndim(target) == 2:
        return
    estimator = clone(estimator).set_params(max_iter=10_000)
    scoring = "neg_log_loss" if name == "C" else "neg_mean_squared_error"
    if type(estimator) is LinearSVR:
        scoring = "neg_mean_squared_error"
    weight = {"sample_weight": WEIGHT} if weighted else {}
    options = dict(scoring=scoring, cv=3)
    search = HypergradSearch(estimator, {name: LOG}, **options)
    search.fit(features, target, **weight)
    assert search.n_candidates_ == 2
    grid = {name: search.best_params_[name] * np.geomspace(0.5, 2, 9)}
    near = GridSearchCV(estimator, grid, **options).fit(features, target, **weight)
    best = near.best_score_ + 2e-4 * abs(near.best_score_)
    # Losses count weights, scores that are not routed do not.
    assert weighted or search.best_score_ >= best - 4e-4 * abs(best)
    there = clone(estimator).set_params(**search.best_params_)
    (row,) = (
        HypergradSearch(there, {name: LOG}, n_iter=1, **options)
        .fit(features, target, **weight)
        .trials_
    )
    losses = [split.derivative.loss for split in row.splits]
    slopes = [split.derivative.slopes[name] for split in row.splits]
    assert abs(np.mean(slopes)) * search.best_params_[name] < 0.02 * np.mean(losses)
    # What only confirms has the loss of its fits.
    end = [split.derivative for split in search.trials_[1].splits]
    np.testing.assert_allclose([d.loss for d in end], losses, rtol=1e-2)
    assert not any(d.slopes for d in end)


@pytest.mark.parametrize("start", [1e-4, 0.02, 1e4])
def test_from_wherever_it_starts_it_looks_its_way_to_one_end(start):
    estimator = LogisticRegression(C=start, tol=1e-6, max_iter=10_000)
    options = dict(scoring="neg_log_loss", cv=4)
    search = HypergradSearch(estimator, {"C": LOG}, **options)
    search.fit(X_three, y_three)
    assert search.n_candidates_ == 2
    there = clone(estimator).set_params(C=0.03)
    end = clone(search).set_params(estimator=there).fit(X_three, y_three)
    assert search.best_params_["C"] == pytest.approx(end.best_params_["C"], rel=0.1)
    assert search.best_score_ == pytest.approx(end.best_score_, rel=1e-4)
    # Of the start there are slopes only where all splits went on from it.
    slopes = [split.derivative.slopes for split in search.trials_[0].splits]
    assert all(slopes) == (start == 0.02)


@pytest.mark.parametrize("start", [1e-4, 0.3, 1e4])
@pytest.mark.parametrize(
    "model", [LogisticRegression(max_iter=1000), RidgeClassifier()]
)
def test_splits_may_be_trained_on_different_classes(model, start):
    n = len(y_three)
    folds = np.array_split(np.flatnonzero(y_three != 2), 4)
    folds[0] = np.append(folds[0], np.flatnonzero(y_three == 2))
    cv = [(np.setdiff1d(np.arange(n), fold), fold) for fold in folds]
    (name,) = {"C", "alpha"} & set(model.get_params())
    model = clone(model).set_params(**{name: start})
    ends = []
    for splits in cv, cv[::-1]:
        search = HypergradSearch(model, {name: LOG}, scoring="accuracy", cv=splits)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            trials = search.fit(X_three, y_three).trials_
        ends.append(min(np.mean([s.derivative.loss for s in t.splits]) for t in trials))
    np.testing.assert_allclose(*ends, rtol=2e-3)


MAPPED = (
    make_pipeline(StandardScaler(), Nystroem(n_components=30, random_state=0), Ridge()),
    {"nystroem__gamma": Real(1e-3, 10, log=True), "ridge__alpha": LOG},
    (X_diabetes, y_diabetes),
)
# A step that no candidate changes draws the same in each of its fits.
_SAMPLER = RBFSampler(
    gamma=0.05, n_components=30, random_state=np.random.RandomState(0)
)
DRAWING = (
    make_pipeline(StandardScaler(), _SAMPLER, Ridge(1e-3)),
    {"ridge__alpha": LOG},
    (X_diabetes, y_diabetes),
)


@pytest.mark.parametrize(
    ("estimator", "space", "data"),
    [
        (LOGISTIC, SPACE, (X, y)),
        (Lasso(0.1), {"alpha": Real(1e-3, 10, log=True)}, (X_diabetes, y_diabetes)),
        MAPPED,
        DRAWING,
    ],
    ids=["logistic", "lasso", "map", "drawing"],
)
def test_looks_depend_on_neither_workers_nor_limits(estimator, space, data, tmp_path):
    search = HypergradSearch(estimator, space)
    expected = rows(clone(search).fit(*data))
    assert len(expected) <= 4
    if estimator is LOGISTIC:
        again = clone(search).set_params(timeout=1000.0).fit(*data)
        assert rows(again) == expected
    with parallel_config("threading"):
        again = clone(search).set_params(n_jobs=2).fit(*data)
    assert rows(again) == expected
    search.set_params(checkpoint=str(tmp_path / "fits"), n_iter=1)
    assert rows(search.fit(*data)) == expected[:1]
    # The solution to look from is in the file.
    search.set_params(n_iter=50).fit(*data)
    assert rows(search) == expected


def test_after_the_deadline_it_does_not_look(monkeypatch):
    def late(evaluator, params, derivatives, *, is_short, deadline):
        return look_from(evaluator, params, derivatives, deadline=0.0)

    few = logistic().fit(X, y)
    monkeypatch.setattr("skhpo._search.hypergrad.look_from", late)
    assert logistic().fit(X, y).n_candidates_ > few.n_candidates_


def test_after_the_deadline_it_looks_for_no_slopes(monkeypatch):
    def late(function):
        def called(*args, deadline, **options):
            return function(*args, deadline=0.0)

        return called

    for function in look_from, complete:
        place = f"skhpo._search.hypergrad.{function.__name__}"
        monkeypatch.setattr(place, late(function))
    search = logistic().fit(X, y)
    assert search.n_candidates_ == 1
    assert search.stop_reason_ == "timeout reached"


def test_another_score_than_the_loss_gets_rows_to_choose_from():
    few = logistic().fit(X, y)
    more = logistic().set_params(scoring="accuracy").fit(X, y)
    assert rows(more)[: len(rows(few))] == rows(few)
    assert more.n_candidates_ > few.n_candidates_ == 2


@pytest.mark.parametrize("estimator", [LOGISTIC, MAPPED[0]], ids=["one", "map"])
def test_data_too_large_to_look_at_are_searched_by_rows(estimator, monkeypatch):
    if estimator is LOGISTIC:
        search, data = logistic(), (X, y)
    else:
        search, data = HypergradSearch(*MAPPED[:2]), MAPPED[2]
    few = clone(search).fit(*data)
    monkeypatch.setattr("skhpo._evaluation.looks.MAX_LOOKED_BYTES", 1000)
    more = clone(search).fit(*data)
    assert more.n_candidates_ > few.n_candidates_ == 2
    assert more.best_score_ == pytest.approx(few.best_score_, rel=1e-3)
    for first in few.trials_[0], more.trials_[0]:
        assert all(split.derivative.slopes for split in first.splits)
    for splits in zip(few.trials_[0].splits, more.trials_[0].splits, strict=True):
        found, expected = (split.derivative.slopes for split in splits)
        assert found == pytest.approx(expected, rel=1e-3)


def test_looks_that_fail_at_once_leave_slopes_of_the_fit(monkeypatch):
    few = logistic().fit(X, y)
    monkeypatch.setattr(Path, "at", lambda path, values: None)
    with pytest.warns(RuntimeWarning, match="has found no solution"):
        more = logistic().fit(X, y)
    assert more.n_candidates_ > few.n_candidates_
    assert more.best_score_ == pytest.approx(few.best_score_, rel=1e-4)


def test_fits_that_are_loose_are_polished_before_they_are_doubted():
    estimator = clone(LOGISTIC).set_params(logisticregression__tol=0.1)
    with pytest.warns(RuntimeWarning, match="stopped early") as caught:
        search = clone(logistic()).set_params(estimator=estimator).fit(X, y)
    assert len(caught) == 1
    assert search.n_candidates_ == 2
    loose = -search.cv_results_["mean_test_score"][1]
    exact = [split.derivative.loss for split in search.trials_[1].splits]
    assert loose > 1.01 * np.mean(exact)
    assert all(split.derivative.slopes for split in search.trials_[1].splits)
    # The message has both.
    assert f"{loose:.6g}" in str(caught[0].message)
    assert f"{np.mean(exact):.6g}" in str(caught[0].message)


def test_ridge_needs_two_or_three_candidates():
    estimator = make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge())
    space = {"ridge__alpha": Real(1e-4, 1e6, log=True)}
    search = HypergradSearch(estimator, space).fit(X_diabetes, y_diabetes)
    reference = RidgeCV(np.logspace(-4, 6, 200), cv=5)
    reference = make_pipeline(PolynomialFeatures(2), StandardScaler(), reference)
    reference.fit(X_diabetes, y_diabetes)
    assert search.n_candidates_ <= 3
    ratio = search.best_params_["ridge__alpha"] / reference[-1].alpha_
    assert 0.7 < ratio < 1.4


def test_a_start_where_all_coefficients_are_zero_is_left():
    space = {"lasso__alpha": Real(1e-2, 1e4, log=True)}
    estimator = make_pipeline(StandardScaler(), Lasso(alpha=1e3))
    search = HypergradSearch(estimator, space).fit(X_diabetes, y_diabetes)
    assert search.best_score_ > 0.48


SVC_SPACE = {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": Real(1e-4, 1, log=True)}


def svc(**options):
    estimator = make_pipeline(StandardScaler(), SVC())
    return HypergradSearch(estimator, SVC_SPACE, **options)


def test_two_parameters_and_accuracy():
    search = svc().fit(X, y)
    assert search.best_score_ > 0.978
    assert search.n_candidates_ <= 16
    # Those of the lowest looks that are apart are rows, too, as one may score higher.
    losses = {tuple(params.values()): loss for params, loss in search.looks_}
    found = [tuple(params.values()) for params in rows(search)]
    around = [place for place in found if place in losses][-8:]
    assert len(around) == 8
    highest = max(losses[place] for place in around)
    decades = np.array([5, 4])  # of the space, whose unit cube it is
    lower = [np.log10(place) / decades for place in losses if losses[place] < highest]
    is_row = [np.log10(place) / decades for place in found]
    assert len(lower) > 8
    assert cdist(lower, is_row).min(axis=1).max() < 0.02


def test_rows_around_an_end_are_among_the_n_iter():
    whole = svc().fit(X, y)
    fewer = svc(n_iter=whole.n_candidates_ - 3).fit(X, y)
    assert rows(fewer) == rows(whole)[:-3]
    assert fewer.stop_reason_ == "n_iter candidates evaluated"


def test_probabilities_of_a_machine_are_not_what_the_loss_says():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = SVC(probability=True, random_state=0)
        space = {"C": Real(1e-2, 1e2, log=True), "gamma": Real(1e-3, 1, log=True)}
        search = HypergradSearch(model, space, scoring="neg_log_loss", cv=2)
        search.fit(*load_iris(return_X_y=True))
        step = Pipeline([("model", LogisticRegression())])
        models = {"model": [model], **{f"model__{n}": v for n, v in space.items()}}
        found = HypergradSearch(step, models, scoring="neg_log_loss", cv=2)
        found.fit(*load_iris(return_X_y=True))
    # So rows around the end may have a better score.
    assert search.n_candidates_ > 6 and found.n_candidates_ > 6


def test_where_a_model_proposes_machines_go_by_rows():
    space = {
        "svc__C": Real(1e-2, 1e3, log=True),
        "svc__gamma": Real(1e-4, 1, log=True),
        "svc__tol": Real(1e-4, 1e-2, log=True),
    }
    estimator = make_pipeline(StandardScaler(), SVC())
    search = HypergradSearch(estimator, space, n_iter=6, cv=2, random_state=0)
    assert search.fit(X, y).looks_ == []
    assert all(split.derivative.slopes for split in search.trials_[0].splits)


def test_a_machine_is_looked_at_between_rows():
    space = {"svr__C": Real(1, 1e4, log=True), "svr__gamma": Real(1e-4, 1, log=True)}
    estimator = make_pipeline(StandardScaler(), SVR())
    search = HypergradSearch(estimator, space, cv=3).fit(X_diabetes, y_diabetes)
    # The score is the loss, so that nothing but an end can be the best.
    assert search.n_candidates_ <= 5 and len(search.looks_) > 5
    assert search.best_score_ > 0.48
    best = min(search.looks_, key=lambda look: look[1])
    assert 1 - best[1] == pytest.approx(search.best_score_, abs=1e-3)
    found = clone(search).set_params(n_jobs=2).fit(X_diabetes, y_diabetes)
    assert rows(found) == rows(search)
    assert found.looks_ == search.looks_
    np.testing.assert_array_equal(scores_of(found), scores_of(search))


@pytest.mark.parametrize(
    ("model", "space", "target"),
    [
        (Ridge(), {"alpha": LOG}, y_diabetes),
        (LogisticRegression(tol=1e-6, max_iter=5000), {"C": LOG}, y_diabetes > 140),
        (Lasso(tol=1e-6), {}, y_diabetes),
    ],
    ids=["ridge", "logistic", "lasso"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_features_of_a_map_are_looked_at_without_fits(model, space, target, weighted):
    estimator = Pipeline(
        [("map", RBFSampler(gamma=1.0, n_components=40, random_state=0)), ("m", model)]
    )
    space = {"map__gamma": Real(1e-3, 100, log=True)} | {
        f"m__{name}": values for name, values in space.items()
    }
    classifies = type(model) is LogisticRegression
    scoring = "neg_log_loss" if classifies else "neg_mean_squared_error"
    weight = np.random.default_rng(0).uniform(0.2, 2, len(target))
    weight = {"m__sample_weight": weight} if weighted else {}
    search = HypergradSearch(estimator, space, scoring=scoring, cv=3)
    search.fit(X_diabetes, target, **weight)
    assert search.n_candidates_ == 2
    best = clone(estimator).set_params(**search.best_params_)
    again = HypergradSearch(best, space, scoring=scoring, cv=3, n_iter=1)
    again.fit(X_diabetes, target, **weight)
    derivatives = [split.derivative for split in again.trials_[0].splits]
    loss = np.mean([d.loss for d in derivatives])
    for name, value in search.best_params_.items():
        slope = np.mean([d.slopes[name] for d in derivatives]) * value
        assert abs(slope) < 0.01 * loss
    options = dict(scoring=scoring, cv=3, params=weight)
    start = cross_val_score(estimator, X_diabetes, target, **options)
    assert search.best_score_ > start.mean()


def test_a_map_that_stays_as_it_is_is_no_map():
    squares = {"scoring": "neg_mean_squared_error"}
    for sampler in (RBFSampler(gamma=0.5), RBFSampler(gamma="scale", random_state=0)):
        estimator = make_pipeline(sampler, Ridge())
        space = {"ridge__alpha": LOG}
        search = HypergradSearch(estimator, space, n_iter=3, **squares)
        search.fit(X_diabetes, y_diabetes)
        for trial, score in zip(search.trials_, scores_of(search), strict=True):
            losses = [split.derivative.loss for split in trial.splits]
            assert np.mean(losses) == pytest.approx(-score, rel=1e-6)
    fixed = make_pipeline(RBFSampler(gamma="scale", random_state=0), Ridge())
    space = {"rbfsampler__gamma": ["scale", 0.01], "ridge__alpha": LOG}
    search = HypergradSearch(fixed, space, **squares).fit(X_diabetes, y_diabetes)
    assert {row["rbfsampler__gamma"] for row in rows(search)} == {"scale", 0.01}
    for trial, score in zip(search.trials_, scores_of(search), strict=True):
        losses = [split.derivative.loss for split in trial.splits]
        assert np.mean(losses) == pytest.approx(-score, rel=1e-6)


@pytest.mark.parametrize(
    "other", [{"nystroem__gamma": Real(1e-3, 1)}, {"nystroem__gamma": [0.1, 1.0]}]
)
def test_branches_need_not_move_all_of_a_map(other):
    estimator, space, data = MAPPED
    if isinstance(other["nystroem__gamma"], list):
        other = {**other, "ridge__alpha": LOG}
    search = HypergradSearch(estimator, [space, other], n_iter=30).fit(*data)
    assert search.stop_reason_.startswith("converged")
    first = [row for row in rows(search) if "ridge__alpha" in row]
    assert len(first) < len(rows(search)) or other.keys() == space.keys()
    assert search.best_score_ > 0.48


@pytest.mark.parametrize("routed", [{"f__gamma": LOG}, {"m__alpha": LOG}])
def test_weights_are_routed_past_a_map(routed):
    front = RBFSampler(gamma=0.05, random_state=0)
    weight = np.random.default_rng(0).uniform(0.2, 2, len(y_diabetes))
    with config_context(enable_metadata_routing=True):
        model = Ridge().set_fit_request(sample_weight=True)
        estimator = Pipeline([("f", front), ("m", model)])
        scorer = get_scorer("neg_mean_squared_error")
        scorer = scorer.set_score_request(sample_weight=False)
        search = HypergradSearch(estimator, routed, scoring=scorer)
        search.fit(X_diabetes, y_diabetes, sample_weight=weight)
    for trial, score in zip(search.trials_, scores_of(search), strict=True):
        losses = [split.derivative.loss for split in trial.splits]
        assert np.mean(losses) == pytest.approx(-score, rel=1e-6)


@pytest.mark.parametrize("target", ["exact", "constant"])
def test_rounding_is_no_reason_to_doubt_a_look(target):
    features, exact = make_regression(100, 8, random_state=0)
    y = exact if target == "exact" else np.ones(100)
    space = {"alpha": Real(1e-8, 10, log=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        search = HypergradSearch(Ridge(), space, scoring="neg_mean_squared_error")
        search.fit(features, y)
    assert search.n_candidates_ <= 3


def test_a_solution_far_from_the_last_one_is_found_step_by_step():
    front = Nystroem(gamma=1.06, n_components=25, random_state=0)
    model = LogisticRegression(C=15, max_iter=3000, tol=1e-6)
    estimator = make_pipeline(StandardScaler(), front, model)
    space = {"nystroem__gamma": Real(1e-4, 100, log=True)}
    space["logisticregression__C"] = LOG
    search = HypergradSearch(estimator, space, scoring="neg_log_loss", cv=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*found no solution")
        search.fit(*load_wine(return_X_y=True))
    assert search.n_candidates_ <= 4


def test_a_transformer_in_front_is_searched_as_well():
    estimator = make_pipeline(
        StandardScaler(), Nystroem(random_state=0, n_components=30), Ridge()
    )
    space = {"nystroem__gamma": Real(1e-3, 10, log=True), "ridge__alpha": LOG}
    search = HypergradSearch(estimator, space, check_gradient=True)
    search.fit(X_diabetes, y_diabetes)
    assert (
        search.best_score_ > cross_val_score(estimator, X_diabetes, y_diabetes).mean()
    )
    assert search.best_score_ > 0.48


def test_choices_are_tried_around_it():
    space = [
        {"svc__kernel": ["linear", "rbf"], "svc__C": LOG},
        {"svc": [LogisticRegression(max_iter=1000)], "svc__C": LOG},
    ]
    estimator = make_pipeline(StandardScaler(), SVC())
    search = HypergradSearch(estimator, space, n_iter=60).fit(X, y)
    kinds = {(type(p.get("svc")), p.get("svc__kernel")) for p in rows(search)}
    assert len(kinds) == 3


def rows(search):
    return search.cv_results_["params"]


def test_of_rows_with_the_best_score_the_one_with_the_least_loss_wins():
    space = {"C": Real(1e-2, 1e3, log=True), "gamma": Real(1e-4, 10.0, log=True)}
    # With a limit of iterations it goes by rows, which are many.
    model = SVC(C=10, gamma=0.01, max_iter=10**6)
    search = HypergradSearch(model, space, n_iter=25).fit(*load_iris(return_X_y=True))
    losses = np.array(
        [np.mean([s.derivative.loss for s in trial.splits]) for trial in search.trials_]
    )
    tied = np.flatnonzero(search.cv_results_["rank_test_score"] == 1)
    assert len(tied) > 1 and losses[tied].argmin() > 0
    assert search.best_index_ == tied[losses[tied].argmin()]


def test_a_branch_without_a_gradient_is_one_candidate():
    forest = RandomForestClassifier(5, random_state=0)
    both = LinearSVC(C=0.01, multi_class="crammer_singer", max_iter=100_000)
    space = [{"model__C": LOG}, {"model": [forest, both]}]
    estimator = Pipeline(
        [("scale", StandardScaler()), ("model", LogisticRegression(max_iter=1000))]
    )
    search = HypergradSearch(estimator, space, n_iter=40, cv=3).fit(X, y)
    assert len([p for p in rows(search) if "model" in p]) == 2
    assert search.trials_[-1].splits[0].derivative is None


def test_steps_before_a_block_scaler_are_fitted_once(monkeypatch):
    columns = ColumnTransformer([("all", StandardScaler(), list(range(10)))])
    estimator = make_pipeline(columns, BlockScaler({"a": [0, 1, 2]}), Ridge())
    space = {"blockscaler__a": Real(0.1, 10, log=True), "ridge__alpha": LOG}
    search = HypergradSearch(estimator, space, cv=3)
    seen = []
    fit_transform = ColumnTransformer.fit_transform

    def count(self, *args, **kwargs):
        seen.append(self)
        return fit_transform(self, *args, **kwargs)

    monkeypatch.setattr(ColumnTransformer, "fit_transform", count)
    search.fit(X_diabetes, y_diabetes)
    assert search.n_candidates_ > 3
    assert len(seen) == 3 + 1  # one for each split, and the last on all data


def test_features_too_large_to_keep_are_made_once_for_each_fit(monkeypatch):
    seen = []
    fit_transform = PolynomialFeatures.fit_transform

    def count(self, *args, **kwargs):
        seen.append(self)
        return fit_transform(self, *args, **kwargs)

    estimator = make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge())
    search = HypergradSearch(estimator, {"ridge__alpha": LOG}, cv=3)
    kept = clone(search).fit(X_diabetes, y_diabetes)
    monkeypatch.setattr("skhpo._evaluation.prefix.MAX_SHARED_BYTES", 1000)
    monkeypatch.setattr(PolynomialFeatures, "fit_transform", count)
    search.fit(X_diabetes, y_diabetes)
    np.testing.assert_array_equal(scores_of(search), scores_of(kept))
    # Once more for each split, to look between the rows; and for all data.
    assert len(seen) == search.n_fits_ + search.n_splits_ + 1


def test_many_choices_are_left_to_a_model():
    space = {
        "selectpercentile__percentile": Integer(5, 100),
        "logisticregression__C": LOG,
    }
    estimator = make_pipeline(
        StandardScaler(), SelectPercentile(), LogisticRegression(max_iter=1000)
    )
    options = dict(n_iter=15, scoring="neg_log_loss", random_state=0)
    search = HypergradSearch(estimator, space, **options).fit(X, y)
    again = HypergradSearch(estimator, space, n_jobs=2, **options).fit(X, y)
    assert rows(search) == rows(again)
    assert search.n_candidates_ == 15
    assert search.best_score_ > -0.1


def test_whole_numbers_without_end_are_no_range():
    estimator = make_pipeline(StandardScaler(), Nystroem(random_state=0), Ridge())
    space = {"nystroem__n_components": poisson(20), "ridge__alpha": LOG}
    search = HypergradSearch(estimator, space, n_iter=6, random_state=0)
    search.fit(X_diabetes, y_diabetes)
    assert all(type(p["nystroem__n_components"]) is int for p in rows(search))


def test_blocks_have_penalties_of_their_own():
    estimator = make_pipeline(
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        BlockScaler({"linear": slice(0, 10), "quadratic": slice(10, 65)}),
        Ridge(),
    )
    scale = Real(1e-3, 10, log=True)
    space = {"blockscaler__linear": scale, "blockscaler__quadratic": scale}
    search = HypergradSearch(estimator, space).fit(X_diabetes, y_diabetes)
    one = HypergradSearch(estimator, {"ridge__alpha": LOG}).fit(X_diabetes, y_diabetes)
    assert search.best_score_ > one.best_score_


def test_the_loss_and_its_slope_can_be_read():
    search = logistic().fit(X, y)
    first = search.trials_[0].splits[0].derivative
    assert first.loss == pytest.approx(0.07, abs=0.05)
    assert set(first.slopes) == {"logisticregression__C"}


def test_several_metrics_follow_the_one_of_refit():
    search = logistic()
    search.set_params(scoring=["roc_auc", "neg_log_loss"], refit="neg_log_loss")
    expected = rows(logistic().fit(X, y))

    def assert_expected():
        # Looks begin at the fits as they are, or, where steps in front of them cannot
        # be shared, at their exact solutions.
        for found, row in zip(rows(search.fit(X, y)), expected, strict=True):
            assert found == pytest.approx(row, rel=1e-5)

    assert_expected()
    search.set_params(refit=False)
    with pytest.raises(
        ValueError, match="several metrics and refit = False names none"
    ):
        search.fit(X, y)
    search.set_params(smooth_scoring="neg_log_loss")
    assert_expected()


def test_an_own_loss_is_followed():
    def squared(f, y, s):
        p = 1 / (1 + np.exp(-f))
        left = p - y[:, None]
        return float(s @ left[:, 0] ** 2), 2 * s[:, None] * left * p * (1 - p)

    own = logistic(smooth_scoring=squared).fit(X, y)
    named = logistic(smooth_scoring="neg_brier_score").fit(X, y)
    other = logistic().fit(X, y)
    for found, expected in zip(rows(own), rows(named), strict=True):
        assert found == pytest.approx(expected)
    assert rows(own)[-1] != pytest.approx(rows(other)[-1])


@pytest.mark.filterwarnings("ignore:.*TargetEncoder:FutureWarning")
def test_features_that_only_the_fit_has_seen():
    frame = np.column_stack([X[:, :3], (X[:, 3] // 100).astype(int)])
    encode = ColumnTransformer(
        [("scale", StandardScaler(), [0, 1, 2]), ("encode", TargetEncoder(), [3])]
    )
    encode.set_params(encode__random_state=0)
    estimator = make_pipeline(encode, LogisticRegression())
    search = HypergradSearch(estimator, SPACE, scoring="neg_log_loss")
    search.fit(frame, y)
    best = clone(estimator).set_params(**search.best_params_)
    expected = cross_val_score(best, frame, y, scoring="neg_log_loss").mean()
    assert search.best_score_ == pytest.approx(expected, rel=1e-12)
    losses = [split.derivative.loss for split in search.trials_[-1].splits]
    assert np.mean(losses) == pytest.approx(-scores_of(search)[-1], rel=1e-3)
    search.set_params(scoring=lambda m, X, y: m.score(X, y), smooth_scoring="accuracy")
    with pytest.raises(ValueError, match="TargetEncoder transforms the data"):
        search.fit(frame, y)


def test_groups_and_weights_travel():
    groups = np.arange(len(y)) % 7
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y))
    search = logistic(cv=GroupKFold(3))
    search.fit(X, y, groups=groups, logisticregression__sample_weight=weight)
    assert search.n_splits_ == 3
    plain = logistic(cv=GroupKFold(3)).fit(X, y, groups=groups)
    assert rows(search) != rows(plain)


@pytest.mark.parametrize("name", ["sample_weight", "own"])
@pytest.mark.parametrize("several", [False, True])
def test_weights_are_routed(name, several):
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    request = True if name == "sample_weight" else name
    options = dict(greater_is_better=False, response_method="predict_proba")
    with config_context(enable_metadata_routing=True):
        estimator = LogisticRegression(tol=1e-8, max_iter=10_000)
        estimator.set_fit_request(sample_weight=request)
        scorer = make_scorer(log_loss, **options).set_score_request(
            sample_weight=request
        )
        scoring = {"loss": scorer} if several else scorer
        search = HypergradSearch(
            estimator, {"C": LOG}, scoring=scoring, refit="loss" if several else True
        )
        search.fit(StandardScaler().fit_transform(X), y, **{name: weight})
    assert search.best_params_["C"] == pytest.approx(0.2938, abs=0.001)
    losses = [split.derivative.loss for split in search.trials_[0].splits]
    score = search.cv_results_[f"mean_test_{'loss' if several else 'score'}"][0]
    assert np.mean(losses) == pytest.approx(-score, rel=1e-3)


def test_a_step_that_writes_to_its_data_has_features_of_its_own():
    estimator = make_pipeline(PolynomialFeatures(2, include_bias=False), Ridge(10.0))
    space = {"ridge__copy_X": [False], "ridge__alpha": Real(1e-3, 1e2, log=True)}
    search = HypergradSearch(estimator, space).fit(X_diabetes, y_diabetes)
    for params, score in zip(rows(search), scores_of(search), strict=True):
        params = {"ridge__alpha": params["ridge__alpha"]}
        alone = clone(estimator).set_params(**params)
        assert score == cross_val_score(alone, X_diabetes, y_diabetes).mean()


@pytest.mark.parametrize("distribution", [expon(scale=10), gamma(2), halfnorm(0, 10)])
def test_distributions_without_an_end(distribution):
    search = HypergradSearch(Ridge(), {"alpha": distribution})
    assert search.fit(X_diabetes, y_diabetes).best_score_ > 0.48


@pytest.mark.parametrize(
    ("estimator", "space"),
    [
        (SVC(), [{"C": LOG}, {"C": LOG, "gamma": LOG}]),
        (LogisticRegression(C=np.inf), {"C": LOG}),
        (GaussianNB(), {"var_smoothing": Real(0, 1)}),
        (
            LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
            {"shrinkage": Real(0, 1)},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.ConvergenceWarning")
def test_values_at_the_ends_and_values_that_are_replaced(estimator, space):
    search = HypergradSearch(estimator, space, n_iter=12, cv=3)
    assert search.fit(StandardScaler().fit_transform(X), y).best_score_ > 0.9


def test_no_solution_far_from_the_fit_is_followed():
    wide = make_regression(60, 100, n_informative=10, noise=30, random_state=1)
    estimator = make_pipeline(StandardScaler(), Lasso(alpha=0.01, max_iter=50_000))
    space = {"lasso__alpha": Real(1e-3, 1e3, log=True)}
    search = HypergradSearch(estimator, space, scoring="neg_mean_squared_error")
    with pytest.warns(RuntimeWarning, match="they give a loss of .* goes on by fits"):
        search.fit(*wide)
    for trial, score in zip(search.trials_, scores_of(search), strict=True):
        losses = [split.derivative.loss for split in trial.splits]
        assert np.mean(losses) == pytest.approx(-score, rel=0.05)


def test_it_can_be_nested():
    expected = cross_val_score(logistic(), X, y, cv=3)
    found = cross_val_score(logistic(), X, y, cv=3, n_jobs=2)
    np.testing.assert_array_equal(found, expected)


def test_fits_that_fail_are_stepped_back_from():
    class Picky(Ridge):
        def __hypergradient__(self):
            from skhpo.hypergradients.least_squares import RidgeEquations

            return RidgeEquations

        def fit(self, X, y, sample_weight=None):
            if self.alpha < 1e-2:
                raise ValueError("too small")
            return super().fit(X, y, sample_weight)

    search = HypergradSearch(Picky(), {"alpha": LOG}, n_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X_diabetes, y_diabetes)
    assert search.best_params_["alpha"] >= 1e-2
    assert search.best_score_ > 0.4


@pytest.mark.parametrize(
    ("estimator", "space", "message"),
    [
        (LogisticRegression(), {"C": [0.1, 1.0]}, "none of which is continuous"),
        (RandomForestClassifier(), {"max_features": Real(0.1, 1)}, "BayesSearch"),
        (LogisticRegressionCV(), {"tol": Real(1e-6, 1)}, "LogisticRegressionCV is set"),
        (LogisticRegression(), {"D": LOG}, "Invalid parameter 'D'|no parameter"),
        (
            make_pipeline(Nystroem(), LogisticRegression()),
            {"nystroem__gamma": LOG},
            "set nystroem__random_state to an int",
        ),
    ],
)
def test_what_cannot_be_differentiated_is_refused_before_any_fit(
    estimator, space, message
):
    with pytest.raises(ValueError, match=message):
        HypergradSearch(estimator, space).fit(X, y)


def test_an_unknown_scorer_is_refused_with_the_list_of_those_known():
    scorer = make_scorer(lambda y, p: float((y == p).mean()))
    with pytest.raises(ValueError, match=r"in smooth_scoring.*accuracy_score"):
        HypergradSearch(LOGISTIC, SPACE, scoring=scorer).fit(X, y)
    search = HypergradSearch(
        LOGISTIC, SPACE, scoring=scorer, smooth_scoring="neg_log_loss"
    )
    assert search.fit(X, y).best_score_ > 0.97


def test_three_classes():
    iris = load_iris(return_X_y=True)
    search = HypergradSearch(LOGISTIC, SPACE, scoring="neg_log_loss").fit(*iris)
    assert search.best_score_ > -0.15


def test_a_machine_for_each_pair_of_classes():
    iris = load_iris(return_X_y=True)
    estimator = make_pipeline(StandardScaler(), SVC(C=0.01))
    space = {"svc__C": Real(1e-2, 1e3, log=True), "svc__gamma": Real(1e-4, 1, log=True)}
    search = HypergradSearch(estimator, space, check_gradient=True).fit(*iris)
    assert search.best_score_ > 0.96
    losses = [
        np.mean([split.derivative.loss for split in trial.splits])
        for trial in search.trials_
    ]
    assert min(losses) < 0.5 * losses[0]


def test_kinks_of_the_elastic_net_end():
    space = {"elasticnet__alpha": LOG, "elasticnet__l1_ratio": Real(0.01, 1)}
    estimator = make_pipeline(
        PolynomialFeatures(2), StandardScaler(), ElasticNet(max_iter=100_000)
    )
    search = HypergradSearch(estimator, space).fit(X_diabetes, y_diabetes)
    assert search.best_score_ > 0.484
    assert search.n_candidates_ < 50
