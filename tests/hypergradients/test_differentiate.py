"""Steps in front of a model, and transforms of its target, have slopes too."""

import numpy as np
import pytest
from gradient_oracle import assert_slopes, fit, parts
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import make_classification, make_regression
from sklearn.feature_selection import SelectPercentile
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge
from sklearn.metrics import mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    StandardScaler,
)
from sklearn.svm import SVC

from skhpo.hypergradients.base import Equations
from skhpo.hypergradients.chain import differentiable
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.losses import REGRESSION, log_loss

MSE = REGRESSION[mean_squared_error]
N_TRAIN = 75
NYSTROEM = Nystroem(gamma=0.1, n_components=15, random_state=0)
BINS = KBinsDiscretizer(8, strategy="uniform", random_state=0)
SKIP = "passthrough"
LOGISTIC = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000)


@pytest.fixture(scope="module")
def classes():
    return parts(*make_classification(110, 6, flip_y=0.1, random_state=0), N_TRAIN)


@pytest.fixture(scope="module")
def weighted_classes():
    X, y = make_classification(110, 6, flip_y=0.1, random_state=0)
    return X, y, np.random.default_rng(0).uniform(0.2, 2, N_TRAIN)


@pytest.fixture(scope="module")
def amounts():
    """A positive target, and two of them."""
    X, y = make_regression(110, 6, noise=20.0, random_state=0)
    y = np.exp(y / y.std() / 2)
    return parts(X, y, N_TRAIN), parts(X, np.c_[y, y[::-1] * 30], N_TRAIN)


# Pipelines ---------------------------------------------------------------------------


def columns(nystroem):
    return ColumnTransformer(
        [("map", nystroem, [0, 1, 2]), ("scale", StandardScaler(), [3, 4])],
        transformer_weights={"map": 2.0},
    )


@pytest.mark.parametrize(
    "estimator, names",
    [
        (
            make_pipeline(StandardScaler(), NYSTROEM, LOGISTIC),
            ("nystroem__gamma", "logisticregression__C"),
        ),
        (
            make_pipeline(NYSTROEM, StandardScaler(), SVC(tol=1e-11)),
            ("nystroem__gamma", "svc__C"),
        ),
        (
            make_pipeline(
                RBFSampler(gamma=0.1, n_components=15, random_state=0), LOGISTIC
            ),
            ("rbfsampler__gamma", "logisticregression__C"),
        ),
        (
            make_pipeline(columns(NYSTROEM), LOGISTIC),
            ("columntransformer__map__gamma", "logisticregression__C"),
        ),
        (
            make_pipeline(StandardScaler(), make_pipeline(NYSTROEM, LOGISTIC)),
            ("pipeline__nystroem__gamma", "pipeline__logisticregression__C"),
        ),
        (
            make_pipeline(NYSTROEM, make_pipeline(StandardScaler(), LOGISTIC)),
            ("nystroem__gamma", "pipeline__logisticregression__C"),
        ),
        (
            Pipeline([("a", make_pipeline(NYSTROEM)), ("b", SKIP), ("c", LOGISTIC)]),
            ("a__nystroem__gamma", "c__C"),
        ),
        (Pipeline([("only", LOGISTIC)]), ("only__C",)),
    ],
)
def test_slopes_of_a_pipeline_are_those_of_refits(classes, estimator, names):
    assert_slopes(estimator, *classes, log_loss, names)


def test_slopes_of_sparse_features_of_a_front(classes):
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("map", NYSTROEM, [0, 1]),
                ("bins", BINS, [2, 3]),
            ],
            sparse_threshold=1.0,
        ),
        LOGISTIC,
    )
    names = ["columntransformer__map__gamma", "logisticregression__C"]
    assert_slopes(pipeline, *classes, log_loss, names)


def test_slopes_with_a_data_frame(weighted_classes):
    pd = pytest.importorskip("pandas")
    X, y, _ = weighted_classes
    names = [f"x{i}" for i in range(X.shape[1])]
    train, test = parts(pd.DataFrame(X, columns=names), y, N_TRAIN)
    front = ColumnTransformer([("map", clone(NYSTROEM), ["x0", "x3"])])
    pipeline = make_pipeline(front, LOGISTIC)
    of_both = ("columntransformer__map__gamma", "logisticregression__C")
    assert_slopes(pipeline, train, test, log_loss, of_both)
    front.set_output(transform="pandas")
    assert_slopes(pipeline, train, test, log_loss, of_both)
    assert_slopes(LOGISTIC, train, test, log_loss, ("C",))


def test_slopes_with_classes_that_are_strings(weighted_classes):
    X, y, _ = weighted_classes
    train, test = parts(X, np.array(["no", "yes"])[y], N_TRAIN)
    pipeline = make_pipeline(NYSTROEM, LOGISTIC)
    names = ("nystroem__gamma", "logisticregression__C")
    assert_slopes(pipeline, train, test, log_loss, names)


def test_slopes_with_weights_of_the_front_and_of_the_model(weighted_classes):
    X, y, weight = weighted_classes
    pipeline = make_pipeline(
        WeightedShift(shrink=0.5), StandardScaler(), NYSTROEM, LOGISTIC
    )
    names = ("weightedshift__shrink", "nystroem__gamma", "logisticregression__C")
    slopes = []
    for of_front in (weight, weight[::-1]):
        params = {
            "weightedshift__sample_weight": of_front,
            "standardscaler__sample_weight": of_front**2,
            "logisticregression__sample_weight": weight,
        }
        train, test = parts(X, y, N_TRAIN, params)
        assert_slopes(pipeline, train, test, log_loss, names)
        slopes.append(
            Differentiator(names, log_loss)(fit(pipeline, train), train, test).slopes
        )
    assert all(slopes[0][name] != slopes[1][name] for name in names)


class WeightedShift(TransformerMixin, BaseEstimator):
    """Takes away a part of the weighted mean, and bends the rest."""

    def __init__(self, shrink=1.0):
        self.shrink = shrink

    def fit(self, X, y=None, sample_weight=None):
        self.mean_ = np.average(X, axis=0, weights=sample_weight)
        return self

    def transform(self, X):
        return np.tanh(X - self.shrink * self.mean_)


# Targets -----------------------------------------------------------------------------


def logged(regressor):
    return TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp)


@pytest.mark.parametrize(
    "estimator, names",
    [
        (logged(Ridge(3.0)), ("regressor__alpha",)),
        (
            logged(make_pipeline(NYSTROEM, Ridge(0.3))),
            ("regressor__nystroem__gamma", "regressor__ridge__alpha"),
        ),
        (
            make_pipeline(NYSTROEM, logged(Ridge(0.3))),
            (
                "nystroem__gamma",
                "transformedtargetregressor__regressor__alpha",
            ),
        ),
        (
            TransformedTargetRegressor(
                logged(Ridge(0.3)),
                transformer=FunctionTransformer(
                    np.square, np.sqrt, check_inverse=False
                ),
            ),
            ("regressor__regressor__alpha",),
        ),
        (
            TransformedTargetRegressor(Ridge(3.0), transformer=MinMaxScaler()),
            ("regressor__alpha",),
        ),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_slopes_with_transformed_targets(amounts, estimator, names, several):
    assert_slopes(estimator, *amounts[several], MSE, names)


@pytest.mark.parametrize(
    "estimator, prefix, name",
    [
        (logged(Ridge(3.0)), "", "regressor__alpha"),
        (
            logged(make_pipeline(StandardScaler(), Ridge(3.0))),
            "ridge__",
            "regressor__ridge__alpha",
        ),
        (
            make_pipeline(StandardScaler(), logged(Ridge(3.0))),
            "transformedtargetregressor__",
            "transformedtargetregressor__regressor__alpha",
        ),
    ],
)
def test_weights_reach_the_model_behind_a_transformed_target(
    amounts, estimator, prefix, name
):
    train, test = amounts[0]
    weight = np.random.default_rng(0).uniform(0.1, 3, N_TRAIN)
    train = train._replace(params={f"{prefix}sample_weight": weight})
    assert_slopes(estimator, train, test, MSE, [name])


def test_a_front_inside_of_a_transformed_target_sees_that_target(amounts):
    pipeline = make_pipeline(TargetShift(scale=0.3), Ridge(3.0))
    assert_slopes(logged(pipeline), *amounts[0], MSE, ["regressor__targetshift__scale"])


class TargetShift(TransformerMixin, BaseEstimator):
    """Scales features by how they go along with the target."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y):
        self.together_ = X.T @ y / len(y)
        return self

    def transform(self, X):
        return X * np.exp(-self.scale * self.together_**2)


# Estimators of others ----------------------------------------------------------------


class Shrunk(RegressorMixin, BaseEstimator):
    """A ridge of its own, without an intercept."""

    def __init__(self, strength=1.0):
        self.strength = strength

    def fit(self, X, y):
        H = X.T @ X + self.strength * np.eye(X.shape[1])
        self.coef_ = np.linalg.solve(H, X.T @ y)
        return self

    def predict(self, X):
        return X @ self.coef_

    def __hypergradient__(self):
        return ShrunkEquations


class ShrunkEquations(Equations):
    @staticmethod
    def names(estimator):
        return {"strength"}

    def __init__(self, estimator, X, y, sample_weight):
        self.X, self.y, self.w = X, y, estimator.coef_
        self.strength = estimator.strength

    def residual(self, w, params, X):
        return X.T @ (X @ w - self.y) + params["strength"] * w

    def product(self, w, v):
        return self.X.T @ (self.X @ v) + self.strength * v

    def outputs(self, w, params, X, X_new):
        return (X_new @ w)[:, None]

    def pullback(self, w, X_new, cotangent):
        return X_new.T @ cotangent[:, 0]


def test_an_estimator_of_others_brings_its_equations(amounts):
    assert_slopes(Shrunk(2.0), *amounts[0], MSE, ["strength"])
    pipeline = make_pipeline(NYSTROEM, Shrunk(0.2))
    names = ["nystroem__gamma", "shrunk__strength"]
    assert_slopes(pipeline, *amounts[0], MSE, names)


class Stranger(LogisticRegression):
    """Might solve something else."""


@pytest.mark.parametrize(
    "estimator", [LogisticRegressionCV(), Stranger(), make_pipeline(NYSTROEM)], ids=repr
)
def test_what_is_not_in_the_table_has_no_names(estimator):
    assert differentiable(estimator, ["C"]) == []
    pipeline = make_pipeline(NYSTROEM, estimator)
    assert differentiable(pipeline, ["nystroem__gamma"]) == []


def test_names_that_are_not_smooth_are_left_out():
    pipeline = make_pipeline(NYSTROEM, LOGISTIC)
    names = ["logisticregression__tol", "logisticregression__C", "other__C"]
    assert differentiable(pipeline, names) == ["logisticregression__C"]


# Refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)], ids=type)
def test_a_random_step_is_refused(random_state):
    nystroem = Nystroem(gamma=0.1, random_state=random_state)
    with pytest.raises(ValueError, match=r"nystroem__random_state = .* set .* an int"):
        differentiable(make_pipeline(nystroem, LOGISTIC), ["nystroem__gamma"])
    front = make_pipeline(columns(nystroem), LOGISTIC)
    with pytest.raises(ValueError, match="map__random_state"):
        differentiable(front, ["columntransformer__map__gamma"])


def test_a_random_step_beside_the_searched_one_is_refused(classes):
    pipeline = make_pipeline(NYSTROEM, RBFSampler(n_components=10), LOGISTIC)
    differentiate = Differentiator(["nystroem__gamma"], log_loss)
    np.random.seed(0)
    with pytest.raises(ValueError, match="do not change smoothly"):
        differentiate(fit(pipeline, classes[0]), *classes)


# At the first the number of features stays, at the others it is on a step.
@pytest.mark.parametrize("percentile", [45.0, 40.0, 60.0, 80.0, 20.0])
def test_a_step_that_jumps_is_refused(classes, percentile):
    pipeline = make_pipeline(SelectPercentile(percentile=percentile), LOGISTIC)
    name = "selectpercentile__percentile"
    with pytest.raises(ValueError, match=f"{name} = {percentile}: .* smoothly"):
        Differentiator([name], log_loss)(fit(pipeline, classes[0]), *classes)
