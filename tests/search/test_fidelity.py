"""Searches in which few candidates get everything."""

from contextlib import suppress

import numpy as np
import pytest
from joblib import parallel_config
from scipy.stats import loguniform, randint
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, HalvingGridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from skhpo import BayesSearch, GridSearch, RandomSearch
from skhpo._evaluation import subsamples
from skhpo._evaluation.fit import Evaluator
from skhpo._search import fidelities
from skhpo.fidelity import Halving, Hyperband

X, y = make_classification(600, 8, n_informative=4, flip_y=0.1, random_state=0)
TREE = DecisionTreeClassifier(random_state=0)
SPACE = {"max_depth": randint(1, 30), "min_impurity_decrease": loguniform(1e-4, 0.1)}
FOUR_RUNGS = Hyperband(factor=2, min_resources="exhaust", random_state=1)
SEARCHES = {
    "grid": GridSearch(TREE, {"max_depth": [1, 2, 3, 5], "max_features": [1, 3, 8]}),
    "random": RandomSearch(TREE, SPACE, n_iter=12, random_state=0),
    "bayes": BayesSearch(TREE, SPACE, n_iter=12, random_state=0),
}


@pytest.fixture(autouse=True)
def small_test_parts(monkeypatch):
    monkeypatch.setattr(subsamples, "MIN_TEST", 30)


def scores_of(search):
    results = search.cv_results_
    names = ["mean_test_score", "rank_test_score", "iter", "n_resources"]
    return [results["params"], *(results[name].tolist() for name in names)]


class Recorder(ClassifierMixin, BaseEstimator):
    """Knows after a fit which samples it has seen; larger `a` scores better."""

    def __init__(self, a=0, size=1):
        self.a = a
        self.size = size

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.rows_ = X[:, 0].astype(int)
        if sample_weight is not None:
            np.testing.assert_array_equal(sample_weight, self.rows_)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_a_parameter_as_resource_gives_the_rows_of_scikit_learn():
    forest = RandomForestClassifier(random_state=0)
    grid = {"max_depth": [1, 2, 4, None], "max_features": [1, 2, 4]}
    options = {"resource": "n_estimators", "max_resources": 27}
    theirs = HalvingGridSearchCV(forest, grid, cv=3, refit=False, **options).fit(X, y)
    ours = GridSearch(forest, grid, cv=3, fidelity=Halving(**options)).fit(X, y)
    rows = [
        {
            (*sorted(params.items(), key=str), iteration, n_resources): score
            for params, iteration, n_resources, score in zip(
                *(
                    search.cv_results_[name]
                    for name in ("params", "iter", "n_resources", "mean_test_score")
                ),
                strict=True,
            )
        }
        for search in (theirs, ours)
    ]
    assert rows[0] == rows[1]
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == theirs.best_score_
    assert ours.best_estimator_.n_estimators == 27


@pytest.mark.parametrize("fidelity", ["halving", "hyperband"])
@pytest.mark.parametrize("search", [SEARCHES["random"], SEARCHES["bayes"]])
def test_one_rung_equals_the_search_without(search, fidelity):
    search = clone(search).set_params(n_iter=2)
    plain = clone(search).fit(X, y)
    halved = search.set_params(fidelity=fidelity).fit(X, y)
    for name, column in plain.cv_results_.items():
        if not name.endswith("_time"):
            assert list(halved.cv_results_[name]) == list(column), name
    assert set(halved.cv_results_["n_resources"]) == {600}


@pytest.mark.parametrize("fidelity", ["halving", FOUR_RUNGS])
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_workers_backends_and_reuse_change_nothing(search, fidelity):
    search = clone(search).set_params(fidelity=fidelity, refit=False)
    alone = clone(search).fit(X, y)
    for backend in ("loky", "threading"):
        with parallel_config(backend):
            many = clone(search).set_params(n_jobs=2).fit(X, y)
        assert scores_of(many) == scores_of(alone)
    if "reuse" in search.get_params(deep=False):
        assert scores_of(clone(search).set_params(reuse=False).fit(X, y)) == scores_of(
            alone
        )


@pytest.mark.parametrize("fidelity", ["halving", FOUR_RUNGS])
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_the_best_of_each_rung_go_on_and_one_with_everything_wins(search, fidelity):
    search = clone(search).set_params(fidelity=fidelity)
    if isinstance(search, BayesSearch):
        search.set_params(surrogate="tpe")  # others go by what they expect
    search.fit(X, y)
    results = search.cv_results_
    brackets = results.get("bracket", np.zeros(search.n_candidates_))
    for bracket in set(brackets):
        last = max(results["iter"][brackets == bracket])
        for iteration in range(1, last + 1):
            rung, before = (
                np.flatnonzero((brackets == bracket) & (results["iter"] == number))
                for number in (iteration, iteration - 1)
            )
            means = results["mean_test_score"][before].round(12)
            best = before[np.argsort(-means, kind="stable")]
            expected = [results["params"][row] for row in best[: len(rung)]]
            assert [results["params"][row] for row in rung] == expected
    full = results["n_resources"] == 600
    assert results["rank_test_score"][full].max() <= full.sum()
    assert results["rank_test_score"][~full].min() > full.sum()
    assert search.best_score_ == results["mean_test_score"][full].max()
    assert search.best_index_ in np.flatnonzero(full)
    alone = GridSearch(TREE, {k: [v] for k, v in search.best_params_.items()})
    assert alone.fit(X, y).best_score_ == search.best_score_


@pytest.mark.parametrize(
    "options, enough, levels",
    [
        ({}, 10_000, {200, 600}),
        ({}, 60, {66, 200, 600}),
        ({"factor": 2}, 10_000, {300, 600}),
        ({"max_resources": 300}, 10_000, {100, 300}),
        ({"min_resources": 10}, 10_000, {22, 66, 200, 600}),
        ({"min_resources": "exhaust"}, 10_000, {22, 66, 200, 600}),
    ],
)
def test_hyperband_gives_enough_or_one_in_factor(options, enough, levels, monkeypatch):
    monkeypatch.setattr(fidelities, "ENOUGH", enough)
    search = clone(SEARCHES["random"]).set_params(n_iter=40, refit=False)
    search.set_params(fidelity=Hyperband(**options)).fit(X, y)
    assert set(search.cv_results_["n_resources"]) == levels


@pytest.mark.parametrize(
    "options, levels",
    [
        ({"max_resources": 81}, {27, 81}),
        ({"max_resources": 81, "factor": 2}, {40, 81}),
        ({"max_resources": 2}, {2}),
        ({"max_resources": 81, "min_resources": 9}, {9, 27, 81}),
        ({"max_resources": 81, "min_resources": "exhaust"}, {3, 9, 27, 81}),
    ],
)
def test_hyperband_gives_one_in_factor_of_a_parameter(options, levels):
    search = RandomSearch(Recorder(), {"a": randint(0, 999)}, n_iter=40, refit=False)
    search.set_params(fidelity=Hyperband("size", **options)).fit(X, y)
    assert set(search.cv_results_["n_resources"]) == levels


@pytest.mark.parametrize("surrogate", ["gp", "tpe"])
@pytest.mark.parametrize("fidelity", ["halving", "hyperband"])
def test_given_settings_and_the_estimators_own_get_everything_at_once(
    fidelity, surrogate
):
    search = clone(SEARCHES["bayes"]).set_params(
        fidelity=fidelity, surrogate=surrogate, estimator=clone(TREE)
    )
    search.estimator.set_params(max_depth=7, min_impurity_decrease=0.01)
    given = [{"max_depth": 3, "min_impurity_decrease": 0.02}] * 2
    results = search.set_params(initial_candidates=given).fit(X, y).cv_results_
    own = {"max_depth": 7, "min_impurity_decrease": 0.01}
    assert results["params"][:2] == [given[0], own]
    assert results["n_resources"].tolist()[:3] == [
        600,
        600,
        min(results["n_resources"]),
    ]
    assert results["bracket"].tolist()[:3] == [0, 0, 1]
    assert results["params"].count(own) == results["params"].count(given[0]) == 1
    distinct = {tuple(params.items()) for params in results["params"]}
    assert len(distinct) == search.n_iter


@pytest.mark.parametrize("fidelity", ["halving", FOUR_RUNGS])
def test_in_a_space_that_is_tried_whole_the_model_says_who_goes_on(fidelity):
    space = {"max_depth": [*range(1, 10)]}
    given = [{"max_depth": 3}]
    search = clone(SEARCHES["bayes"]).set_params(
        estimator=clone(TREE).set_params(max_depth=7),
        param_distributions=space,
        n_iter=9,
        fidelity=fidelity,
        initial_candidates=given,
    )
    search.fit(X, y)
    results = search.cv_results_
    assert [p["max_depth"] for p in results["params"][:2]] == [3, 7]
    assert results["n_resources"].tolist()[:2] == [600, 600]
    assert {p["max_depth"] for p in results["params"]} == set(range(1, 10))
    assert search.n_candidates_ == len(results["params"])
    again = clone(search).set_params(n_jobs=2).fit(X, y)
    assert again.cv_results_["params"] == results["params"]
    predicted = search.surrogate_.predict([search.best_params_])
    assert predicted == pytest.approx(search.best_score_, abs=0.03)


def test_where_all_candidates_are_given_all_get_everything():
    given = [{"max_depth": d, "min_impurity_decrease": 0.01} for d in range(1, 10)]
    search = clone(SEARCHES["bayes"]).set_params(n_iter=9, fidelity="halving")
    search.set_params(initial_candidates=given).fit(X, y)
    assert search.cv_results_["params"] == given
    assert set(search.cv_results_["n_resources"]) == {600}
    assert search.n_candidates_ == 9


def test_a_sample_of_each_split_is_fitted_and_scored_with_what_belongs_to_it():
    rows = np.arange(600)
    numbered = np.column_stack([rows, rows])
    seen = []

    def scorer(estimator, X, y, sample_weight=None):
        seen.append((estimator.rows_, X[:, 0].astype(int)))
        without_weights.add(sample_weight is None)
        if sample_weight is not None:
            np.testing.assert_array_equal(sample_weight, X[:, 0])
        assert (y == labels[X[:, 0].astype(int)]).all()
        return estimator.a

    labels = (rows % 10 == 0).astype(int)
    without_weights = set()
    search = GridSearch(
        Recorder(), {"a": range(9)}, cv=3, scoring=scorer, refit=False
    ).fit(numbered, labels, sample_weight=rows)
    seen.clear()
    search.set_params(fidelity="halving").fit(numbered, labels, sample_weight=rows)
    # Old releases of scikit-learn give none to scorers; fidelity changes nothing in it.
    assert len(without_weights) == 1
    sizes = {len(train) for train, _ in seen}
    assert sizes == {44, 133, 400}
    for train, test in seen:
        assert not set(train) & set(test)
        assert labels[train].sum() >= 4
        assert len(test) == max(30, len(train) // 2)


def test_groups_stay_whole_and_time_stays_in_order():
    rows = np.arange(600)
    numbered = np.column_stack([rows, rows])
    groups = rows // 10
    search = RandomSearch(Recorder(), {"a": range(9)}, n_iter=9, refit=False)
    seen = []

    def scorer(estimator, X, y):
        seen.append((estimator.rows_, X[:, 0].astype(int)))
        return estimator.a

    search.set_params(scoring=scorer, fidelity="halving", cv=GroupKFold(3))
    search.fit(numbered, np.zeros(600), groups=groups)
    for train, _ in seen:
        whole = [(groups[train] == group).sum() == 10 for group in groups[train]]
        # Some of each class come first, and the last one is cut.
        assert len(train) - sum(whole) < subsamples.MIN_OF_CLASS + 10
    seen.clear()
    search.set_params(cv=TimeSeriesSplit(3)).fit(numbered, np.zeros(600))
    for train, test in seen:
        assert (np.diff(np.r_[train, test]) == 1).all()


@pytest.mark.parametrize("convert", [np.asarray, list])
def test_splits_may_be_masks(convert):
    rows = [(np.arange(400), np.arange(400, 600)), (np.arange(0, 600, 2), [1, 5, 7])]
    masks = [
        tuple(convert(np.isin(np.arange(600), part)) for part in parts)
        for parts in rows
    ]
    one, other = (
        clone(SEARCHES["grid"]).set_params(fidelity="halving", cv=cv).fit(X, y)
        for cv in (rows, masks)
    )
    assert scores_of(one) == scores_of(other)


@pytest.mark.filterwarnings("ignore:n_iter = 20 exceeds")
@pytest.mark.parametrize("fidelity", ["halving", "hyperband"])
@pytest.mark.parametrize("Search", [RandomSearch, BayesSearch])
def test_a_small_space_is_exhausted_with_rungs_as_well(Search, fidelity):
    depths = {"max_depth": [1, 2, 3, 5, 8]}
    search = Search(TREE, depths, n_iter=20, random_state=0, fidelity=fidelity)
    search.fit(X, y)
    assert search.stop_reason_ == "search space exhausted"
    assert {p["max_depth"] for p in search.cv_results_["params"]} == {1, 2, 3, 5, 8}


@pytest.mark.filterwarnings("ignore:One or more of the test")
def test_a_best_candidate_that_is_nan_gives_a_warning():
    def scorer(estimator, X, y):
        return estimator.score(X, y) if estimator.tree_.n_node_samples[0] < 400 else nan

    nan = np.nan
    search = GridSearch(TREE, {"max_depth": [1, 2, 3]}, cv=3, scoring=scorer)
    search.set_params(fidelity="halving")
    with pytest.warns(UserWarning, match="nan for all 1 candidates with the most"):
        search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"][:3]).all()


def test_a_search_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    evaluate, fits = Evaluator.evaluate, []

    def counted(evaluator, unit):
        if len(fits) == limit:
            raise KeyboardInterrupt
        fits.append(unit)
        return evaluate(evaluator, unit)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    search = clone(SEARCHES["random"]).set_params(fidelity="hyperband")
    limit = np.inf
    whole = clone(search).fit(X, y)
    n_fits = len(fits)
    search.set_params(checkpoint=str(tmp_path / "a.jsonl"))
    for limit in (20, 30, np.inf):  # noqa: B007
        fits.clear()
        with suppress(KeyboardInterrupt):
            search.fit(X, y)
    assert len(fits) == n_fits - 20 - 30
    assert scores_of(search) == scores_of(whole)


def test_a_callable_refit_sees_only_those_with_everything():
    seen = []

    def choose(results):
        seen.append(results["n_resources"].tolist())
        return int(results["mean_test_score"].argmin())

    search = clone(SEARCHES["random"]).set_params(fidelity="halving", refit=choose)
    search.fit(X, y)
    results = search.cv_results_
    assert seen == [[600] * np.count_nonzero(results["n_resources"] == 600)]
    full = results["n_resources"] == 600
    assert results["mean_test_score"][search.best_index_] == min(
        results["mean_test_score"][full]
    )


def test_of_several_metrics_the_one_that_refit_names_decides():
    search = GridSearch(
        TREE,
        {"max_depth": [1, 2, 3, 5, 8, 13, 21, 30, None]},
        scoring=["accuracy", "recall"],
        refit="recall",
        fidelity="halving",
    ).fit(X, y)
    results = search.cv_results_
    first = results["iter"] == 0
    best = np.argsort(-results["mean_test_recall"][first], kind="stable")[:3]
    second = np.flatnonzero(results["iter"] == 1)
    assert [results["params"][i] for i in second] == [
        results["params"][i] for i in best
    ]


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test")
def test_what_fails_with_little_does_not_go_on():
    neighbors = {"n_neighbors": [1, 3, 5, 7, 9, 11, 200, 300, 400]}
    search = GridSearch(KNeighborsClassifier(), neighbors, fidelity="halving")
    search.fit(X, y)
    going_on = search.cv_results_["iter"] > 0
    assert (search.cv_results_["param_n_neighbors"][going_on] < 200).all()
    assert np.isfinite(search.best_score_)


def test_repeated_rows_of_a_grid_are_evaluated_once_in_each_rung():
    depths = {"max_depth": [1, 2, 3, 3, 2, 1, 8, 8, 9]}
    search = GridSearch(TREE, depths, fidelity="halving").fit(X, y)
    assert search.n_candidates_ == 13
    assert search.n_fits_ < 5 * search.n_candidates_
    scores = {}
    for params, n, score in zip(
        search.cv_results_["params"],
        search.cv_results_["n_resources"],
        search.cv_results_["mean_test_score"],
        strict=True,
    ):
        assert scores.setdefault((params["max_depth"], n), score) == score


def test_the_surrogate_learns_what_more_samples_would_give():
    search = BayesSearch(
        Recorder(), {"a": randint(0, 1000)}, n_iter=20, random_state=0, cv=2
    )
    search.set_params(
        scoring=lambda estimator, X, y: (
            -abs(estimator.a - 300) / 1000 + 0.5 * np.log10(estimator.size)
        ),
        fidelity=Hyperband("size", max_resources=27, min_resources="exhaust"),
    ).fit(X, y)
    settings = [{"a": a} for a in (300, 900)]
    mean = search.surrogate_.predict(settings)
    expected = [-abs(s["a"] - 300) / 1000 + 0.5 * np.log10(27) for s in settings]
    np.testing.assert_allclose(mean, expected, atol=0.1)


REFUSED = pytest.mark.parametrize(
    "options, message",
    [
        ({"fidelity": "bands"}, "'fidelity'.*'bands'"),
        ({"fidelity": Halving}, "'fidelity'"),
        ({"fidelity": Halving("trees", max_resources=9)}, "resource = 'trees'"),
        ({"fidelity": Halving("label", max_resources=9)}, "label.*is no number.*'x'"),
        ({"fidelity": Halving("a", max_resources=9)}, "'a'.*searched"),
        ({"fidelity": Halving(max_resources=601)}, "max_resources = 601.*600 samples"),
        ({"fidelity": Halving(min_resources=700)}, "min_resources = 700"),
        ({"fidelity": "halving", "racing": "paired", "cv": 9}, "racing = 'paired'"),
        (
            {"fidelity": "halving", "scoring": ["recall", "f1"], "refit": False},
            "refit = False names none",
        ),
    ],
)


@REFUSED
def test_what_makes_no_sense_is_refused_before_any_fit(options, message):
    class Never(Recorder):
        def __init__(self, a=0, label="x"):
            self.a = a
            self.label = label

        def fit(self, X, y):
            raise AssertionError

    search = RandomSearch(Never(), {"a": randint(0, 99)}, error_score="raise")
    with pytest.raises(ValueError, match=message):
        search.set_params(**options).fit(X, y)


@pytest.mark.slow
def test_no_score_is_nan_where_a_class_is_rare():
    for seed in range(50):
        data, labels = make_classification(700, 5, weights=[0.97], random_state=seed)
        search = RandomSearch(
            LogisticRegression(),
            {"C": loguniform(1e-3, 1e3)},
            n_iter=9,
            random_state=seed,
            scoring="roc_auc",
            refit=False,
            fidelity=Halving(random_state=seed),
        ).fit(data, labels)
        assert len(set(search.cv_results_["iter"])) == 3
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_of_a_search_that_was_cut_off_one_with_the_most_so_far_is_the_best(monkeypatch):
    evaluate, fits = Evaluator.evaluate, []

    def counted(evaluator, unit):
        fits.append(unit)
        if len(fits) == limit:
            raise KeyboardInterrupt
        return evaluate(evaluator, unit)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    for limit, most in ((33, 66), (68, 200), (87, 600)):
        fits.clear()
        search = clone(SEARCHES["random"]).set_params(fidelity="halving")
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, y)
        n_resources = search.cv_results_["n_resources"]
        assert search.n_candidates_ == (limit - 1) // 5
        assert n_resources[search.best_index_] == n_resources.max()
        ranks = search.cv_results_["rank_test_score"]
        assert ranks[n_resources == n_resources.max()].min() == 1
        assert n_resources.max() == most


def test_candidates_of_two_rungs_never_share_a_fit():
    pipeline = make_pipeline(SelectKBest(), TREE)
    space = {
        "selectkbest__k": [2, 4],
        "decisiontreeclassifier__max_depth": randint(1, 9),
    }
    search = BayesSearch(
        pipeline,
        space,
        n_iter=10,
        max_pending=6,
        random_state=0,
        fidelity=FOUR_RUNGS,
        refit=False,
    )
    shared = clone(search).fit(X, y)
    apart = search.set_params(reuse=False).fit(X, y)
    assert scores_of(shared) == scores_of(apart)
    groups = [result.group for trial in shared.trials_ for result in trial.splits]
    assert any(group is not None for group in groups)


def test_lines_say_how_many_samples_a_fit_has_seen(capsys):
    search = clone(SEARCHES["grid"]).set_params(verbose=2, fidelity="halving")
    search.fit(X, y)
    lines = [line for line in capsys.readouterr().out.splitlines() if "END" in line]
    told = ["of the samples" in line for line in lines]
    fractions = [trial.candidate.fraction for trial in search.trials_]
    assert told == [fraction < 1 for fraction in fractions for _ in range(5)]
    assert f"{fractions[0]:.3g} of the samples" in lines[0]
