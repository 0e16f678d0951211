"""BayesSearch as its users call it."""

import pickle

import numpy as np
import pytest
from joblib import parallel_config
from scipy.stats import (
    binom,
    expon,
    halfnorm,
    loguniform,
    poisson,
    rv_discrete,
    uniform,
)
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from skhpo import BayesSearch, Categorical, Integer, Real
from skhpo.fidelity import Hyperband
from skhpo.strategies.surrogates import GaussianProcessSurrogate

X, y = load_iris(return_X_y=True)
SPACE = {"C": Real(1e-3, 1e3, log=True), "gamma": loguniform(1e-5, 10)}
BRANCHES = [
    {"model": [SVC()], "model__C": Real(1e-2, 1e3, log=True)},
    {
        "model": [DecisionTreeClassifier(random_state=0)],
        "model__max_depth": Integer(1, 10),
        "model__criterion": ["gini", "entropy"],
    },
    {"model": [GaussianNB()]},
]


class Analytic(ClassifierMixin, BaseEstimator):
    """An estimator whose score is a function of its parameters."""

    def __init__(self, a=0.5, b=0.5, kind="plain"):
        self.a = a
        self.b = b
        self.kind = kind

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        if self.kind == "fails":
            raise ValueError("this kind fails")
        return self

    def score(self, X, y):
        if self.kind == "constant":
            return 1.0
        if self.kind == "infinite":
            return -np.inf
        return -((self.a - 0.3) ** 2) - (self.b - 0.8) ** 2

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


class TellsTypes(Analytic):
    """An estimator that takes whole numbers for another thing than real ones."""

    def score(self, X, y):
        return float(type(self.a) is int) + 0.1 * self.a


SQUARE = {"a": Real(0, 1), "b": Real(0, 1)}


def params_and_scores(search):
    return search.cv_results_["params"], search.cv_results_["mean_test_score"]


def test_it_finds_the_optimum_of_a_smooth_function():
    search = BayesSearch(Analytic(), SQUARE, n_iter=25, cv=2, random_state=0).fit(X, y)
    assert search.best_score_ > -1e-3
    assert search.n_candidates_ == 25
    assert search.stop_reason_ == "n_iter candidates evaluated"


@pytest.mark.parametrize(
    ("surrogate", "max_pending"), [("auto", 1), ("gp", 4), ("forest", 2), ("tpe", 2)]
)
def test_the_result_does_not_depend_on_the_workers(surrogate, max_pending):
    pipe = Pipeline([("scale", StandardScaler()), ("model", SVC())])
    search = BayesSearch(
        pipe,
        BRANCHES,
        n_iter=14,
        cv=3,
        random_state=3,
        surrogate=surrogate,
        max_pending=max_pending,
        refit=False,
    )
    expected, scores = params_and_scores(clone(search).fit(X, y))
    for backend, n_jobs in [("threading", 3), ("loky", 2), ("multiprocessing", 2)]:
        with parallel_config(backend, n_jobs=n_jobs):
            params, other_scores = params_and_scores(clone(search).fit(X, y))
        assert str(params) == str(expected), backend
        np.testing.assert_array_equal(other_scores, scores)


def test_nested_in_cross_val_score_with_processes():
    search = BayesSearch(SVC(), SPACE, n_iter=10, cv=3, random_state=0)
    alone = cross_val_score(search, X, y, cv=3)
    np.testing.assert_array_equal(alone, cross_val_score(search, X, y, cv=3, n_jobs=2))
    inner = clone(search).set_params(n_jobs=2)
    np.testing.assert_array_equal(alone, cross_val_score(inner, X, y, cv=3, n_jobs=2))


def test_scores_are_those_of_grid_search():
    search = BayesSearch(SVC(), SPACE, n_iter=8, random_state=0).fit(X, y)
    for params, score in zip(*params_and_scores(search), strict=True):
        grid = {name: [value] for name, value in params.items()}
        assert GridSearchCV(SVC(), grid).fit(X, y).best_score_ == score


def test_the_estimators_own_parameters_come_first():
    search = BayesSearch(SVC(C=2.0), SPACE, n_iter=6, cv=2, random_state=0).fit(X, y)
    # gamma="scale" is not in the space: the middle stands for it.
    first = search.cv_results_["params"][0]
    assert first["C"] == 2.0
    assert first["gamma"] == pytest.approx(1e-2)


def test_an_initial_candidate_takes_the_type_of_its_range():
    first = [{"C": 1, "gamma": 1}]
    search = BayesSearch(
        SVC(), SPACE, n_iter=5, cv=2, random_state=0, initial_candidates=first * 2
    ).fit(X, y)
    params = search.cv_results_["params"]
    assert params[0] == first[0] != params[1]
    assert all(type(value) is float for value in params[0].values())


def test_the_own_branch_of_the_estimator_comes_first():
    pipe = Pipeline([("scale", StandardScaler()), ("model", GaussianNB())])
    search = BayesSearch(pipe, BRANCHES, n_iter=5, cv=2, random_state=0).fit(X, y)
    assert list(search.cv_results_["params"][0]) == ["model"]


def test_initial_candidates_come_before_everything():
    first = [{"C": 5.0, "gamma": 0.5}, {"C": 7.0, "gamma": 0.1}]
    search = BayesSearch(
        SVC(), SPACE, n_iter=6, cv=2, random_state=0, initial_candidates=first
    ).fit(X, y)
    assert search.cv_results_["params"][:2] == first


@pytest.mark.parametrize(
    ("first", "error", "message"),
    [
        ([{"C": 5.0}], ValueError, r"initial_candidates\[0\] = .* \['C', 'gamma'\]"),
        ([{"C": 1e9, "gamma": 1.0}], ValueError, r"initial_candidates\[0\] .*C"),
        ([("C", 1.0)], TypeError, "must be a dict"),
        (
            [{"C": 1.0 + i / 50, "gamma": 1.0} for i in range(51)] * 2,
            ValueError,
            "51 settings, more than n_iter",
        ),
    ],
)
def test_initial_candidates_outside_the_space_are_refused(first, error, message):
    search = BayesSearch(SVC(), SPACE, initial_candidates=first)
    with pytest.raises(error, match=message):
        search.fit(X, y)


@pytest.mark.parametrize(
    "bad",
    [
        {"n_iter": 0},
        {"max_pending": 0},
        {"surrogate": "kriging"},
        {"initial_candidates": {"C": 1.0, "gamma": 1.0}},
    ],
)
def test_bad_parameters_are_refused_by_name(bad):
    (name,) = bad
    with pytest.raises(ValueError, match=f"'{name}' parameter of BayesSearch"):
        BayesSearch(SVC(), SPACE, **bad).fit(X, y)


def test_a_class_is_no_surrogate():
    search = BayesSearch(SVC(), SPACE, surrogate=GaussianProcessSurrogate)
    with pytest.raises(TypeError, match=r"is a class; .* GaussianProcessSurrogate\(\)"):
        search.fit(X, y)


def test_a_distribution_that_can_only_be_drawn_from_is_refused():
    class Draws:
        def rvs(self, size=None, random_state=None):
            return 1.0

    message = r"param_distributions\['C'\]: .*can be drawn from but not modelled"
    with pytest.raises(TypeError, match=message):
        BayesSearch(SVC(), {"C": Draws()}).fit(X, y)


def test_a_small_space_is_evaluated_whole():
    space = {"criterion": ["gini", "entropy"], "max_depth": [1, 2, 3]}
    search = BayesSearch(DecisionTreeClassifier(random_state=0), space, n_iter=9, cv=2)
    with pytest.warns(UserWarning, match="n_iter = 9 exceeds the 6 points"):
        search.fit(X, y)
    assert search.n_candidates_ == 6
    assert search.stop_reason_ == "search space exhausted"
    assert len({str(params) for params in search.cv_results_["params"]}) == 6


def test_a_space_of_one_point():
    search = BayesSearch(SVC(), {"C": [1.0]}, n_iter=1).fit(X, y)
    assert search.best_params_ == {"C": 1.0}


def test_all_but_one_point_of_a_space():
    space = {"max_depth": Integer(1, 5), "criterion": ["gini", "entropy"]}
    tree = DecisionTreeClassifier(random_state=0)
    search = BayesSearch(tree, space, n_iter=9, cv=2, random_state=0).fit(X, y)
    assert len({str(params) for params in search.cv_results_["params"]}) == 9


def test_the_metric_that_refit_names_is_optimised():
    scoring = {"plain": scorer_of(1), "reversed": scorer_of(-1)}
    optimum = {}
    for refit in scoring:
        search = BayesSearch(
            Analytic(), SQUARE, n_iter=20, cv=2, random_state=0, scoring=scoring
        )
        optimum[refit] = search.set_params(refit=refit).fit(X, y).best_params_
    assert optimum["plain"] == pytest.approx({"a": 0.3, "b": 0.8}, abs=0.05)
    assert optimum["reversed"] == pytest.approx({"a": 1, "b": 0}, abs=0.05)


def test_without_a_name_the_first_metric_is_optimised():
    scoring = {"plain": scorer_of(1), "reversed": scorer_of(-1)}
    search = BayesSearch(
        Analytic(), SQUARE, n_iter=20, cv=2, random_state=0, scoring=scoring
    )
    named = params_of(clone(search).set_params(refit="plain"))
    assert params_of(clone(search).set_params(refit=False)) == named
    assert params_of(clone(search).set_params(refit=lambda results: 3)) == named


def scorer_of(sign):
    return lambda estimator, X, y: sign * Analytic.score(estimator, X, y)


def params_of(search):
    return search.fit(X, y).cv_results_["params"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
def test_a_callable_that_gives_several_metrics():
    def scoring(estimator, X, y):
        score = estimator.score(X, y)
        return {"score": score, "other": -score}

    space = {**SQUARE, "kind": ["plain", "fails"]}
    search = BayesSearch(
        Analytic(), space, n_iter=20, cv=2, random_state=0, scoring=scoring
    )
    search.set_params(refit="score").fit(X, y)
    assert search.best_score_ > -0.01


@pytest.mark.parametrize("surrogate", ["gp", "forest", "tpe"])
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, of failures and infinite scores
def test_failures_are_learnt_and_do_not_end_the_search(surrogate):
    space = {**SQUARE, "kind": ["plain", "fails", "infinite"]}
    search = BayesSearch(
        Analytic(), space, n_iter=30, cv=2, random_state=0, surrogate=surrogate
    )
    search.fit(X, y)
    kinds = [params["kind"] for params in search.cv_results_["params"]]
    # A third of them by chance.
    assert kinds[10:].count("plain") > 10
    assert search.best_score_ > -0.05


def test_constant_scores_do_no_harm():
    space = {**SQUARE, "kind": ["constant"]}
    search = BayesSearch(Analytic(), space, n_iter=20, cv=2, random_state=0).fit(X, y)
    points = [(p["a"], p["b"]) for p in search.cv_results_["params"]]
    # Nothing is better than anything else, so the points stay spread.
    assert np.ptp(points, axis=0).min() > 0.8


def test_two_hundred_candidates():
    search = BayesSearch(Analytic(), SQUARE, n_iter=210, cv=2, random_state=0)
    assert search.fit(X, y).best_score_ > -1e-6


def test_the_surrogate_predicts_scores():
    search = BayesSearch(Analytic(), SQUARE, n_iter=30, cv=2, random_state=0).fit(X, y)
    params = [{"a": 0.3, "b": 0.8}, {"a": 0.35, "b": 0.7}, {"a": 0.0, "b": 0.0}]
    mean, std = search.surrogate_.predict(params, return_std=True)
    truth = np.array([0.0, -0.0125, -0.73])
    assert np.all(np.abs(mean - truth) < 0.02 + 3 * std)
    assert std[0] < std[2]
    np.testing.assert_array_equal(search.surrogate_.predict(params), mean)
    again = pickle.loads(pickle.dumps(search)).surrogate_
    np.testing.assert_allclose(again.predict(params), mean)


def test_predictions_are_for_all_of_the_resource():
    forest = RandomForestClassifier(random_state=0)
    search = BayesSearch(
        forest,
        {"max_depth": Integer(1, 5), "max_features": Real(0.1, 1.0)},
        n_iter=6,
        cv=2,
        random_state=0,
        fidelity=Hyperband("n_estimators", max_resources=9),
    ).fit(X, y)
    assert search.best_params_["n_estimators"] == 9
    mean = search.surrogate_.predict([search.best_params_])
    less = {**search.best_params_, "n_estimators": 3}
    without = {k: v for k, v in less.items() if k != "n_estimators"}
    assert mean == search.surrogate_.predict([less])
    assert mean == search.surrogate_.predict([without])
    with pytest.raises(TypeError, match=r"params\[0\] = 3 must be a dict"):
        search.surrogate_.predict([3])


def test_a_single_trial_is_what_is_expected_there():
    search = BayesSearch(Analytic(), SQUARE, n_iter=1, cv=2, random_state=0).fit(X, y)
    mean, std = search.surrogate_.predict([search.best_params_], return_std=True)
    assert mean == pytest.approx(search.best_score_, abs=1e-9)
    assert std > 0


def test_a_search_shows_its_surrogate():
    search = BayesSearch(SVC(), SPACE, surrogate=GaussianProcessSurrogate("ei"))
    assert "surrogate=GaussianProcessSurrogate(acquisition='ei')" in repr(search)


def test_an_unknown_acquisition_is_refused():
    with pytest.raises(ValueError, match="acquisition = 'xx' must be one of"):
        GaussianProcessSurrogate("xx")


def test_the_surrogate_refuses_what_is_not_in_the_space():
    search = BayesSearch(Analytic(), SQUARE, n_iter=6, cv=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"params\[0\] = .* is not in the space"):
        search.surrogate_.predict([{"a": 3.0, "b": 0.0}])


def test_densities_predict_no_scores():
    search = BayesSearch(Analytic(), SQUARE, n_iter=6, cv=2, surrogate="tpe").fit(X, y)
    assert not hasattr(search, "surrogate_")


def test_no_predictor_is_left_from_an_earlier_fit():
    search = BayesSearch(Analytic(), SQUARE, n_iter=6, cv=2).fit(X, y)
    assert hasattr(search, "surrogate_")
    search.set_params(surrogate="tpe").fit(X, y)
    assert not hasattr(search, "surrogate_")


def test_a_surrogate_needs_no_more_than_to_propose():
    class Uniform:
        def propose(self, domain, x, losses, pending, number, rng):
            return domain.from_uniform(rng.random((4, domain.n_columns)))

    search = BayesSearch(Analytic(), SQUARE, n_iter=8, cv=2, surrogate=Uniform())
    assert search.fit(X, y).n_candidates_ == 8


def test_the_threads_of_blas_are_as_before():
    def threads():
        libraries = threadpool_info()
        return [info["num_threads"] for info in libraries if "blas" in str(info)]

    search = BayesSearch(SVC(), SPACE, n_iter=8, cv=2, random_state=0)
    with threadpool_limits(2):
        before = threads()
        with parallel_config("threading"):
            cross_val_score(search, X, y, cv=3, n_jobs=3)
        search.fit(X, y)
        assert threads() == before


def test_smooth_scores_do_not_draw_all_candidates_to_one_point():
    search = BayesSearch(
        Analytic(), SQUARE, n_iter=40, cv=2, max_pending=1, random_state=0
    ).fit(X, y)
    points = np.array([[p["a"], p["b"]] for p in search.cv_results_["params"]])
    gaps = np.abs(points[:, None] - points).max(axis=2)
    assert gaps[~np.eye(40, dtype=bool)].min() > 9e-4


def test_many_levels_and_values_that_no_float_holds():
    space = {"a": np.random.default_rng(0).random(3000), "b": loguniform(1e-3, 1)}
    search = BayesSearch(
        Analytic(a=np.inf, b=10**400), space, n_iter=8, cv=2, random_state=0
    )
    assert search.fit(X, y).n_candidates_ == 8


def test_values_too_rare_to_find_are_left_out_with_a_warning():
    search = BayesSearch(
        Analytic(), {"a": poisson(0.1)}, n_iter=60, cv=2, random_state=0
    )
    with pytest.warns(UserWarning, match="draws in a row gave nothing new"):
        search.fit(X, y)
    assert search.stop_reason_ == "search space exhausted"
    assert sorted(p["a"] for p in search.cv_results_["params"]) == [0, 1, 2]


def test_what_hardly_a_draw_reaches_is_not_tried():
    space = {"a": uniform(0, 4), "b": expon(scale=100)}
    search = BayesSearch(Analytic(), space, n_iter=40, cv=2, random_state=0)
    tried = search.fit(X, y).cv_results_["params"]
    assert 0.004 <= min(p["a"] for p in tried) < max(p["a"] for p in tried) <= 3.996
    assert 0.1 <= min(p["b"] for p in tried) < 1
    assert 100 < max(p["b"] for p in tried) < 691


@pytest.mark.parametrize("dist", [poisson(1000), binom(5000, 0.5), halfnorm(scale=9)])
def test_the_tails_of_distributions_end_no_search(dist):
    search = BayesSearch(Analytic(b=0.0), {"a": dist}, n_iter=20, cv=2, random_state=0)
    assert search.fit(X, y).n_candidates_ == 20
    tried = [p["a"] for p in search.cv_results_["params"]]
    assert dist.cdf(min(tried)) > 5e-4 < dist.sf(max(tried))


def test_a_long_distribution_with_gaps_is_tried_whole(monkeypatch):
    monkeypatch.setattr("skhpo.strategies.bayes.MAX_REPEATS", 500)

    class Squares(rv_discrete):
        def _pmf(self, k):
            return np.isin(k, [1, 100, 40_000]) / 3

    space = {"a": Squares(a=1, b=40_000)()}
    search = BayesSearch(Analytic(), space, n_iter=10, cv=2, random_state=0)
    with pytest.warns(UserWarning, match="nothing new"):
        search.fit(X, y)
    assert {p["a"] for p in search.cv_results_["params"]} == {1, 100, 40_000}


def test_a_clone_knows_its_values_again():
    folds = KFold(3, shuffle=True, random_state=0)
    calibrated = CalibratedClassifierCV(LogisticRegression(tol=1e-2), cv=folds)
    search = BayesSearch(
        calibrated,
        {"cv": [KFold(4), folds], "estimator__C": Real(0.01, 10, log=True)},
        n_iter=4,
        cv=2,
        random_state=0,
        initial_candidates=[{"cv": folds, "estimator__C": 0.5}],
    )
    params = [repr(p) for p in search.fit(X, y).cv_results_["params"]]
    again = clone(search).fit(X, y).cv_results_["params"]
    assert [repr(p) for p in again] == params
    assert params[1] == repr({"cv": folds, "estimator__C": 1.0})


def test_branches_that_differ_in_type_are_kept_apart():
    space = [{"a": Real(0.1, 3.0)}, {"a": Integer(1, 3)}]
    search = BayesSearch(
        TellsTypes(a=1), space, n_iter=9, cv=2, random_state=0, max_pending=1
    ).fit(X, y)
    params = search.cv_results_["params"]
    assert params[0] == {"a": 1}
    assert type(params[0]["a"]) is int
    whole = {p["a"] for p in params if type(p["a"]) is int}
    assert whole == {1, 2, 3}
    mean = search.surrogate_.predict([{"a": 2}, {"a": 2.0}])
    assert mean[0] > mean[1] + 0.5


def test_a_surrogate_of_ones_own():
    search = BayesSearch(
        Analytic(), SQUARE, n_iter=8, cv=2, surrogate=GaussianProcessSurrogate("ei")
    )
    assert search.fit(X, y).n_candidates_ == 8
    assert vars(search.surrogate) == vars(GaussianProcessSurrogate("ei"))


def test_fitting_twice_gives_the_same():
    search = BayesSearch(SVC(), SPACE, n_iter=9, cv=2, random_state=0)
    first, scores = params_and_scores(search.fit(X, y))
    second, other = params_and_scores(search.fit(X, y))
    assert first == second
    np.testing.assert_array_equal(scores, other)


def test_numbers_as_mere_names_and_estimators_as_values():
    pipe = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())])
    space = {
        "scale": [StandardScaler(), StandardScaler(with_std=False), "passthrough"],
        "model__C": Real(1e-3, 1e3, log=True),
        "model__random_state": Categorical([0, 1, 2]),
    }
    cancer = load_breast_cancer(return_X_y=True)
    with pytest.warns(Warning):  # no convergence without scaling
        search = BayesSearch(pipe, space, n_iter=8, cv=2, random_state=0).fit(*cancer)
    assert search.best_score_ > 0.95
