"""Networks of skorch: against models with a formula, and against long, tight fits."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from gradient_oracle import parts
from sklearn import metrics
from sklearn.base import clone
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhpo import HypergradSearch, Real
from skhpo.hypergradients.base import solve
from skhpo.hypergradients.chain import differentiable
from skhpo.hypergradients.differentiate import Differentiator
from skhpo.hypergradients.losses import CLASSIFICATION, REGRESSION
from skhpo.hypergradients.nets import NetEquations

pytestmark = pytest.mark.optional

DECAY = "optimizer__weight_decay"
LOG_LOSS = CLASSIFICATION[metrics.log_loss]
SQUARED = REGRESSION[metrics.mean_squared_error]
N_TRAIN = 60
SETTINGS = {
    "max_epochs": 1500,
    "lr": 0.1,
    "optimizer__momentum": 0.9,
    "batch_size": -1,
    "train_split": None,
    "callbacks": "disable",
    "verbose": 0,
}


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        # What skorch's imports warn about is not for us to mend.
        warnings.simplefilter("ignore")
        pytest.importorskip("skorch")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="module")
def skorch(torch):
    import skorch

    return skorch


@pytest.fixture(scope="module")
def modules(torch):
    import torch_modules

    return torch_modules


@pytest.fixture
def regression(rng):
    X = rng.normal(size=(100, 4))
    y = X @ [1.0, -0.5, 0.3, 0.0] + np.sin(2 * X[:, 0]) + 0.5 * rng.normal(size=100)
    return X, y[:, None]


@pytest.fixture
def classes(rng):
    X = rng.normal(size=(100, 4))
    f = X @ rng.normal(size=(4, 3)) + rng.gumbel(size=(100, 3))
    return X, f.argmax(axis=1)


@pytest.fixture
def regressor(skorch, modules):
    def make(module=modules.Linear, **params):
        return skorch.NeuralNetRegressor(module, **{**SETTINGS, DECAY: 0.05, **params})

    return make


def slopes(estimator, train, test, names, loss):
    assert differentiable(estimator, names) == list(names)
    return Differentiator(names, loss)(estimator, train, test)


# Linear modules, whose slopes are known -----------------------------------------------


def test_a_linear_net_has_the_slope_of_ridge(regressor, regression):
    train, test = parts(*regression, N_TRAIN)
    net = regressor().fit(train.X, train.y)
    found = slopes(net, train, test, [DECAY], SQUARED)
    # mean (y - Xw)^2 + decay / 2 w'w is ridge with alpha = n decay / 2.
    ridge = Ridge(alpha=N_TRAIN * 0.05 / 2, fit_intercept=False).fit(train.X, train.y)
    expected = slopes(ridge, train, test, ["alpha"], SQUARED)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-6)
    slope = expected.slopes["alpha"] * N_TRAIN / 2
    np.testing.assert_allclose(found.slopes[DECAY], slope, rtol=1e-4)


@pytest.mark.parametrize("mini_batches", [False, True])
@pytest.mark.parametrize("optimizer", ["Adam", "NAdam", "RAdam", "Adamax"])
def test_what_the_optimizer_is_does_not_matter(
    regressor, regression, torch, optimizer, mini_batches
):
    train, test = parts(*regression, N_TRAIN)
    net = regressor(
        optimizer=getattr(torch.optim, optimizer),
        optimizer__betas=(0.9, 0.999),
        lr=0.01,
        batch_size=20 if mini_batches else -1,
    )
    del net.optimizer__momentum
    net.fit(train.X, train.y)
    ridge = Ridge(alpha=N_TRAIN * 0.05 / 2, fit_intercept=False).fit(train.X, train.y)
    found = slopes(net, train, test, [DECAY], SQUARED).slopes[DECAY]
    expected = slopes(ridge, train, test, ["alpha"], SQUARED).slopes["alpha"]
    rel = 0.1 if mini_batches else 1e-3
    assert found == pytest.approx(expected * N_TRAIN / 2, rel=rel)


@pytest.mark.parametrize("shuffled", [False, True])
def test_rows_of_a_short_last_batch_count_more_unless_shuffled(
    regressor, regression, shuffled
):
    # Fifty and ten rows: a step for each.
    train, test = parts(*regression, N_TRAIN)
    net = regressor(batch_size=50, iterator_train__shuffle=shuffled, lr=0.002)
    net.fit(train.X, train.y)
    found = slopes(net, train, test, [DECAY], SQUARED).slopes[DECAY]
    s = np.repeat([1 / 100, 1 / 20], [50, 10])
    expected = {}
    for kind, weight in (("equal", np.full(N_TRAIN, 1 / N_TRAIN)), ("short", s)):
        ridge = Ridge(alpha=0.05 / 2, fit_intercept=False)
        ridge.fit(train.X, train.y, sample_weight=weight)
        weighted = train._replace(params={"sample_weight": weight})
        slope = slopes(ridge, weighted, test, ["alpha"], SQUARED).slopes["alpha"] / 2
        expected[kind] = slope
    right, wrong = ("equal", "short") if shuffled else ("short", "equal")
    assert found == pytest.approx(expected[right], rel=0.1)
    assert found != pytest.approx(expected[wrong], rel=0.3)


def test_a_step_in_front_has_the_slope_it_has_before_ridge(regressor, regression):
    train, test = parts(*regression, N_TRAIN)
    front = Nystroem(gamma=0.1, n_components=6, random_state=0)
    net = make_pipeline(front, regressor(module__n_in=6, optimizer__weight_decay=0.05))
    ridge = make_pipeline(front, Ridge(alpha=N_TRAIN * 0.05 / 2, fit_intercept=False))
    name = "nystroem__gamma"
    found, expected = (
        slopes(model.fit(train.X, train.y), train, test, [name], SQUARED).slopes[name]
        for model in (net, ridge)
    )
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("kind", ["logits", "probabilities", "binary", "binary column"])
def test_a_linear_net_has_the_slope_of_logistic_regression(
    skorch, modules, torch, classes, kind
):
    X, y = classes
    params = {**SETTINGS, DECAY: 0.05}
    if kind.startswith("binary"):
        y = (y == 1).astype(float)
        net = skorch.NeuralNetBinaryClassifier(
            modules.Linear, module__flat=kind == "binary", **params
        )
    else:
        loss = torch.nn.CrossEntropyLoss if kind == "logits" else torch.nn.NLLLoss
        net = skorch.NeuralNetClassifier(
            modules.Linear,
            module__n_out=3,
            module__proba=kind == "probabilities",
            criterion=loss,
            **params,
        )
    train, test = parts(X, y, N_TRAIN)
    found = slopes(net.fit(train.X, train.y), train, test, [DECAY], LOG_LOSS)
    if kind.startswith("binary"):
        train, test = parts(X, y > 0, N_TRAIN)
    C = 1 / (N_TRAIN * 0.05)
    logistic = LogisticRegression(C=C, fit_intercept=False, tol=1e-10)
    logistic.fit(train.X, train.y)
    expected = slopes(logistic, train, test, ["C"], LOG_LOSS)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    own = skorch_log_loss(net, test)
    np.testing.assert_allclose(found.loss, own, rtol=1e-6)
    slope = expected.slopes["C"] * -C / 0.05
    np.testing.assert_allclose(found.slopes[DECAY], slope, rtol=1e-4)


def skorch_log_loss(net, test):
    return metrics.log_loss(np.asarray(test.y, dtype=int), net.predict_proba(test.X))


# A network ----------------------------------------------------------------------------


def tightly(net, X, y, torch, start, **params):
    """Train from the same weights by LBFGS, without the equations that are tested."""
    net = clone(net).set_params(**params)
    decay = net.get_params()[DECAY]
    with torch.random.fork_rng(devices=[]):
        net.initialize()
    net.module_.load_state_dict(start)
    weights = list(net.module_.parameters())
    optimizer = torch.optim.LBFGS(
        weights,
        max_iter=5000,
        tolerance_grad=1e-11,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    X, y = torch.tensor(X), torch.tensor(y)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net.module_(X), y)
        loss = loss + decay / 2 * sum((w**2).sum() for w in weights)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    return net


# LBFGS ends with gradients near 1e-8; steps are such that this does not matter.
@pytest.mark.parametrize("name, step", [(DECAY, 1e-2), ("module__temperature", 1e-3)])
def test_a_network_has_the_slope_of_tight_fits(
    regressor, regression, modules, torch, name, step
):
    train, test = parts(*regression, N_TRAIN)
    net = regressor(modules.Tanh, module__temperature=0.7, **{DECAY: 0.01})
    net.fit(train.X, train.y)
    start = copy.deepcopy(net.module_.state_dict())
    fitted = tightly(net, train.X, train.y, torch, start)
    # From there on, so that all fits are in the same valley.
    start = copy.deepcopy(fitted.module_.state_dict())
    found = slopes(fitted, train, test, [name], SQUARED).slopes[name]
    value = net.get_params()[name]
    step *= value
    above, below = (
        metrics.mean_squared_error(
            test.y,
            tightly(net, train.X, train.y, torch, start, **{name: v}).predict(test.X),
        )
        for v in (value + step, value - step)
    )
    assert found == pytest.approx((above - below) / (2 * step), rel=1e-4)
    # The optimizer of the net itself gets near enough.
    assert slopes(net, train, test, [name], SQUARED).slopes[name] == pytest.approx(
        found, rel=1e-2
    )


def test_a_network_of_single_precision_has_nearly_that_slope(
    regressor, regression, modules
):
    X, y = regression
    found = []
    for dtype in (np.float64, np.float32):
        double = dtype is np.float64
        train, test = parts(X.astype(dtype), y.astype(dtype), N_TRAIN)
        net = regressor(modules.Tanh, module__double=double, max_epochs=2000)
        net.fit(train.X, train.y)
        found.append(slopes(net, train, test, [DECAY], SQUARED).slopes[DECAY])
    assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_training_that_has_not_converged_is_warned_of(regressor, regression, modules):
    train, test = parts(*regression, N_TRAIN)
    net = regressor(modules.Tanh, max_epochs=3, lr=0.01).fit(train.X, train.y)
    with pytest.warns(RuntimeWarning, match=r"NeuralNetRegressor has not converged"):
        slopes(net, train, test, [DECAY], SQUARED)


def test_a_saddle_is_damped_and_its_system_solved(regressor, regression, modules, rng):
    train, _ = parts(*regression, N_TRAIN)
    net = regressor(modules.Tanh, max_epochs=1, lr=0.0, **{DECAY: 0.0})
    net.fit(train.X, train.y)
    equations = NetEquations(net, train.X, train.y, None)
    H = np.array([equations.product(equations.w, e) for e in np.eye(len(equations.w))])
    assert np.linalg.eigvalsh(H).min() < -1e-3
    rhs = rng.normal(size=len(H))
    x = solve(equations, equations.w, rhs, equations.factor(equations.w))
    damped = np.array(
        [equations.product(equations.w, e) for e in np.eye(len(equations.w))]
    )
    damping = np.diag(damped - H)
    np.testing.assert_allclose(damping, damping[0])
    assert 0 < damping[0] <= 10 * np.abs(np.linalg.eigvalsh(H)).max()
    np.testing.assert_allclose(damped @ x, rhs, atol=1e-6)


# What has no gradient -----------------------------------------------------------------


def test_a_net_that_was_not_given_a_decay_has_it_all_the_same(regressor):
    net = regressor()
    del net.optimizer__weight_decay
    assert DECAY not in net.get_params()
    assert differentiable(net, [DECAY]) == [DECAY]


def test_settings_without_smooth_equations_give_no_names(regressor, torch):
    for params in [
        {"optimizer": torch.optim.AdamW},
        {"optimizer": torch.optim.ASGD},
        {"optimizer": torch.optim.Adam, "optimizer__decoupled_weight_decay": True},
        {"optimizer__maximize": True},
        {"optimizer__param_groups": [("*", {"weight_decay": 0.1})]},
        {"criterion": torch.nn.L1Loss},
        {"criterion__reduction": "sum"},
        {"predict_nonlinearity": None},
    ]:
        assert differentiable(regressor(**params), [DECAY]) == [], params
    names = [DECAY, "module__n_in", "module__proba", "module__double", "lr"]
    assert differentiable(regressor(optimizer=torch.optim.LBFGS), names) == names[1:2]


@pytest.mark.parametrize(
    "params, match",
    [
        ({"train_split": len}, "train_split"),
        ({"device": "cuda"}, "device"),
        ({"compile": True}, "compile"),
        ({"iterator_train": len}, "iterator_train"),
        ({"iterator_train__drop_last": True}, "iterator_train__drop_last"),
        ({"dataset": len}, "dataset"),
    ],
    ids=str,
)
def test_settings_that_keep_training_from_its_minimum_are_refused(
    regressor, params, match
):
    with pytest.raises(ValueError, match=rf"NeuralNetRegressor: {match} = "):
        differentiable(regressor(**params), [DECAY])


def test_callbacks_that_may_stop_training_early_are_refused(regressor, skorch):
    from skorch import callbacks

    for callback in [
        callbacks.EarlyStopping,
        callbacks.EarlyStopping(),
        ("early", callbacks.EarlyStopping()),
        callbacks.Freezer("layer*"),
        callbacks.SWA() if hasattr(callbacks, "SWA") else callbacks.Callback(),
    ]:
        with pytest.raises(ValueError, match="callbacks = "):
            differentiable(regressor(callbacks=[callback]), [DECAY])
    harmless = [
        callbacks.EarlyStopping("train_loss"),
        callbacks.GradientNormClipping(1.0),
        ("bar", callbacks.ProgressBar),
    ]
    assert differentiable(regressor(callbacks=harmless), [DECAY]) == [DECAY]
    assert differentiable(regressor(callbacks=None), [DECAY]) == [DECAY]


def refused(net, train, match, names=(DECAY,)):
    net.fit(train.X, train.y)
    with pytest.raises(ValueError, match=match):
        slopes(net, train, train, list(names), SQUARED)


def test_modules_that_are_other_functions_in_training_are_refused(
    regressor, regression, modules, torch
):
    train, _ = parts(*regression, N_TRAIN)
    nn = torch.nn
    for layer in [
        lambda: nn.Dropout(0.1),
        lambda: nn.BatchNorm1d(4),
        lambda: nn.BatchNorm1d(4, track_running_stats=False),
    ]:
        net = regressor(modules.with_layer(layer), max_epochs=2)
        refused(net, train, "dropout and batch normalisation")
    net = regressor(modules.with_layer(lambda: nn.LayerNorm(4)), max_epochs=500)
    net.fit(train.X, train.y)
    assert np.isfinite(slopes(net, train, train, [DECAY], SQUARED).slopes[DECAY])


@pytest.mark.filterwarnings("ignore:The training of:RuntimeWarning")
def test_numbers_of_a_module_that_are_not_smooth_are_refused(
    regressor, regression, modules
):
    train, _ = parts(*regression, N_TRAIN)
    spread = regressor(modules.Tanh, module__spread=1.0, max_epochs=2)
    refused(spread, train, "do not move smoothly", ["module__spread"])
    unseeded = regressor(modules.Unseeded, module__scale=1.0, max_epochs=2)
    refused(unseeded, train, "is another function", ["module__scale"])
    seeded = regressor(modules.Random, module__scale=1.0, max_epochs=2)
    seeded.fit(train.X, train.y)
    slopes(seeded, train, train, ["module__scale"], SQUARED)


def test_other_outputs_classes_and_weights_are_refused(
    regressor, regression, classes, modules, skorch, torch
):
    train, _ = parts(*regression, N_TRAIN)
    weighted = train._replace(params={"sample_weight": np.ones(N_TRAIN)})
    net = regressor(max_epochs=2).fit(train.X, train.y)
    with pytest.raises(ValueError, match="sample_weight"):
        slopes(net, weighted, train, [DECAY], SQUARED)
    net = regressor(criterion=torch.nn.MSELoss(reduction="sum"), lr=1e-4, max_epochs=2)
    refused(net, train, "reduction='mean'")
    train, _ = parts(classes[0], classes[1] + 1, N_TRAIN)
    params = {**SETTINGS, DECAY: 0.1, "max_epochs": 2}
    net = skorch.NeuralNetClassifier(
        modules.Linear, module__n_out=4, criterion=torch.nn.CrossEntropyLoss, **params
    )
    refused(net, train, r"classes \[1, 2, 3\]")


def test_a_subclass_may_solve_something_else(skorch, modules):
    class Own(skorch.NeuralNetRegressor):
        pass

    assert differentiable(Own(modules.Linear, **SETTINGS), [DECAY]) == []


def test_taking_a_slope_leaves_net_and_random_numbers_alone(
    regressor, regression, modules, torch
):
    train, test = parts(*regression, N_TRAIN)
    net = regressor(modules.Tanh, module__temperature=0.7).fit(train.X, train.y)
    before = copy.deepcopy(net.module_.state_dict())
    state, training = torch.get_rng_state(), net.module_.training
    slopes(net, train, test, [DECAY, "module__temperature"], SQUARED)
    assert torch.equal(torch.get_rng_state(), state)
    assert net.module_.training == training
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, before[name])


# The search ---------------------------------------------------------------------------


def test_the_search_ends_where_a_grid_is_best(regressor, rng):
    X = rng.normal(size=(80, 4)).astype(np.float32)
    y = X[:, :1] + 2 * rng.normal(size=(80, 1)).astype(np.float32)
    net = regressor(module__double=False, max_epochs=300)
    del net.optimizer__weight_decay
    pipeline = make_pipeline(StandardScaler(), net)
    name = f"neuralnetregressor__{DECAY}"
    search = HypergradSearch(
        pipeline,
        {name: Real(1e-4, 10, log=True)},
        scoring="neg_mean_squared_error",
        cv=3,
    ).fit(X, y)
    assert search.n_candidates_ < 12
    assert "nothing" not in search.stop_reason_
    grid = np.geomspace(1e-4, 10, 60)
    ridge = []
    for decay in grid:
        scores = []
        for train, test in KFold(3).split(X):
            scale = StandardScaler().fit(X[train])
            model = Ridge(alpha=len(train) * decay / 2, fit_intercept=False)
            model.fit(scale.transform(X[train]), y[train])
            left = model.predict(scale.transform(X[test])).ravel() - y[test].ravel()
            scores.append(-(left**2).mean())
        ridge.append(np.mean(scores))
    assert search.best_score_ == pytest.approx(max(ridge), rel=1e-3)
    assert search.best_params_[name] == pytest.approx(grid[np.argmax(ridge)], rel=0.3)


# A learning rate that is learnt -------------------------------------------------------


@pytest.fixture
def HypergradientSGD(torch):
    from skhpo.hypergradients.learning_rate import HypergradientSGD

    return HypergradientSGD


def test_the_slope_of_the_learning_rate_is_that_of_a_difference(
    torch, HypergradientSGD
):
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.double)

    def objective(w):
        return (torch.cosh(w) * torch.tensor([1.0, 0.5, 2.0])).sum() + w[0] * w[1]

    def after_one_step(lr):
        w = start.clone().requires_grad_()
        optimizer = HypergradientSGD([w], lr=lr, hypergrad_lr=0.0, weight_decay=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            loss = objective(w)
            loss.backward()
            loss = float((loss + 0.05 * (w**2).sum()).detach())
            optimizer.step()
        return loss, optimizer.param_groups[0]["lr_slope"]

    _, slope = after_one_step(0.1)
    difference = (after_one_step(0.1 + 1e-5)[0] - after_one_step(0.1 - 1e-5)[0]) / 2e-5
    assert slope == pytest.approx(difference, rel=1e-7)


def test_a_rate_too_small_is_mended(regressor, regression, torch, HypergradientSGD):
    X, y = regression
    losses = {}
    for optimizer in (torch.optim.SGD, HypergradientSGD):
        net = regressor(optimizer=optimizer, lr=1e-4, max_epochs=100, callbacks=None)
        del net.optimizer__momentum
        if optimizer is HypergradientSGD:
            net.set_params(optimizer__hypergrad_lr=1e-3)
        losses[optimizer] = net.fit(X, y).history[-1, "train_loss"]
    assert losses[HypergradientSGD] < 0.5 * losses[torch.optim.SGD]
    assert net.optimizer_.param_groups[0]["lr"] > 1e-3
    assert differentiable(net, [DECAY]) == [DECAY]


def test_without_a_rate_of_its_own_it_is_sgd(regressor, regression, HypergradientSGD):
    X, y = regression
    predictions = []
    for params in (
        {},
        {"optimizer": HypergradientSGD, "optimizer__hypergrad_lr": 0.0},
    ):
        net = regressor(max_epochs=20, **params)
        del net.optimizer__momentum
        predictions.append(net.fit(X, y).predict(X))
    np.testing.assert_allclose(*predictions, rtol=1e-12)


def test_it_goes_on_from_a_pickle_and_from_its_state(torch, HypergradientSGD):
    def train(w, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            torch.cosh(w).sum().backward()
            optimizer.step()
        return w

    def new():
        w = torch.linspace(-1, 2, 4, dtype=torch.double, requires_grad=True)
        return w, HypergradientSGD([w], lr=0.01, hypergrad_lr=1e-3)

    whole = train(*new(), 6)
    w, optimizer = new()
    train(w, optimizer, 3)
    pickled = pickle.loads(pickle.dumps((w, optimizer)))
    assert torch.equal(train(*pickled, 3), whole)
    other = w.detach().clone().requires_grad_()
    second = HypergradientSGD([other], lr=1.0)
    second.load_state_dict(optimizer.state_dict())
    assert torch.equal(train(other, second, 3), whole)
    assert pickle.loads(pickle.dumps(HypergradientSGD)) is HypergradientSGD


def test_negative_rates_are_refused(torch, HypergradientSGD):
    w = torch.zeros(2, requires_grad=True)
    for name in ("lr", "hypergrad_lr", "weight_decay"):
        with pytest.raises(ValueError, match=f"{name} must not be negative"):
            HypergradientSGD([w], **{name: -1.0})


def test_other_names_of_the_module_are_unknown():
    from skhpo.hypergradients import learning_rate

    with pytest.raises(AttributeError, match="HypergradientAdam"):
        _ = learning_rate.HypergradientAdam
