"""Feature maps beside scikit-learn's own fits, and differences of these."""

import numpy as np
import pytest
from gradient_oracle import fit, parts
from scipy.sparse import csr_matrix
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skhpo.hypergradients import path
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.features import (
    MAPS,
    NystroemMap,
    RBFSamplerMap,
    multiplied_out,
)
from skhpo.hypergradients.linear import Linear
from skhpo.hypergradients.losses import REGRESSION, log_loss

RNG = np.random.default_rng(0)
X, X_new = RNG.normal(size=(60, 5)), RNG.normal(size=(20, 5))
KERNELS = [
    ({"kernel": "rbf"}, ["gamma"]),
    ({"kernel": "laplacian"}, ["gamma"]),
    ({"kernel": "poly", "degree": 2}, ["gamma", "coef0"]),
    ({"kernel": "polynomial"}, ["gamma"]),
    ({"kernel": "sigmoid", "coef0": 0.3}, ["gamma", "coef0"]),
]
VALUES = {"gamma": 0.2, "coef0": 0.7}


TRANSFORMERS = [
    *((Nystroem(n_components=20, random_state=0, **k), names) for k, names in KERNELS),
    (Nystroem("poly", n_components=20, random_state=1), ["coef0"]),
    (RBFSampler(gamma=3.0, n_components=20, random_state=0), ["gamma"]),
]


def test_every_map_is_tested():
    assert {type(transformer) for transformer, _ in TRANSFORMERS} == MAPS.keys()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("transformer", "names"), TRANSFORMERS)
@pytest.mark.parametrize("gamma", [1e-4, 0.2, 5.0])
def test_features_are_those_of_a_fit_there(transformer, names, gamma, sparse):
    values = {name: {**VALUES, "gamma": gamma}[name] for name in names}
    begun = clone(transformer)
    if transformer.gamma is None and "gamma" in names:
        begun.set_params(gamma=0.5)
    both = [csr_matrix(part) if sparse else part for part in (X, X_new)]
    found, _ = MAPS[type(transformer)](begun.fit(both[0]), *both).at(values)
    expected = clone(transformer).set_params(**values).fit(both[0])
    for features, part in zip(found, both, strict=True):
        reference = expected.transform(part)
        atol = 1e-9 * np.abs(reference).max()
        np.testing.assert_allclose(features, reference, rtol=1e-9, atol=atol)


@pytest.mark.parametrize(("transformer", "names"), TRANSFORMERS)
@pytest.mark.parametrize("gamma", [1e-3, 0.2, 5.0])
def test_tangents_are_differences(transformer, names, gamma):
    values = {name: {**VALUES, "gamma": gamma}[name] for name in names}
    feature_map = MAPS[type(transformer)](clone(transformer).fit(X), X, X_new)
    _, tangents = feature_map.at(values)
    assert tangents.keys() == values.keys()
    way = dict(
        zip(names, np.random.default_rng(1).normal(size=len(names)), strict=True)
    )
    h = 1e-5
    ends = [
        feature_map.at({n: v * (1 + side * h * way[n]) for n, v in values.items()})[0]
        for side in (1, -1)
    ]
    for part in (0, 1):
        whole = {n: multiplied_out(tangents[n][part]) for n in names}
        V = np.random.default_rng(2).normal(size=(20, 3))
        for n in names:
            np.testing.assert_allclose(tangents[n][part] @ V, whole[n] @ V, atol=1e-9)
        found = sum(values[n] * way[n] * whole[n] for n in names)
        expected = (ends[0][part] - ends[1][part]) / (2 * h)
        atol = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=atol)


def test_samples_that_are_equal_do_not_spoil_tangents():
    twice = np.vstack([X, X])
    transformer = Nystroem(n_components=100, random_state=0).fit(twice)
    feature_map = NystroemMap(transformer, twice, X_new)
    (features, _), tangents = feature_map.at({"gamma": 0.2})
    moved, _ = feature_map.at({"gamma": 0.2 + 1e-5})[0]
    # The features turn freely in what is empty; what they multiply to does not.
    dF = multiplied_out(tangents["gamma"][0])
    found = dF @ features.T + features @ dF.T
    expected = (moved @ moved.T - features @ features.T) / 1e-5
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_what_it_cannot_give_it_does_not_name():
    assert NystroemMap.names(Nystroem()) == {"gamma"}
    assert NystroemMap.names(Nystroem("linear")) == set()
    assert NystroemMap.names(Nystroem("chi2")) == set()
    assert NystroemMap.names(Nystroem(lambda a, b: a @ b)) == set()
    assert NystroemMap.names(Nystroem("rbf", kernel_params={"gamma": 1})) == set()
    single = X.astype(np.float32)
    for known, kind in ((NystroemMap, Nystroem), (RBFSamplerMap, RBFSampler)):
        for transformer in (kind(n_components=9), kind(n_components=9).fit(X)):
            assert "gamma" in known.names(transformer)
        assert known.names(kind(n_components=9).fit(single)) == set()


def regression():
    data = make_regression(90, 5, noise=20, random_state=0)
    return data[0], data[1] / data[1].std()


def classification():
    return make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)


MODELS = [
    (Ridge(0.3), "alpha", regression()),
    (ElasticNet(0.01, tol=1e-12, max_iter=100_000), "alpha", regression()),
    (LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000), "C", classification()),
]
FRONTS = [
    Nystroem(gamma=0.1, n_components=15, random_state=0),
    Nystroem("sigmoid", gamma=0.05, coef0=0.1, n_components=15, random_state=0),
    RBFSampler(gamma=0.1, n_components=25, random_state=0),
]
SQUARED = REGRESSION[metrics.mean_squared_error]


def pipeline_of(front, model, own, data, sparse):
    features, target = data
    if sparse:
        features = csr_matrix(np.where(np.abs(features) > 0.4, features, 0))
    weight = np.random.default_rng(0).uniform(0.3, 2, 70)
    weight = {} if type(model) is ElasticNet else {"m__sample_weight": weight}
    train, test = parts(features, target, 70, weight)
    estimator = Pipeline([("f", front), ("m", model)])
    names = ["f__gamma", f"m__{own}"]
    names += ["f__coef0"] if getattr(front, "coef0", None) is not None else []
    loss = log_loss if type(model) is LogisticRegression else SQUARED
    return estimator, train, test, Differentiator(names, loss)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("model", "own", "data"), MODELS)
@pytest.mark.parametrize("front", FRONTS)
def test_a_look_through_a_map_is_what_a_fit_there_gives(
    front, model, own, data, sparse
):
    estimator, train, test, differentiate = pipeline_of(front, model, own, data, sparse)
    brief = differentiate(fit(estimator, train), train, test, slopes=False)
    assert not brief.slopes
    path = differentiate.path(clone(estimator), train, test, "", brief.solution)
    rng = np.random.default_rng(0)
    for size in (0.0, 1.0, -1.5, 0.5):
        values = {
            name: estimator.get_params()[name] * np.exp(size * rng.uniform(0.5, 1))
            for name in differentiate.names
        }
        found = path.at(values)
        expected = differentiate(fit(estimator, train, **values), train, test)
        np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
        for name, value in values.items():
            np.testing.assert_allclose(
                found.slopes[name] * value,
                expected.slopes[name] * value,
                rtol=1e-3,
                atol=1e-5 * abs(expected.loss),
                err_msg=name,
            )


@pytest.mark.parametrize(("model", "own", "data"), MODELS)
@pytest.mark.parametrize("front", FRONTS)
def test_slopes_by_tangents_are_differences_of_fits(front, model, own, data):
    estimator, train, test, differentiate = pipeline_of(front, model, own, data, False)
    fitted = fit(estimator, train)
    found = differentiate(fitted, train, test)
    brief = differentiate(fitted, train, test, slopes=False)
    again = differentiate.at_solution(clone(estimator), train, test, "", brief.solution)
    np.testing.assert_allclose(again.loss, found.loss, rtol=1e-9)
    for name, slope in found.slopes.items():
        np.testing.assert_allclose(again.slopes[name], slope, rtol=1e-6)
        value = estimator.get_params()[name]
        ends = [
            differentiate(fit(estimator, train, **{name: moved}), train, test).loss
            for moved in (value * (1 + 1e-4), value * (1 - 1e-4))
        ]
        expected = (ends[0] - ends[1]) / 2e-4
        np.testing.assert_allclose(
            slope * value, expected, rtol=1e-4, atol=1e-6 * found.loss
        )


@pytest.mark.parametrize(("model", "own", "data"), MODELS)
@pytest.mark.parametrize("front", FRONTS)
def test_equations_without_the_formula_for_features_are_differenced(
    front, model, own, data, monkeypatch
):
    estimator, train, test, differentiate = pipeline_of(front, model, own, data, False)
    brief = differentiate(fit(estimator, train), train, test, slopes=False)

    def look():
        begun = clone(estimator), train, test, "", brief.solution
        return differentiate.path(*begun).at({"f__gamma": 0.12}).slopes

    with monkeypatch.context() as patch:
        patch.setattr(path, "along", None)
        expected = look()
    monkeypatch.setattr(Linear, "by_features", lambda *args: None)
    found = look()
    assert found.keys() == expected.keys()
    for name, slope in found.items():
        np.testing.assert_allclose(slope, expected[name], rtol=1e-6)


def test_a_map_before_a_machine_is_differentiated_in_full():
    features, target = make_classification(90, 5, random_state=0)
    train, test = parts(features, target, 60)
    front = Nystroem(gamma=0.1, n_components=15, random_state=0)
    estimator = Pipeline([("f", front), ("m", SVC())])
    differentiate = Differentiator(["f__gamma"], log_loss)
    found = differentiate(fit(estimator, train), train, test, slopes=False)
    assert found.slopes.keys() == {"f__gamma"}
    path = differentiate.path(clone(estimator), train, test, "", found.solution)
    assert path is None
