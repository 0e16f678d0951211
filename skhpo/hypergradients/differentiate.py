"""From a fitted estimator or pipeline to the derivative of its held-out loss."""

import warnings
from functools import partial
from numbers import Real

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier

from skhpo._sklearn import InvalidParameterError
from skhpo.hypergradients.base import (
    STEP,
    Derivative,
    difference,
    packed,
    polish,
    solve,
    unpacked,
)
from skhpo.hypergradients.chain import Chain, differentiable, equations_of
from skhpo.hypergradients.losses import calibrated
from skhpo.hypergradients.path import MapPath, Path, by_tangent, lagrangian_of

# Differences of a smooth function with STEP and with half of it agree to so much.
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
        brief = not (slopes or (first and self.check)) and equations.restore
        if brief and _can_look(chain, names):
            solution = equations.solution(equations.w)
            if solution is not None:
                f = equations.outputs(equations.w, params, X, X_new)
                return Derivative(float(held_out(f)[0]), {}, packed(solution))
        w, u, loss, d_f = _solve(equations, params, X, X_new, held_out)
        if d_f is None:
            return Derivative(loss, {})
        if not self.polished:
            f = equations.outputs(equations.w, params, X, X_new)
            return Derivative(float(held_out(f)[0]), {})

        lagrangian = lagrangian_of(equations, w, u, d_f)

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
                at = equations, w, u, d_f, params, (X, X_new)
                slope = by_tangent(*at, tangents[mapped[name]], value)
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
            solution = packed(solution)
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
        equations.restore(chain.model, X, y, unpacked(solution))
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
            model and a feature map, if the model has none behind such a map, or if the
            data are degenerate.
        """
        chain = Chain(estimator)
        values = estimator.get_params(deep=True)
        names = self._names_of(estimator, prefix, values)
        on_map = chain.model is not estimator
        if on_map and _can_look(chain, names):
            chain.fronts[0].steps.fit(train.X)  # in single precision it is no map
        if not _can_look(chain, names):
            return None
        X, X_new = chain.transform(train.X), chain.transform(test.X)
        params = chain.model.get_params(deep=False)
        target, weight = self._target_and_weight(chain, train)
        begin = partial(
            equations_of(chain.model).begin,
            chain.model,
            y=target,
            sample_weight=weight,
            solution=unpacked(solution),
        )
        try:
            equations = begin(X)
        except np.linalg.LinAlgError:
            return None
        if equations is None:
            return None
        held_out = partial(self._held_out, equations.kind, chain, test)
        if not on_map:
            kind = equations.path or Path
            return kind(equations, params, names, X, X_new, held_out)
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
        of_fits = _difference(fitted, name, value)
        scale = max(abs(slope), abs(of_fits), 1e-6)
        if abs(slope - of_fits) > _CLOSE * scale:
            raise ValueError(
                f"check_gradient: at {shown} = {value!r} the slope of the held-out "
                f"loss is {slope:.6g} by the equations of {type(estimator).__name__}, "
                f"and {of_fits:.6g} by a difference of two fits. Lower the solver's "
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


def _can_look(chain, names):
    """Tell whether there is a path from a fit; some models have none behind a map."""
    on_map = chain.model is not chain.estimator
    return chain.can_look(names) and not (on_map and equations_of(chain.model).path)


def _solve(equations, params, X, X_new, held_out):
    """Give w, u, the loss, and its derivative by the outputs; None if it has none."""
    w, factor, _ = polish(equations, params, X)
    loss, d_f = held_out(equations.outputs(w, params, X, X_new))
    if not (np.isfinite(loss) and np.isfinite(d_f).all()):
        return w, None, float("nan"), None
    u = -equations.pullback(w, X_new, d_f)
    if len(w):
        u = solve(equations, w, u, factor)
    if not equations.polished:
        _check_converged(equations, loss, u @ equations.residual(w, params, X))

    return w, u, float(loss), d_f


def _difference(function, name, value, step=STEP):
    """Take a central difference; to one side, if the other is no valid value."""
    try:
        return float(difference(partial(function, name), value, step))
    except InvalidParameterError:
        step *= abs(value) or 1.0
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
