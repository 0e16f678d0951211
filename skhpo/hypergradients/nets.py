"""Networks of PyTorch, fitted through skorch, on the CPU.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
w                     (m,)         trainable parameters, one after the other, float64
c(w)                  scalar       mean training criterion
weight_decay          scalar       coupled, as in SGD and Adam: added to the gradient
F(w)                  (m,)         c'(w) + weight_decay w
H                     (m, m)       c''(w) + weight_decay + damping, by double backward
====================  ===========  ====================================================

Training is taken to have come to rest, F(w) = 0. Mini-batches, momentum and learning
rates move the way there and not the place, but for the noise that is left when they
stop. Batches that are the same in every epoch count alike, so the rows of a shorter
last one count more, as they do in training; if shuffled, all rows count alike. From
other first weights training may find another minimum; the slope says how the one that
was found moves. A net is not polished by Newton steps, which would go to saddles as
well as to minima.

H is damped only if it must be: conjugate gradients start without, and where they meet a
direction that does not curve upward they begin again with 1/1000 of the largest
curvature met, with twice the downward one, or with ten times the last damping, whatever
is most [1]_. At a minimum, then, the slope is exact; elsewhere directions flatter than
the damping are left out of it.

References
----------
.. [1] J. Lorraine, P. Vicol and D. Duvenaud, "Optimizing millions of hyperparameters by
   implicit differentiation", AISTATS 2020, for networks; J. Martens, "Deep learning via
   Hessian-free optimization", ICML 2010, for the damping.
"""

import copy
import inspect
import sys
from numbers import Real

import numpy as np

from skhpo.hypergradients.base import Equations

DECAY = "optimizer__weight_decay"
# Skorch and torch are known by name: an estimator of theirs has imported them.
_CRITERIA = {
    "NeuralNetClassifier": {"CrossEntropyLoss", "NLLLoss"},
    "NeuralNetBinaryClassifier": {"BCEWithLogitsLoss"},
    "NeuralNetRegressor": {"HuberLoss", "MSELoss", "SmoothL1Loss"},
}
# Their weight decay is part of the gradient, unless they are told to decouple it.
_COUPLED = {"SGD", "Adam", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "RMSprop"}
_WITHOUT_DECAY = {"LBFGS", "Rprop"}
# They watch, or they change the way to the minimum only.
_HARMLESS = {
    "BatchScoring",
    "EpochScoring",
    "EpochTimer",
    "GradientNormClipping",
    "LRScheduler",
    "PassthroughScoring",
    "PrintLog",
    "ProgressBar",
}
_MAX_CG = 300
_CG_TOL = 1e-9
_MAX_DAMPINGS = 12
# Outputs that differ by more are not those of the same function.
_SAME = 1e-9


class NetEquations(Equations):
    """The stationary point of a network's training.

    Parameters
    ----------
    estimator : NeuralNetClassifier, NeuralNetBinaryClassifier or NeuralNetRegressor
        Fitted.
    X : {ndarray, sparse matrix} of shape (n, ...)
        What it was fitted to.
    y : array-like of shape (n,) or (n, n_targets)
        Its target.
    sample_weight : None
        Skorch passes weights to the module, whatever that does with them.

    Notes
    -----
    ``optimizer__weight_decay`` is known whether or not the net was given it; a net
    lists it among its parameters once it was, as in ``NeuralNetRegressor(module,
    optimizer__weight_decay=1e-3)``, and a search starts in the middle of the range if
    it was not. Numbers that the module is built with, ``module__*``, are moved by
    building it anew around the same weights.
    """

    polished = False

    @staticmethod
    def names(estimator):
        _check_settings(estimator)
        allowed = _CRITERIA[type(estimator).__name__]
        params = estimator.get_params(deep=False)
        criterion = estimator.criterion
        criterion = criterion if inspect.isclass(criterion) else type(criterion)
        if not (
            criterion.__module__ == "torch.nn.modules.loss"
            and criterion.__name__ in allowed
            and params.get("criterion__reduction", "mean") == "mean"
            and estimator.predict_nonlinearity == "auto"
        ):
            return set()
        numbers = _module_numbers(estimator, params)
        optimizer = estimator.optimizer
        name = getattr(optimizer, "__name__", None)
        home = _home(optimizer)
        if home.startswith("torch.optim.") and name in _WITHOUT_DECAY:
            return numbers
        ours = (home, name) == (
            "skhpo.hypergradients.learning_rate",
            "HypergradientSGD",
        )
        groups = params.get("optimizer__param_groups", [])
        if (
            not (ours or (home.startswith("torch.optim.") and name in _COUPLED))
            or params.get("optimizer__decoupled_weight_decay")
            or params.get("optimizer__maximize")
            or any("weight_decay" in group for _, group in groups)
        ):
            return set()
        return numbers | {DECAY}

    def __init__(self, estimator, X, y, sample_weight):
        if sample_weight is not None:
            raise ValueError(
                f"{_name(estimator)} was fitted with sample_weight, which skorch "
                "passes to forward of the module, so what was minimised is not known; "
                "fit it without, or use BayesSearch."
            )
        self._torch = torch = sys.modules["torch"]
        self.estimator = estimator
        self._params = estimator.get_params(deep=False)
        parameters = [
            (name, p)
            for name, p in estimator.module_.named_parameters()
            if p.requires_grad
        ]
        self._shapes = {name: p.shape for name, p in parameters}
        self._eps = torch.finfo(parameters[0][1].dtype).eps
        flat = torch.cat([p.detach().double().reshape(-1) for _, p in parameters])
        self.w = flat.numpy()
        self._module = copy.deepcopy(estimator.module_).double().eval()
        self._criterion = copy.deepcopy(estimator.criterion_).double()
        if self._criterion.reduction != "mean":
            raise ValueError(
                f"The criterion of {_name(estimator)} has reduction = "
                f"{self._criterion.reduction!r}, whose balance with the weight decay "
                "depends on the batches; use reduction='mean'."
            )
        self._X, self._y = X, self._tensor(y)
        self._batches = _batches(self._params, len(self._y))
        self._damping = 0.0
        self._linearised = None
        self._known = {}
        self._check_outputs()

    @property
    def kind(self):
        """str: Logits of a classifier, predictions of a regressor."""
        regressor = type(self.estimator).__name__ == "NeuralNetRegressor"
        return "prediction" if regressor else "log-odds"

    # Equations --------------------------------------------------------------------

    def residual(self, w, params, X):
        return self._gradient(w, params, X)[1].detach().numpy()

    def product(self, w, v):
        if self._linearised is None or not np.array_equal(w, self._linearised[0]):
            graph = self._gradient(w, self._params, self._X, create_graph=True)
            self._linearised = np.copy(w), *graph
        _, at, F = self._linearised
        (Hv,) = self._torch.autograd.grad(F, at, self._tensor(v), retain_graph=True)
        return Hv.numpy() + self._damping * v

    def factor(self, w):
        def solve(rhs):
            for _ in range(_MAX_DAMPINGS):
                x, low, high = self._conjugate_gradients(w, rhs)
                if low > 0 or not np.isfinite(low):
                    break
                low -= self._damping
                self._damping = max(10 * self._damping, 1e-3 * high, -2 * low)
            return x

        return solve

    def outputs(self, w, params, X, X_new):
        with self._torch.no_grad():
            return self._outputs(self._tensor(w), params, X_new).numpy()

    def pullback(self, w, X_new, cotangent):
        at = self._tensor(w).requires_grad_()
        f = self._outputs(at, self._params, X_new)
        (slope,) = self._torch.autograd.grad(f, at, self._tensor(cotangent))
        return slope.numpy()

    # The network as a function ----------------------------------------------------

    def _tensor(self, values):
        values = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
        tensor = self._torch.tensor(values)
        return tensor.double() if tensor.is_floating_point() else tensor

    def _forward(self, module, w, X):
        """Run a module with these weights."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        parts = zip(self._shapes.items(), w.split(sizes), strict=True)
        weights = {name: part.view(shape) for (name, shape), part in parts}
        return self._torch.func.functional_call(module, weights, (self._tensor(X),))

    def _gradient(self, w, params, X, create_graph=False):
        """Give w as a tensor, and F there."""
        at = self._tensor(w).requires_grad_()
        f = self._forward(self._built(params), at, X)
        if type(self.estimator).__name__ == "NeuralNetBinaryClassifier":
            f = f.reshape(-1)
        losses = [self._criterion(self._log(f[b]), self._y[b]) for b in self._batches]
        loss = sum(losses) / len(losses)
        (F,) = self._torch.autograd.grad(loss, at, create_graph=create_graph)
        # With a factor of 0 it still makes F a function of w for autograd.
        return at, F + float(params.get(DECAY, 0.0)) * at

    def _log(self, f):
        """Do as skorch does: modules give probabilities to the NLLLoss."""
        if type(self._criterion).__name__ != "NLLLoss":
            return f
        return self._torch.log(f + self._eps)

    def _outputs(self, w, params, X):
        f = self._forward(self._built(params), w, X)
        f = self._log(f).reshape(len(f), -1)
        if self.kind == "log-odds" and f.shape[1] == 2:
            return f[:, 1:] - f[:, :1]
        return f

    def _built(self, params):
        """Give the module; built anew if its numbers are others."""
        changed = {
            name: value
            for name, value in params.items()
            if name.startswith("module__") and value is not self._params.get(name)
        }
        if not changed:
            return self._module
        key = tuple(changed.items())
        if key not in self._known:
            if not self._known:
                self._check_rebuilt(self._build({}), changed)
            # The checks compare one with the next, so that two are kept at most.
            self._known = {key: self._build(changed)}
            self._check_moved(self._known[key], changed)
        return self._known[key]

    def _build(self, changed):
        kwargs = self.estimator.get_params_for("module")
        kwargs.update({k.removeprefix("module__"): v for k, v in changed.items()})
        with self._torch.random.fork_rng(devices=[]):
            return self.estimator.module(**kwargs).double().eval()

    def _conjugate_gradients(self, w, rhs):
        """Solve, and give the least and the largest curvature met on the way."""
        x, left = np.zeros_like(rhs), rhs.copy()
        direction, norm2 = left.copy(), left @ left
        goal, low, high = _CG_TOL**2 * norm2, np.inf, 0.0
        for _ in range(_MAX_CG):
            if not norm2 > goal:
                break
            H_direction = self.product(w, direction)
            curvature = direction @ H_direction / (direction @ direction)
            high, low = max(high, abs(curvature)), min(low, curvature)
            if not curvature > 1e-12 * high:
                low = min(low, 0.0)
                break
            step = norm2 / (direction @ H_direction)
            x += step * direction
            left -= step * H_direction
            norm2, last = left @ left, norm2
            direction = left + norm2 / last * direction
        return x, low, high

    # What the equations take for granted ----------------------------------------------

    def _check_outputs(self):
        """Raise unless a row has one output, the same in training and among others."""
        torch, net = self._torch, _name(self.estimator)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            w = self._tensor(self.w)
            f = self._forward(self._module, w, self._X)
            if not isinstance(f, torch.Tensor):
                raise ValueError(
                    f"The module of {net} gives a {type(f).__name__}; a gradient needs "
                    "one tensor. Use BayesSearch."
                )
            half = max(1, len(f) // 2)
            training = copy.deepcopy(self._module).train()
            same = self._same(self._forward(training, w, self._X[:half]), f[:half])
        if not same:
            raise ValueError(
                f"The module of {net} gives other outputs in training than in "
                "prediction, or when other rows stand in the batch, as dropout and "
                "batch normalisation do, so training has no equations; leave these "
                "out (weight decay and layer normalisation are fine), or use "
                "BayesSearch."
            )
        if type(self.estimator).__name__ == "NeuralNetClassifier":
            classes = self.estimator.classes_
            if f.ndim != 2 or not np.array_equal(classes, np.arange(f.shape[1])):
                raise ValueError(
                    f"The module of {net} has outputs of shape {tuple(f.shape)} for "
                    f"the classes {np.asarray(classes).tolist()} of the training "
                    "part; a gradient needs classes 0, 1, ..., one for each column. "
                    "Encode the target, and use stratified splits."
                )

    def _same(self, f, other):
        atol = _SAME * float(other.abs().max())
        return f.shape == other.shape and self._torch.allclose(
            f, other, rtol=_SAME, atol=atol, equal_nan=True
        )

    def _check_rebuilt(self, module, changed):
        """Raise if building the module is not a function of its parameters."""
        if not self._same_weights(module) or not self._same(*self._both(module)):
            raise ValueError(
                f"{', '.join(changed)}: the module of {_name(self.estimator)}, built "
                "anew with the same parameters and trained weights, is another "
                "function, so it has something that is random, frozen or loaded; "
                "build that from a fixed seed, or use BayesSearch."
            )

    def _check_moved(self, module, changed):
        """Raise if a number does not act on the outputs."""
        if not self._same_weights(module) or self._torch.equal(*self._both(module)):
            ((name, value),) = changed.items()
            raise ValueError(
                f"{name} = {value!r}: the outputs of the module of "
                f"{_name(self.estimator)}, its weights unchanged, do not move smoothly "
                "with it, so there is no gradient; search it with BayesSearch."
            )

    def _same_weights(self, module):
        shapes = {
            name: p.shape for name, p in module.named_parameters() if p.requires_grad
        }
        return shapes == self._shapes

    def _both(self, module):
        with self._torch.no_grad():
            w = self._tensor(self.w)
            return [self._forward(m, w, self._X) for m in (module, self._module)]


def equations_of(model):
    """Find the equations of a net of skorch; None if it is none.

    Parameters
    ----------
    model : estimator
        Any.

    Returns
    -------
    equations : type or None
        A class of Equations.
    """
    home, name = type(model).__module__, type(model).__qualname__
    known = home in ("skorch.classifier", "skorch.regressor") and name in _CRITERIA
    return NetEquations if known else None


def _name(estimator):
    return type(estimator).__name__


def _batches(params, n):
    """Slice the rows into what has the same weight in an epoch."""
    size = params.get("iterator_train__batch_size", params["batch_size"])
    if size == -1 or params.get("iterator_train__shuffle"):
        size = n
    return [slice(start, start + size) for start in range(0, n, size)]


def _home(thing):
    return getattr(thing, "__module__", "")


def _module_numbers(net, params):
    """Name the numbers that the module is built with."""
    if isinstance(net.module, sys.modules["torch"].nn.Module):
        return set()
    defaults = {
        f"module__{name}": parameter.default
        for name, parameter in inspect.signature(net.module).parameters.items()
    }
    given = {k: v for k, v in params.items() if k.startswith("module__")}
    return {
        name
        for name, value in {**defaults, **given}.items()
        if isinstance(value, Real) and not isinstance(value, bool)
    }


def _check_settings(net):
    """Raise for settings that keep training from its minimum, and can be helped."""
    wrong = None
    params = net.get_params(deep=False)
    if net.train_split is not None:
        wrong = "train_split", "holds back part of the training data", "None"
    elif str(net.device) not in ("cpu", "None"):
        wrong = "device", "is not where gradients are taken", "'cpu'"
    elif net.compile:
        wrong = "compile", "leaves no second derivatives", "False"
    elif _home(net.iterator_train) != "torch.utils.data.dataloader":
        wrong = "iterator_train", "may change the data", "torch's DataLoader"
    elif _home(net.dataset) != "skorch.dataset":
        wrong = "dataset", "may change the data", "skorch's Dataset"
    for name in ("sampler", "batch_sampler", "collate_fn", "drop_last"):
        if wrong is None and params.get(f"iterator_train__{name}"):
            wrong = f"iterator_train__{name}", "may change the data", "its default"
    for callback in _callbacks(net):
        cls = callback if inspect.isclass(callback) else type(callback)
        on_train = getattr(callback, "monitor", None) == "train_loss"
        if not cls.__module__.startswith("skorch.callbacks.") or not (
            cls.__name__ in _HARMLESS or (cls.__name__ == "EarlyStopping" and on_train)
        ):
            wrong = "callbacks", "may stop or change training", "what only watches it"
    if wrong is not None:
        name, reason, remedy = wrong
        raise ValueError(
            f"{_name(net)}: {name} = {params[name]!r} {reason}, so the trained weights "
            "may not be a stationary point of the loss on the training data, and there "
            f"is no gradient; set {name} to {remedy}, or use BayesSearch."
        )


def _callbacks(net):
    """Give the callbacks that were asked for beside skorch's own."""
    if net.callbacks is None or net.callbacks == "disable":
        return []
    return [c[1] if isinstance(c, tuple) else c for c in net.callbacks]
