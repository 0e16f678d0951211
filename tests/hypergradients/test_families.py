"""Every estimator of the table has the slopes that refits have."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import sklearn
from gradient_oracle import assert_slopes, fit, parts
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn import metrics
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification, make_regression
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    RationalQuadratic,
    WhiteKernel,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LogisticRegression,
    MultiTaskElasticNet,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    TweedieRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.utils.fixes import parse_version

from skhpo import BlockScaler
from skhpo.hypergradients import TABLE
from skhpo.hypergradients.chain import differentiable, equations_of
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.huber import HuberEquations
from skhpo.hypergradients.linear import Linear
from skhpo.hypergradients.losses import CLASSIFICATION, REGRESSION
from skhpo.hypergradients.path import along, lagrangian_of

NO_PENALTY_ARGUMENT = parse_version(sklearn.__version__) >= parse_version("1.8")
N_TRAIN = 75
TIGHT = {"tol": 1e-12, "max_iter": 200_000}


class Case(NamedTuple):
    estimator: object
    data: str
    names: tuple
    weighted: bool = False
    sparse: object = None

    def __str__(self):
        sparse = f" {self.sparse.__name__}" if self.sparse else ""
        weights = " weighted" if self.weighted else ""
        return f"{self.estimator!r}, {self.data}{sparse}{weights}".replace("\n", "")


def logistic(penalty="l2", l1_ratio=None, **params):
    """Give a logistic regression with this penalty in any release.

    ``penalty`` is deprecated from 1.8 on; before, l1_ratio alone does not choose it.
    """
    params = {"C": 0.3, "tol": 1e-11, "max_iter": 20_000, "random_state": 0, **params}
    if not NO_PENALTY_ARGUMENT:
        return LogisticRegression(penalty=penalty, l1_ratio=l1_ratio, **params)
    l1_ratio = {"l1": 1.0, "l2": 0.0}.get(penalty, l1_ratio)
    return LogisticRegression(l1_ratio=l1_ratio, **params)


def data(name):
    """Give 100 samples of 6 features, and a target of this name."""
    rng = np.random.default_rng(0)
    n_classes = {"two classes": 2, "three classes": 3, "four classes": 4}.get(name)
    if n_classes:
        return make_classification(
            100, 6, n_informative=4, n_classes=n_classes, flip_y=0.1, random_state=1
        )
    X, y = make_regression(100, 6, noise=20.0, random_state=0)
    if name == "counts":
        return X, rng.poisson(np.exp(0.3 * X[:, 0] + 0.2 * X[:, 1])).astype(float)
    if name == "positive":
        return X, np.exp(0.3 * X[:, 0]) * rng.gamma(3, 1, len(X))
    y = y / 50 + 1
    return X, np.c_[y, y[::-1] - X[:, 0]] if name == "two targets" else y


LOSSES = {
    "two classes": CLASSIFICATION[metrics.log_loss],
    "three classes": CLASSIFICATION[metrics.log_loss],
    "four classes": CLASSIFICATION[metrics.log_loss],
    "counts": REGRESSION[metrics.mean_poisson_deviance],
    "positive": REGRESSION[metrics.mean_gamma_deviance],
    "one target": REGRESSION[metrics.mean_squared_error],
    "two targets": REGRESSION[metrics.mean_squared_error],
}
CLASSES = ["two classes", "three classes"]
TARGETS = ["one target", "two targets"]
UNEQUAL = {0: 1.0, 1: 2.5, 2: 0.7}


def ways(estimator, data, names, *, weighted=True, sparse=True, intercept=True):
    """Give the cases that one setting is tried in."""
    yield Case(estimator, data, names)
    if weighted:
        yield Case(estimator, data, names, weighted=True)
    if sparse:
        yield Case(estimator, data, names, weighted=weighted, sparse=csr_matrix)
        yield Case(estimator, data, names, sparse=csr_array)
    if intercept:
        without = sklearn.clone(estimator).set_params(fit_intercept=False)
        yield Case(without, data, names)


# Cases, family by family ------------------------------------------------------------


def of_least_squares():
    for target in TARGETS:
        yield from ways(Ridge(alpha=3, tol=1e-12), target, ("alpha",))
    for classes in CLASSES:
        for class_weight in (None, "balanced", {1: 2.5}):
            ridge = RidgeClassifier(alpha=3, class_weight=class_weight, tol=1e-12)
            yield from ways(ridge, classes, ("alpha",))
    yield from ways(Lasso(alpha=0.1, **TIGHT), "one target", ("alpha",))
    elastic = ElasticNet(alpha=0.1, l1_ratio=0.6, **TIGHT)
    yield from ways(elastic, "one target", ("alpha", "l1_ratio"))
    for net, names in [
        (Lasso(alpha=0.1, **TIGHT), ("alpha",)),
        (elastic, ("alpha", "l1_ratio")),
        (MultiTaskLasso(alpha=0.3, **TIGHT), ("alpha",)),
        (MultiTaskElasticNet(alpha=0.3, l1_ratio=0.6, **TIGHT), ("alpha", "l1_ratio")),
    ]:
        several = type(net).__name__.startswith("Multi")
        yield from ways(net, "two targets", names, weighted=False, sparse=not several)
    huber = HuberRegressor(alpha=0.5, epsilon=1.3, tol=1e-10, max_iter=20_000)
    yield from ways(huber, "one target", ("alpha", "epsilon"))


def of_logistic_regression():
    for classes in CLASSES:
        for class_weight in (
            None,
            "balanced",
            UNEQUAL if "three" in classes else {1: 2.5},
        ):
            yield from ways(logistic(class_weight=class_weight), classes, ("C",))
        for solver in ("newton-cg", "newton-cholesky", "sag", "saga"):
            yield from ways(logistic(solver=solver), classes, ("C",), sparse=False)
        l1 = logistic("l1", solver="saga")
        yield from ways(l1, classes, ("C",), sparse=False)
        elastic = logistic("elasticnet", 0.5, solver="saga")
        yield from ways(elastic, classes, ("C", "l1_ratio"), sparse=False)
    for penalty in ("l1", "l2"):
        for class_weight in (None, "balanced"):
            liblinear = logistic(
                penalty,
                solver="liblinear",
                intercept_scaling=2.0,
                class_weight=class_weight,
                random_state=0,
            )
            yield from ways(liblinear, "two classes", ("C",))


def of_generalised_linear_models():
    tight = {"tol": 1e-11, "max_iter": 10_000}
    for estimator, target in [
        (PoissonRegressor(alpha=0.5, **tight), "counts"),
        (PoissonRegressor(alpha=0.5, solver="newton-cholesky", **tight), "counts"),
        (GammaRegressor(alpha=0.5, **tight), "positive"),
        (TweedieRegressor(alpha=0.5, power=0, **tight), "one target"),
        (TweedieRegressor(alpha=0.5, power=0, link="log", **tight), "positive"),
        (TweedieRegressor(alpha=0.5, power=1, **tight), "counts"),
        (TweedieRegressor(alpha=0.5, power=-1, link="log", **tight), "positive"),
    ]:
        yield from ways(estimator, target, ("alpha",))
    for power in (1.5, 2, 3):
        tweedie = TweedieRegressor(alpha=0.5, power=power, **tight)
        yield from ways(tweedie, "positive", ("alpha", "power"))


def of_linear_support_vectors():
    for classes in CLASSES:
        for class_weight in (
            None,
            "balanced",
            UNEQUAL if "three" in classes else {1: 2.5},
        ):
            svc = LinearSVC(
                C=0.1,
                class_weight=class_weight,
                intercept_scaling=2.0,
                dual=False,
                **TIGHT,
            )
            yield from ways(svc, classes, ("C",))
    svr = LinearSVR(
        C=0.1,
        epsilon=0.3,
        loss="squared_epsilon_insensitive",
        intercept_scaling=2.0,
        dual=False,
        **TIGHT,
    )
    yield from ways(svr, "one target", ("C", "epsilon"))
    l1 = {"penalty": "l1", "dual": False, "random_state": 0, "tol": 1e-9}
    for classes in CLASSES:
        for class_weight in (None, "balanced"):
            svc = LinearSVC(C=0.1, class_weight=class_weight, max_iter=1_000_000, **l1)
            svc.set_params(intercept_scaling=2.0)
            yield from ways(svc, classes, ("C",))
    hinge = {"intercept_scaling": 2.0, "tol": 1e-8, "max_iter": 1_000_000}
    for C in (0.03, 0.1):
        for classes in CLASSES:
            for class_weight in (None, {1: 2.5}):
                svc = LinearSVC(C=C, loss="hinge", class_weight=class_weight, **hinge)
                yield from ways(svc.set_params(random_state=0), classes, ("C",))
        for epsilon in (0.02, 0.3):
            svr = LinearSVR(C=C, epsilon=epsilon, random_state=0, **hinge)
            yield from ways(svr, "one target", ("C", "epsilon"))


def of_kernels():
    once = {"intercept": False}
    shapes = {
        "rbf": ({"gamma": 0.1}, ("gamma",)),
        "laplacian": ({"gamma": 0.1}, ("gamma",)),
        "poly": ({"gamma": 0.1, "coef0": 0.5}, ("gamma", "coef0")),
        "sigmoid": ({"gamma": 0.01, "coef0": 0.1}, ("gamma", "coef0")),
        "linear": ({}, ()),
    }
    for kernel, (params, names) in shapes.items():
        ridge = KernelRidge(alpha=0.7, kernel=kernel, **params)
        for target in TARGETS:
            # Sparse features have no laplacian.
            sparse = kernel != "laplacian"
            yield from ways(ridge, target, ("alpha", *names), sparse=sparse, **once)
        if kernel == "laplacian":
            continue
        svc = SVC(C=1.3, kernel=kernel, tol=1e-11, **params)
        for classes in (*CLASSES, "four classes"):
            yield from ways(svc, classes, ("C", *names), **once)
        svr = SVR(C=1.3, kernel=kernel, epsilon=0.2, tol=1e-11, **params)
        yield from ways(svr, "one target", ("C", "epsilon", *names), **once)
    for gamma in ("scale", "auto"):
        for class_weight in ("balanced", {1: 2.5}):
            svc = SVC(C=1.3, gamma=gamma, class_weight=class_weight, tol=1e-11)
            for classes in (*CLASSES, "four classes"):
                yield from ways(svc, classes, ("C",), **once)
        svr = SVR(gamma=gamma, tol=1e-11)
        yield from ways(svr, "one target", ("C", "epsilon"), **once)


def of_closed_formulas():
    plain = {"weighted": False, "sparse": False, "intercept": False}
    kernel = ConstantKernel(1.5) * RationalQuadratic(2.0, 0.7) + WhiteKernel(0.1)
    for target in TARGETS:
        yield from ways(
            GaussianProcessRegressor(RBF(2.0), optimizer=None, alpha=0.1),
            target,
            ("alpha", "kernel__length_scale"),
            **plain,
        )
        yield from ways(
            GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True),
            target,
            (
                "kernel__k1__k1__constant_value",
                "kernel__k1__k2__length_scale",
                "kernel__k1__k2__alpha",
                "kernel__k2__noise_level",
            ),
            **plain,
        )
    for classes in CLASSES:
        for solver in ("lsqr", "eigen"):
            lda = LinearDiscriminantAnalysis(solver=solver, shrinkage=0.3)
            yield from ways(lda, classes, ("shrinkage",), **plain)
        qda = QuadraticDiscriminantAnalysis(reg_param=0.3)
        yield from ways(qda, classes, ("reg_param",), **plain)
        nb = GaussianNB(var_smoothing=0.1)
        yield from ways(nb, classes, ("var_smoothing",), **{**plain, "weighted": True})


CASES = [
    *of_least_squares(),
    *of_logistic_regression(),
    *of_generalised_linear_models(),
    *of_linear_support_vectors(),
    *of_kernels(),
    *of_closed_formulas(),
]


def test_every_class_of_the_table_has_a_case():
    assert {type(case.estimator) for case in CASES} == set(TABLE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_slopes_are_those_of_refits(case):
    X, y = data(case.data)
    if case.sparse is not None:
        X = case.sparse(np.where(np.abs(X) > 0.5, X, 0.0))
    weight = np.random.default_rng(1).uniform(0.3, 2, len(y))
    weight[::11] = 0
    params = {"sample_weight": weight[:N_TRAIN]} if case.weighted else {}
    test_params = {"sample_weight": weight[N_TRAIN:]} if case.weighted else {}
    train, test = parts(X, y, N_TRAIN, params, test_params)
    assert_slopes(case.estimator, train, test, LOSSES[case.data], case.names)


UNSQUARED = ("hinge", "epsilon_insensitive")


@pytest.mark.parametrize("C", [1.0, 1e2, 1e6])
@pytest.mark.parametrize("model", [LinearSVC(loss="hinge"), LinearSVR(epsilon=0.1)])
def test_duals_far_below_their_limits_are_free(model, C):
    X, y = make_classification(90, 100, n_informative=5, class_sep=3, random_state=0)
    X, X_new, y = X[:60], X[60:], y[:60]
    tight = {"fit_intercept": False, "tol": 1e-9, "max_iter": 1_000_000}
    # Nothing is missed, so that a larger C would change nothing.
    model = clone(model).set_params(C=1.0, random_state=0, **tight).fit(X, y)
    expected = getattr(model, "decision_function", model.predict)(X_new)
    equations = equations_of(model)(model.set_params(C=C), X, y, None)
    found = equations.outputs(equations.w, model.get_params(), X, X_new)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


LOOKED_AT = {
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearSVC,
    LinearSVR,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SVC,
    SVR,
    TweedieRegressor,
}


def begun_path(case, X, y):
    """Fit a case, and begin a path there; None where only fits lead elsewhere."""
    weight = np.random.default_rng(1).uniform(0.3, 2, len(y))
    parameters = [{"sample_weight": w} for w in (weight[:N_TRAIN], weight[N_TRAIN:])]
    train, test = parts(X, y, N_TRAIN, *(parameters if case.weighted else ({}, {})))
    differentiate = Differentiator(case.names, LOSSES[case.data])
    solution = differentiate(fit(case.estimator, train), train, test).solution
    if solution is None:
        return train, test, None
    model = clone(case.estimator)
    return train, test, differentiate.path(model, train, test, "", solution)


def moved(case, way):
    """Give the values of a case, each gone some way in the logarithm."""
    values = {}
    for name, share in zip(case.names, way, strict=True):
        value = case.estimator.get_params()[name]
        # The ends of a ratio, or of a power, are near.
        near = name in ("l1_ratio", "power")
        values[name] = value * np.exp(0.1 * share if near else share)
    return values


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_look_is_what_a_fit_there_gives(case):
    X, y = data(case.data)
    if case.sparse is not None:
        X = case.sparse(np.where(np.abs(X) > 0.5, X, 0.0))
    train, test, path = begun_path(case, X, y)
    if path is None:
        several = np.ndim(y) > 1 or case.estimator.get_params().get("l1_ratio")
        penalty = case.estimator.get_params().get("penalty")
        by_fits = several or penalty not in ("deprecated", None, "l2")
        unsquared = case.estimator.get_params().get("loss") in UNSQUARED
        other_kernel = case.estimator.get_params().get("kernel", "rbf") != "rbf"
        assert (
            by_fits
            or unsquared
            or other_kernel
            or type(case.estimator) not in LOOKED_AT
        )
        return
    assert type(case.estimator) in LOOKED_AT
    differentiate = Differentiator(case.names, LOSSES[case.data])
    rng = np.random.default_rng(0)
    for size in (0.0, 1.5, -2.0, 0.7):
        values = moved(case, size * rng.uniform(0.5, 1, len(case.names)))
        found = path.at(values)
        fitted = fit(case.estimator, train, **values)
        expected = differentiate(fitted, train, test)
        np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
        scale = max(abs(expected.loss), 1e-3)
        for name, value in values.items():
            np.testing.assert_allclose(
                found.slopes[name] * value,
                expected.slopes[name] * value,
                rtol=1e-3,
                atol=1e-5 * scale,
                err_msg=name,
            )


DENSE = [case for case in CASES if case.sparse is None]


@pytest.mark.parametrize("case", DENSE, ids=str)
def test_slopes_of_looks_are_those_of_differences(case):
    _, _, path = begun_path(case, *data(case.data))
    if path is None:
        return
    rng = np.random.default_rng(2)
    way = rng.uniform(-1, 1, len(case.names))
    direction = rng.normal(size=len(case.names))
    direction /= np.linalg.norm(direction)
    # A support vector machine has many kinks, and is solved to the end.
    step = 3e-5 if isinstance(case.estimator, (SVC, SVR)) else 3e-3
    at = {h: moved(case, way + h * direction) for h in (0.0, -step, step)}
    looks = {h: path.at(values) for h, values in at.items()}
    slope = sum(
        looks[0.0].slopes[name] * (at[step][name] - at[-step][name])
        for name in case.names
    )
    rise = looks[step].loss - looks[-step].loss
    np.testing.assert_allclose(slope, rise, rtol=2e-3, atol=3e-6 * step)


LINEAR = [
    case
    for case in CASES
    if issubclass(TABLE[type(case.estimator)], Linear) and case.sparse is None
]


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_the_formula_for_scales_of_columns_agrees_with_differences(case, monkeypatch):
    X, y = data(case.data)
    weight = (
        np.random.default_rng(0).uniform(0.2, 2, N_TRAIN) if case.weighted else None
    )
    scaler = BlockScaler({"a": [0, 1, 4], "b": [3]}, {"a": 1.3, "b": 0.4})
    model = Pipeline([("scale", scaler), ("model", case.estimator)])
    params = {} if weight is None else {"model__sample_weight": weight}
    train, test = parts(X, y, N_TRAIN, params)
    fitted = fit(model, train)
    names = ("scale__a", "scale__b")
    found = Differentiator(names, LOSSES[case.data])(fitted, train, test)
    monkeypatch.setattr(Linear, "by_factors", lambda *args: None)
    monkeypatch.setattr(HuberEquations, "by_factors", lambda *args: None)
    expected = Differentiator(names, LOSSES[case.data])(fitted, train, test)
    for name in names:
        np.testing.assert_allclose(
            found.slopes[name], expected.slopes[name], rtol=1e-4, atol=1e-7
        )


WITH_FORMULA = [
    case
    for case in CASES
    if issubclass(equations_of(case.estimator), Linear)
    and not issubclass(equations_of(case.estimator), HuberEquations)
]


@pytest.mark.parametrize("case", WITH_FORMULA, ids=str)
def test_the_formula_for_features_agrees_with_differences(case):
    rng = np.random.default_rng(0)
    X, y = data(case.data)
    if case.sparse is not None:
        X = case.sparse(np.where(np.abs(X) > 0.5, X, 0.0))
    weight = rng.uniform(0.2, 2, N_TRAIN) if case.weighted else None
    params = {} if weight is None else {"sample_weight": weight}
    train, test = parts(X, y, N_TRAIN, params)
    model = fit(case.estimator, train)
    equations = equations_of(model)(model, train.X, train.y, weight)
    both, params = (train.X, test.X), model.get_params(deep=False)
    w, u = equations.w, rng.normal(size=len(equations.w))
    d_f = rng.normal(size=equations.outputs(w, params, *both).shape)
    pairs = equations.by_features(w, u, d_f, *both)
    change = tuple(rng.normal(size=part.shape) for part in both)
    lagrangian = partial(lagrangian_of(equations, w, u, d_f), params)
    dense = tuple(part.toarray() if issparse(part) else part for part in both)
    expected = along(lagrangian, dense, change, 1.0)
    found = sum(
        np.vdot(A @ B, moved)
        for of_part, moved in zip(pairs, change, strict=True)
        for A, B in of_part
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_slopes_of_scales_are_those_of_refits():
    scales = {f"x{j}": scale for j, scale in enumerate([0.3, 1, 1, 2, 1, 1.5])}
    names = [f"blockscaler__{name}" for name in scales]
    for model, target in [
        (logistic(), "two classes"),
        (Ridge(3.0), "one target"),
        (Lasso(0.1, **TIGHT), "one target"),
    ]:
        estimator = make_pipeline(BlockScaler("each", scales), model)
        train, test = parts(*data(target), N_TRAIN)
        assert_slopes(estimator, train, test, LOSSES[target], names)


# Settings without a slope ------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(positive=True),
        Ridge(alpha=[1.0, 2.0]),
        RidgeClassifier(positive=True),
        Lasso(positive=True),
        ElasticNet(positive=True),
        LogisticRegression(C=np.inf),
        LinearSVC(multi_class="crammer_singer"),
        LinearSVC(multi_class="crammer_singer", loss="hinge"),
        TweedieRegressor(power=-1),
        TweedieRegressor(power=1.5, link="identity"),
        KernelRidge(kernel=lambda a, b: a @ b),
        KernelRidge(alpha=[1.0, 2.0]),
        SVC(kernel=lambda A, B: A @ B.T),
        SVC(kernel="precomputed"),
        SVR(kernel=lambda A, B: A @ B.T),
        SVR(kernel="precomputed"),
        LinearDiscriminantAnalysis(),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        GaussianProcessRegressor(RBF()),
        GaussianProcessRegressor(optimizer=None),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_settings_without_smooth_equations_give_no_names(estimator):
    names = [
        *("alpha", "l1_ratio", "C", "epsilon", "gamma", "coef0", "power", "shrinkage"),
        "kernel__length_scale",
    ]
    assert differentiable(estimator, names) == []
    # Nor for a step in front, whose slope needs the equations too.
    pipeline = make_pipeline(Nystroem(gamma=0.1, random_state=0), estimator)
    assert differentiable(pipeline, ["nystroem__gamma"]) == []


OLD_SETTINGS = [{"penalty": None}]
if "multi_class" in LogisticRegression().get_params():
    OLD_SETTINGS.append({"multi_class": "ovr"})


@pytest.mark.parametrize("params", OLD_SETTINGS)
def test_logistic_regression_with_old_settings_without_names(params):
    assert differentiable(LogisticRegression(**params), ["C"]) == []


def test_deprecated_penalty_holds_in_new_releases():
    estimator = LogisticRegression(penalty="l1", solver="saga", C=0.3, tol=1e-10)
    estimator.set_params(max_iter=20_000)
    train, test = parts(*data("two classes"), N_TRAIN)
    slope = slopes_at(estimator, train, test, ["C"])["C"]
    other = slopes_at(logistic("l1", solver="saga"), train, test, ["C"])["C"]
    assert slope == pytest.approx(other, rel=1e-5)


def derivative_at(estimator, train, test, names, loss=CLASSIFICATION[metrics.log_loss]):
    return Differentiator(names, loss)(fit(estimator, train), train, test)


def slopes_at(*args):
    return derivative_at(*args).slopes


@pytest.mark.filterwarnings("ignore:Using the 'liblinear' solver:FutureWarning")
def test_several_classes_fitted_one_by_one_are_refused():
    estimator = logistic(solver="liblinear")
    train, test = parts(*data("three classes"), N_TRAIN)
    if NO_PENALTY_ARGUMENT:
        with pytest.raises(ValueError, match="liblinear"):
            fit(estimator, train)
        return
    with pytest.raises(ValueError, match="one by one"):
        slopes_at(estimator, train, test, ["C"])


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_shape_of_the_decision_function_does_not_matter(kernel):
    train, test = parts(*data("four classes"), N_TRAIN)
    svc = SVC(C=1.3, kernel=kernel, tol=1e-11)
    expected = derivative_at(svc, train, test, ["C"])
    for other in [
        {"decision_function_shape": "ovo"},
        {"break_ties": True},
        {"probability": True, "random_state": 0},
    ]:
        found = derivative_at(sklearn.clone(svc).set_params(**other), train, test, "C")
        assert found.loss == pytest.approx(expected.loss, rel=1e-9)
        assert found.slopes == pytest.approx(expected.slopes, rel=1e-9)


@pytest.mark.parametrize("name", ["three classes", "four classes"])
def test_names_and_order_of_several_classes_do_not_matter(name):
    X, y = data(name)
    names = np.array(["d", "a", "c", "b"])[y]
    svc = SVC(C=1.3, gamma=0.1, tol=1e-11)
    expected = derivative_at(svc, *parts(X, y, N_TRAIN), ["C", "gamma"])
    found = derivative_at(svc, *parts(X, names, N_TRAIN), ["C", "gamma"])
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert found.slopes == pytest.approx(expected.slopes, rel=1e-5)


def test_several_classes_whose_support_vectors_are_all_bound_have_a_slope():
    X, y = data("three classes")
    even = np.sort(np.r_[tuple(np.flatnonzero(y == k)[:20] for k in range(3))])
    rest = np.setdiff1d(np.arange(len(y)), even)
    X, y = np.r_[X[even], X[rest]], np.r_[y[even], y[rest]]
    train, test = parts(X, y, len(even))
    svc = SVC(C=1e-3, gamma=0.1, tol=1e-12)
    assert (np.abs(fit(svc, train).dual_coef_) == 1e-3).all()
    assert_slopes(svc, train, test, LOSSES["three classes"], ("C", "gamma"))


def test_a_front_of_a_machine_for_each_pair_has_the_slopes_of_refits():
    train, test = parts(*data("four classes"), N_TRAIN)
    for front, name in [
        (Nystroem(gamma=0.1, n_components=20, random_state=0), "nystroem__gamma"),
        (BlockScaler({"a": [0, 1]}), "blockscaler__a"),
    ]:
        # gamma="scale" follows the features of all classes.
        svc = make_pipeline(front, SVC(C=1.3, tol=1e-11))
        loss = LOSSES["four classes"]
        assert_slopes(svc, train, test, loss, [name, "svc__C"], step=1e-5)


def test_classes_that_training_never_saw_do_not_count():
    X, y = data("three classes")
    order = np.argsort(y, kind="stable")
    n_train = int((y < 2).sum()) - 10
    train, test = parts(X[order], y[order], n_train)
    found = derivative_at(logistic(), train, test, ["C"])
    known = test._replace(X=test.X[:10], y=test.y[:10])
    expected = derivative_at(logistic(), train, known, ["C"])
    assert found.loss == pytest.approx(expected.loss)
    assert found.slopes == pytest.approx(expected.slopes)
    unknown = test._replace(X=test.X[10:], y=test.y[10:])
    assert np.isnan(derivative_at(logistic(), train, unknown, ["C"]).loss)


# Corners -----------------------------------------------------------------------------


@pytest.mark.parametrize("C", [1e-4, 1e-3])
@pytest.mark.parametrize("n_train", [74, 76])
def test_a_regression_whose_support_vectors_are_all_bound_has_a_slope(C, n_train):
    X, y = data("one target")
    train, test = parts(X, y, n_train)
    svr = SVR(C=C, gamma=0.1, epsilon=0.05, tol=1e-12)
    fitted = fit(svr, train)
    assert (np.abs(fitted.dual_coef_) == C).all()
    names = ("C", "gamma", "epsilon")
    assert_slopes(svr, train, test, LOSSES["one target"], names, step=1e-3)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_classifier_whose_support_vectors_are_all_bound_has_a_slope(kernel):
    X, y = data("two classes")
    order = np.argsort(np.argsort(y, kind="stable") % 50, kind="stable")
    X, y = X[order], y[order]
    n = 2 * min((y == 0).sum(), (y == 1).sum())
    half = np.r_[np.flatnonzero(y == 0)[: n // 2], np.flatnonzero(y == 1)[: n // 2]]
    rest = np.setdiff1d(np.arange(len(y)), half[::2])
    X, y = np.r_[X[half], X[rest]], np.r_[y[half], y[rest]]
    train, test = parts(X, y, n)
    svc = SVC(C=1e-3, gamma=0.1, kernel=kernel, tol=1e-12)
    assert (np.abs(fit(svc, train).dual_coef_) == 1e-3).all()
    names = ("C", "gamma") if kernel == "rbf" else ("C",)
    assert_slopes(svc, train, test, LOSSES["two classes"], names)


# At the last, a full Newton step from the loose fit overshoots.
@pytest.mark.parametrize("C", [1e-4, 54, 1e4])
@pytest.mark.parametrize("scaled", [True, False])
def test_a_loose_fit_has_nearly_the_slope_of_a_tight_one(C, scaled):
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0) if scaled else X / X.std(axis=0)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = parts(X[order], y[order], 400)
    loose = LogisticRegression(C=C, max_iter=10_000)
    tight = LogisticRegression(C=C, max_iter=10_000, tol=1e-13, solver="newton-cg")
    slope = slopes_at(loose, train, test, ["C"])["C"]
    expected = slopes_at(tight, train, test, ["C"])["C"]
    assert slope == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("C", [0.3, 1e3])
def test_a_loose_fit_of_several_classes_has_nearly_the_slope_of_a_tight_one(C):
    train, test = parts(*data("three classes"), N_TRAIN)
    loose = logistic(C=C, tol=1e-4)
    slope = slopes_at(loose, train, test, ["C"])["C"]
    tight = logistic(C=C, tol=1e-13, solver="newton-cg")
    assert slope == pytest.approx(slopes_at(tight, train, test, ["C"])["C"], rel=1e-3)
