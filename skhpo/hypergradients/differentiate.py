"""From a fitted estimator or pipeline to the derivative of its held-out loss."""

import warnings
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import check_array

from skhpo._sklearn import InvalidParameterError
from skhpo.hypergradients import TABLE, nets
from skhpo.hypergradients.base import Derivative, polish, solve
from skhpo.hypergradients.features import MAPS
from skhpo.hypergradients.losses import calibrated
from skhpo.hypergradients.path import MapPath, Path, along, lagrangian_of
from skhpo.preprocessing import BlockScaler

# Relative step of the differences. What is differenced is smooth and has no solver's
# noise, so that a long step is accurate; the error is its square.
STEP = 1e-4
# Differences of a smooth function with this and with half of it agree to so much.
_AGREEMENT = 1e-2
# A slope at a fit as loose as the estimator's is close to that of tight fits; and
# tolerance and iterations of these.
_CLOSE = 0.1
_TIGHT, _MANY = 1e-9, 100_000
# Share of the loss that what is left of equations may be worth, where they are not
# polished.
_CONVERGED = 0.1


class Differentiator:
    """Differentiates the held-out loss of the estimators of one search.

    Parameters
    ----------
    names : sequence of str
        Hyperparameters, named as ``set_params`` does.
    loss : callable
        As :func:`skhpo.hypergradients.losses.loss_of` gives it.
    check : bool, default=False
        Whether each slope is compared with a difference of fits, which raises where
        they are not close.
    polished : bool, default=True
        Whether the loss is that of the equations' solution; else that of the fit as it
        is, without slopes.
    weight : str or None, default="sample_weight"
        Name of the weights of held-out samples among the score parameters.
    """

    def __init__(
        self,
        names,
        loss,
        *,
        check=False,
        polished=True,
        weight="sample_weight",
    ):
        self.names = list(names)
        self.weight = weight
        self.polished = polished
        self.loss = loss
        self.check = check

    def __call__(self, estimator, train, test, prefix="", first=True, slopes=True):
        """Differentiate at a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted to `train`.
        train, test : Part
            Data, target and parameters of the two sides of a split.
        prefix : str, default=""
            What stands before the names of the estimator's parameters.
        first : bool, default=True
            Whether this is the candidate that is checked, if one is.
        slopes : bool, default=True
            Whether slopes are needed. If not, and others can go on from the fit as it
            is, they get its loss and solution, neither of them polished.

        Returns
        -------
        derivative : Derivative or None
            Loss, and its slope for each of the names that the estimator has; None if
            there are names, and it can be differentiated by none.

        Raises
        ------
        ValueError
            If the estimator, or a step in front of it, is not smooth there.
        """
        chain = Chain(estimator)
        values = estimator.get_params(deep=True)
        names = self._names_of(estimator, prefix, values)
        if self.names and not names:
            return None
        chain.check_training_features()
        X, X_new = chain.transform(train.X), chain.transform(test.X)
        if is_classifier(chain.model) and np.size(train.y) > len(train.y):
            raise ValueError(
                f"y has shape {np.shape(train.y)}; a classifier of several labels "
                "cannot be differentiated. Use BayesSearch."
            )
        equations = equations_of(chain.model)(
            chain.model, X, *self._target_and_weight(chain, train)
        )
        params = chain.model.get_params(deep=False)
        held_out = partial(self._held_out, equations.kind, chain, test)
        brief = not (slopes or (first and self.check))
        if brief and (chain.model is estimator or chain.rests_on_map(names)):
            solution = equations.solution(equations.w)
            if solution is not None:
                f = equations.outputs(equations.w, params, X, X_new)
                return Derivative(float(held_out(f)[0]), {}, _packed(solution))
        w, u, loss, lagrangian = _solve(equations, params, X, X_new, held_out)
        if lagrangian is None:
            return Derivative(loss, {})
        if not self.polished:
            f = equations.outputs(equations.w, params, X, X_new)
            return Derivative(float(held_out(f)[0]), {})

        def moved(name, value):
            if name.startswith(chain.prefix):
                changed = {**params, name[len(chain.prefix) :]: value}
                return lagrangian(changed, X, X_new)
            other = chain.refit({name: value}, train)
            moved_X = other.transform(train.X), other.transform(test.X)
            if moved_X[0].shape != X.shape or all(map(_same, moved_X, (X, X_new))):
                raise _not_smooth(prefix + name, values[name])
            return lagrangian(params, *moved_X)

        def by_own(name):
            return equations.by_parameter(w, params, name[len(chain.prefix) :])

        mapped = {n: own for n, own in chain.names_of_map.items() if n in names}
        if mapped:
            at = {own: float(values[name]) for name, own in mapped.items()}
            tangents = chain.map(train.X, test.X).at(at)[1]
        found = {}
        last_scales = chain.scales(names)
        # All scales of columns from one formula, where the model has it.
        by_column = equations.by_factors(w, u, params) if last_scales else None
        for name in names:
            value = float(values[name])
            if by_column is not None and name in last_scales:
                slope = float(by_column[last_scales[name]].sum()) / value
            elif name in mapped:
                moved_X = tangents[mapped[name]]
                slope = along(partial(lagrangian, params), (X, X_new), moved_X, value)
            elif name.startswith(chain.prefix) and (dF := by_own(name)) is not None:
                slope = float(u @ dF)
            else:
                slope = _difference(moved, name, value)
            of_front = not name.startswith(chain.prefix)
            if first and of_front and name not in last_scales and name not in mapped:
                _check_smooth(moved, prefix + name, name, value, slope)
            if self.check and first:
                self._compare(estimator, train, test, prefix + name, name, slope)
            found[prefix + name] = slope
        solution = equations.solution(w)
        if solution is not None:
            solution = _packed(solution)
        return Derivative(loss, found, solution)

    def at_solution(self, estimator, train, test, prefix, solution):
        """Differentiate where an estimator was fitted before, here or elsewhere.

        Parameters
        ----------
        estimator : estimator
            Not fitted; it is written to.
        train, test : Part
            What it was fitted to and judged by.
        prefix : str
            What stands before the names of its parameters.
        solution : bytes
            That of a derivative without slopes.

        Returns
        -------
        derivative : Derivative or None
            As at the fit.
        """
        chain = Chain(estimator)
        for front in chain.fronts:
            front.steps.fit(train.X)
        X, (y, _) = chain.transform(train.X), self._target_and_weight(chain, train)
        equations = equations_of(chain.model)
        equations.restore(chain.model, X, y, _unpacked(solution))
        return self(estimator, train, test, prefix, first=False)

    def path(self, estimator, train, test, prefix, solution):
        """Begin a path of solutions at that of a fit, made here or elsewhere.

        Parameters
        ----------
        estimator : estimator
            Not fitted; it may be written to.
        train, test : Part
            What it was fitted to and judged by.
        prefix : str
            What stands before the names of its parameters.
        solution : bytes
            That of the derivative at the fit.

        Returns
        -------
        path : Path, MapPath or None
            Its values are named without the prefix. None if there is more than the
            model and a feature map, or the data are degenerate.
        """
        chain = Chain(estimator)
        values = estimator.get_params(deep=True)
        names = self._names_of(estimator, prefix, values)
        on_map = chain.model is not estimator
        if on_map:
            if not chain.rests_on_map(names):
                return None
            chain.fronts[0].steps.fit(train.X)
            if not chain.rests_on_map(names):
                return None  # its features are as rough as single precision
        X, X_new = chain.transform(train.X), chain.transform(test.X)
        params = chain.model.get_params(deep=False)
        target, weight = self._target_and_weight(chain, train)
        begin = partial(
            equations_of(chain.model).begin,
            chain.model,
            y=target,
            sample_weight=weight,
            solution=_unpacked(solution),
        )
        try:
            equations = begin(X)
        except np.linalg.LinAlgError:
            return None
        if equations is None:
            return None
        held_out = partial(self._held_out, equations.kind, chain, test)
        if not on_map:
            return Path(equations, params, names, X, X_new, held_out)
        known = chain.names_of_map
        mapped = {name: known[name] for name in names if name in known}
        own = {n: n.removeprefix(chain.prefix) for n in names if n not in known}
        current = {name: float(values[name]) for name in names}
        feature_map = chain.map(train.X, test.X)
        return MapPath(
            feature_map, mapped, begin, equations.w, params, own, current, held_out
        )

    def _names_of(self, estimator, prefix, values):
        """List what can be differentiated at its settings, by its own names."""
        names = [name.removeprefix(prefix) for name in self.names]
        names = [n for n in names if isinstance(values.get(n), Real)]
        return differentiable(estimator, names)

    def _target_and_weight(self, chain, train):
        """Give the target that the model sees, and the weights of its samples."""
        weight = chain.sample_weight(train.params)
        if weight is not None:
            weight = np.array(np.broadcast_to(weight, len(train.y)), dtype=float)
        if is_classifier(chain.model):
            return np.ravel(train.y), weight
        return chain.transform_target(train.y), weight

    def _compare(self, estimator, train, test, shown, name, slope):
        """Raise unless a slope is close to a difference of tight fits."""
        only_loss = Differentiator([], self.loss, polished=False, weight=self.weight)
        params = estimator.get_params(deep=True)
        tight = {}
        for key, value in params.items():
            last = key.rpartition("__")[2]
            if last == "tol":
                tight[key] = _TIGHT
            elif last == "max_iter" and value is not None and value > 0:
                tight[key] = max(value, _MANY)

        def fitted(name, value):
            other = clone(estimator).set_params(**{**tight, name: value})
            other.fit(train.X, train.y, **train.params)
            return only_loss(other, train, test).loss

        value = float(params[name])
        difference = _difference(fitted, name, value)
        scale = max(abs(slope), abs(difference), 1e-6)
        if abs(slope - difference) > _CLOSE * scale:
            raise ValueError(
                f"check_gradient: at {shown} = {value!r} the slope of the held-out "
                f"loss is {slope:.6g} by the equations of {type(estimator).__name__}, "
                f"and {difference:.6g} by a difference of two fits. Lower the solver's "
                "tol, raise its max_iter, or correct the estimator's "
                "__hypergradient__; where the loss has a kink, another start will do."
            )

    def _held_out(self, kind, chain, test, f):
        """Compute the loss on the held-out part, and its derivative by the outputs."""
        s = test.params.get(self.weight)
        s = np.broadcast_to(1.0 if s is None else np.asarray(s, float), len(f))
        y = np.asarray(test.y)
        if is_classifier(chain.model):
            y = y.ravel()
            classes = chain.model.classes_
            # A class that the training part lacks has no logit; it counts as missed
            # in a score, and not in the loss.
            known = np.isin(y, classes)
            s = np.where(known, s, 0.0)
            y = np.searchsorted(classes, np.where(known, y, classes[0]))
        if not s.any():
            return np.nan, np.zeros_like(f)
        s = s / s.sum()
        if is_classifier(chain.model):
            if kind == "decision":
                return calibrated(self.loss, f, y, s)
            return self.loss(f, y, s)
        values, slopes = chain.inverse_target(f)
        loss, d_values = self.loss(values, y.reshape(len(f), -1).astype(float), s)
        return loss, d_values * slopes


def _packed(solution):
    return np.asarray(solution, "<f8").tobytes()


def _unpacked(solution):
    return np.frombuffer(solution, "<f8").astype(float)


def _solve(equations, params, X, X_new, held_out):
    """Give w, u, the loss, and the Lagrangian with both frozen."""
    w, factor, _ = polish(equations, params, X)
    loss, d_f = held_out(equations.outputs(w, params, X, X_new))
    if not (np.isfinite(loss) and np.isfinite(d_f).all()):
        return w, None, float("nan"), None
    u = -equations.pullback(w, X_new, d_f)
    if len(w):
        u = solve(equations, w, u, factor)
    if not equations.polished:
        _check_converged(equations, loss, u @ equations.residual(w, params, X))

    return w, u, float(loss), lagrangian_of(equations, w, u, d_f)


def _difference(function, name, value, step=STEP):
    """Take a central difference; to one side, if the other is no valid value."""
    step *= abs(value) or 1.0
    try:
        rise = function(name, value + step) - function(name, value - step)
        return float(rise) / (2 * step)
    except InvalidParameterError:
        pass
    try:
        at = [function(name, value + k * step) for k in (0, 1, 2)]
    except InvalidParameterError:
        step = -step
        at = [function(name, value + k * step) for k in (0, 1, 2)]
    return float(-3 * at[0] + 4 * at[1] - at[2]) / (2 * step)


def _check_converged(equations, loss, left):
    """Warn if the loss at the exact solution would be quite another."""
    if abs(left) > _CONVERGED * abs(loss):
        warnings.warn(
            f"The training of {type(equations.estimator).__name__} has not converged: "
            "to first order its held-out loss would still change by more than "
            f"{_CONVERGED:.0%}, so its gradient is rough. Train it longer.",
            RuntimeWarning,
            stacklevel=3,
        )


def _check_smooth(function, shown, name, value, slope):
    """Raise if differences with another step say something else."""
    other = _difference(function, name, value, STEP / 2)
    if abs(slope - other) > _AGREEMENT * max(abs(slope), abs(other)) + 1e-9:
        raise _not_smooth(shown, value)


def _not_smooth(shown, value):
    return ValueError(
        f"{shown} = {value!r}: the features of its step do not change smoothly with "
        "it, so there is no gradient; search it with BayesSearch."
    )


def _same(X, other):
    if issparse(X) and issparse(other):
        return abs(X - other).nnz == 0
    return not issparse(X) and not issparse(other) and np.array_equal(X, other)


class Front(NamedTuple):
    """The leading steps of a pipeline.

    Parameters
    ----------
    prefix, fit_prefix : str
        What stands before the names of their parameters, and of those of ``fit``.
    steps : Pipeline
        The steps.
    n_targets : int
        How many target transforms lie around the pipeline.
    """

    prefix: str
    fit_prefix: str
    steps: Pipeline
    n_targets: int


class Chain:
    """Pipelines and target transforms around a model.

    Parameters
    ----------
    estimator : estimator
        Fitted, or not if only asked for ``model``, ``prefix`` and ``fronts``.

    Attributes
    ----------
    model : estimator
        The last step of the innermost pipeline.
    prefix : str
        What stands before the names of its parameters.
    fit_prefix : str
        The same for the parameters of its ``fit``; target transforms add nothing.
    fronts : list of Front
        The leading steps of each pipeline, outermost first.
    """

    def __init__(self, estimator):
        self.estimator = estimator
        self.fronts, self._targets = [], []
        node, prefix, fit_prefix = estimator, "", ""
        while type(node) in (Pipeline, TransformedTargetRegressor):
            if type(node) is Pipeline:
                if len(node.steps) > 1:
                    self.fronts.append(
                        Front(prefix, fit_prefix, node[:-1], len(self._targets))
                    )
                name, node = node.steps[-1]
                fit_prefix += name + "__"
            else:
                self._targets.append(node)
                name, node = "regressor", getattr(node, "regressor_", node.regressor)
            prefix += name + "__"
        self.model, self.prefix, self.fit_prefix = node, prefix, fit_prefix

    def transform(self, X):
        """Give the features that the model sees."""
        for front in self.fronts:
            X = front.steps.transform(X)
        return check_array(X, accept_sparse="csr", dtype=float)

    @property
    def _last(self):
        """(str, estimator or None) : The step before the model, after its prefix."""
        if not self.fronts:
            return "", None
        front = self.fronts[-1]
        step, transformer = front.steps.steps[-1]
        return f"{front.prefix}{step}__", transformer

    @property
    def names_of_map(self):
        """dict of str to str : Names that the feature map before the model knows.

        The values are its own names of them; empty if there is no such map.
        """
        before, transformer = self._last
        known = MAPS.get(type(transformer))
        own = known.names(transformer) if known else ()
        return {before + name: name for name in own}

    def rests_on_map(self, names):
        """Tell whether a feature map moves, and there is nothing else but the model."""
        known = self.names_of_map
        return (
            len(self.fronts) == 1
            and len(self.fronts[0].steps.steps) == 1
            and not self._targets
            and any(name in known for name in names)
            and all(n.startswith(self.prefix) or n in known for n in names)
        )

    def map(self, X, X_new):
        """Give the map of the last fitted transformer, of the two sides of a split."""
        _, transformer = self._last
        seen = []
        for part in (X, X_new):
            for front in self.fronts[:-1]:
                part = front.steps.transform(part)
            if len(self.fronts[-1].steps.steps) > 1:
                part = self.fronts[-1].steps[:-1].transform(part)
            seen.append(check_array(part, accept_sparse="csr", dtype=float))
        return MAPS[type(transformer)](transformer, *seen)

    def scales(self, names):
        """Find those of the names that are scales of columns that the model sees.

        Parameters
        ----------
        names : iterable of str
            Parameters.

        Returns
        -------
        columns : dict of str to ndarray of int
            The columns that each multiplies.
        """
        before, transformer = self._last
        if type(transformer) is not BlockScaler:
            return {}
        blocks = transformer.blocks_
        return {
            name: blocks[name[len(before) :]]
            for name in names
            if name.startswith(before) and name[len(before) :] in blocks
        }

    def check_training_features(self):
        """Raise if the model was fitted to other features than ``transform`` gives."""
        for front in self.fronts:
            for name, value in front.steps.get_params(deep=True).items():
                if isinstance(value, TargetEncoder):
                    raise ValueError(
                        f"{front.prefix}{name}: TargetEncoder transforms the data it "
                        "is fitted to in another way than new data, so the equations "
                        f"of the {type(self.model).__name__} behind it are not known; "
                        "search parameters of the last step alone, with a scorer of "
                        "scikit-learn's, or use BayesSearch."
                    )

    def sample_weight(self, params):
        """Find the weights of the model's fit among those of the whole."""
        if get_config()["enable_metadata_routing"]:
            name = requested(self.model.get_metadata_routing().fit)
            if name is not None and self.model is self.estimator:
                name = "sample_weight"  # a search hands it on under its own name
            return params.get(name)
        return params.get(
            self.fit_prefix + "sample_weight", params.get("sample_weight")
        )

    def refit(self, params, train):
        """Fit the steps in front anew, at other parameters of one of them."""
        other = Chain(clone(self.estimator).set_params(**params))
        (name,) = params
        X, changed = train.X, False
        for place, front in enumerate(other.fronts):
            steps = [step for step, _ in front.steps.steps]
            changed |= name.startswith(tuple(f"{front.prefix}{s}__" for s in steps))
            if not changed:
                other.fronts[place] = self.fronts[place]
                X = self.fronts[place].steps.transform(X)
                continue
            own = tuple(f"{front.fit_prefix}{step}__" for step in steps)
            fit_params = {
                key[len(front.fit_prefix) :]: value
                for key, value in train.params.items()
                if key.startswith(own)
            }
            y = self.transform_target(train.y, front.n_targets)
            if place + 1 < len(self.fronts):
                X = front.steps.fit_transform(X, y, **fit_params)
            else:
                front.steps.fit(X, y, **fit_params)
        return other

    def transform_target(self, y, n_targets=None):
        """Give the target that the model sees, or what is inside of so many."""
        for node in self._targets[:n_targets]:
            y = np.asarray(y)
            shape = y.shape
            y = node.transformer_.transform(y.reshape(len(y), -1).astype(float))
            y = y.reshape(shape)
        return y

    def inverse_target(self, f):
        """Turn predictions back, and give the derivative of that."""
        slopes = 1.0
        for node in reversed(self._targets):
            step = 1e-6 * np.maximum(np.abs(f), 1.0)
            inverse = node.transformer_.inverse_transform
            slopes = slopes * (inverse(f + step) - inverse(f - step)) / (2 * step)
            f = inverse(f)
        return f, slopes


def requested(requests):
    """Name the metadata that a method takes as its sample_weight; None for none."""
    request = requests.requests.get("sample_weight")
    return "sample_weight" if request is True else request or None


def equations_of(model):
    """Find the equations of a model; None if there are none."""
    own = getattr(type(model), "__hypergradient__", None)
    if own is not None:
        return own(model)
    found = TABLE.get(type(model))
    return found.variant(model) if found else nets.equations_of(model)


def differentiable(estimator, names):
    """Tell which of these parameters can be differentiated.

    Parameters
    ----------
    estimator : estimator
        Not fitted, its other parameters as they will be.
    names : iterable of str
        Parameters whose values are real numbers.

    Returns
    -------
    supported : list of str
        Those that can be, in the same order.

    Raises
    ------
    ValueError
        If one belongs to a step whose features change from fit to fit.
    """
    chain = Chain(estimator)
    equations = equations_of(chain.model)
    if equations is None:
        return []
    own = equations.names(chain.model)
    if not own:
        # The equations do not hold at these settings, so not for a front either.
        return []
    supported, checked = [], set()
    for name in names:
        if name.startswith(chain.prefix):
            if name[len(chain.prefix) :] in own:
                supported.append(name)
            continue
        for front in chain.fronts:
            for step, transformer in front.steps.steps:
                path = f"{front.prefix}{step}"
                if name.startswith(path + "__"):
                    if path not in checked:  # a step may have hundreds of parameters
                        _check_deterministic(transformer, path, name)
                        checked.add(path)
                    supported.append(name)
    return supported


def _check_deterministic(transformer, step, name):
    for key, value in transformer.get_params(deep=True).items():
        if key.rpartition("__")[2] == "random_state" and not isinstance(
            value, (int, np.integer)
        ):
            raise ValueError(
                f"{step}__{key} = {value!r}: the features that {name} acts on change "
                f"from fit to fit, so there is no gradient; set {step}__{key} to "
                "an int."
            )
