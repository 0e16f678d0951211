"""Pipelines and target transforms around a model, and what can be differentiated."""

from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import check_array

from skhpo.hypergradients import TABLE, nets
from skhpo.hypergradients.features import MAPS
from skhpo.preprocessing import BlockScaler


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
        if type(X) is np.ndarray and X.dtype == float and X.ndim == 2:
            return X  # the fit and its score have taken it
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

    def can_look(self, names):
        """Tell whether there is but the model, and at most a feature map that moves."""
        known = self.names_of_map
        return self.model is self.estimator or (
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
