"""A search with a checkpoint tries what it tries without one."""

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, RandomizedSearchCV
from sklearn.tree import DecisionTreeClassifier

from skhpo import BayesSearch, GridSearch, HypergradSearch, RandomSearch, Real

X, y = load_iris(return_X_y=True)
SPACE = {"min_samples_leaf": [*range(1, 30)], "ccp_alpha": loguniform(1e-4, 1)}


def make(kind, rng, n_iter=4, **options):
    """Make a search whose splits, candidates and estimator share one instance."""
    options["cv"] = KFold(3, shuffle=True, random_state=rng)
    tree = DecisionTreeClassifier(max_features=1, random_state=rng)
    if kind == "grid":
        return GridSearch(tree, {"max_depth": [1, 2, 3]}, **options)
    options |= {"random_state": rng, "n_iter": n_iter}
    if kind == "hypergrad":
        space = {"alpha": Real(1e-3, 1e3, log=True)}
        options["scoring"] = "neg_mean_squared_error"
        return HypergradSearch(Ridge(), space, **options)
    cls = {"random": RandomSearch, "bayes": BayesSearch}.get(kind, RandomizedSearchCV)
    return cls(tree, SPACE, **options)


def results_of(search):
    results = search.cv_results_
    names = [name for name in results if name.endswith("test_score")]
    return results["params"], [results[name].tolist() for name in names]


def state_of(rng):
    return [np.asarray(part).tolist() for part in rng.get_state()]


@pytest.mark.parametrize("kind", ["grid", "random", "bayes", "hypergrad"])
def test_an_instance_that_is_shared_gives_the_same_with_a_checkpoint(kind, tmp_path):
    plain, first, again = (np.random.RandomState(5) for _ in range(3))
    expected = make(kind, plain).fit(X, y)
    for rng in (first, again):
        found = make(kind, rng, checkpoint=tmp_path / "a.jsonl").fit(X, y)
        assert results_of(found) == results_of(expected)
        assert state_of(rng) == state_of(plain)
    if kind == "random":
        peer = make("peer", np.random.RandomState(5)).fit(X, y)
        assert results_of(peer) == results_of(expected)


def test_an_instance_that_has_moved_on_is_refused_and_an_int_proposed(tmp_path):
    rng = np.random.RandomState(5)
    search = make("random", rng, checkpoint=tmp_path / "a.jsonl").fit(X, y)
    with pytest.raises(
        ValueError, match="cv, estimator and random_state diff"
    ) as error:
        search.fit(X, y)
    assert "If cv shuffles, give it an int as random_state" in str(error.value)
    assert "random_state is an instance, which moves on" in str(error.value)


@pytest.mark.parametrize("instance", [True, False])
def test_only_an_instance_is_told_that_it_moves_on(instance, tmp_path):
    seed = np.random.RandomState(5) if instance else 5
    search = make("random", 0, checkpoint=tmp_path / "a.jsonl")
    search.set_params(random_state=seed).fit(X, y)
    with pytest.raises(ValueError, match="search: random_state differs") as error:
        search.set_params(random_state=seed if instance else 6).fit(X, y)
    assert ("is an instance" in str(error.value)) is instance
    assert "If cv shuffles" not in str(error.value)


def test_more_candidates_from_a_shared_instance_mean_other_splits(tmp_path):
    path = tmp_path / "a.jsonl"
    make("random", np.random.RandomState(5), checkpoint=path).fit(X, y)
    more = make("random", np.random.RandomState(5), n_iter=5, checkpoint=path)
    with pytest.raises(ValueError, match=r"search: cv differs.* give it an int"):
        more.fit(X, y)


def test_an_empty_path_is_refused_by_the_name_of_the_parameter():
    with pytest.raises(ValueError, match="checkpoint"):
        make("grid", 0, checkpoint="").fit(X, y)


def test_fit_parameters_differ_in_the_plural(tmp_path):
    search = make("grid", 0, checkpoint=tmp_path / "a.jsonl").fit(X, y)
    with pytest.raises(ValueError, match=r"search: fit parameters differ\. Delete"):
        search.fit(X, y, sample_weight=np.ones(len(y)))


@pytest.mark.parametrize(
    "change, names",
    [
        ({"min_samples_leaf": [1, 2]}, r"param_distributions\['min_samples_leaf'\]"),
        ({"max_depth": [1, 2]}, r"param_distributions\['max_depth'\]"),
    ],
)
def test_a_parameter_whose_range_differs_is_named(change, names, tmp_path):
    search = make("random", 0, checkpoint=tmp_path / "a.jsonl").fit(X, y)
    search.set_params(param_distributions=dict(reversed(SPACE.items()))).fit(X, y)
    with pytest.raises(ValueError, match=f"search: {names} differs"):
        search.set_params(param_distributions=SPACE | change).fit(X, y)
    with pytest.raises(ValueError, match="search: param_distributions, param_distr"):
        search.set_params(param_distributions=[SPACE, change]).fit(X, y)
