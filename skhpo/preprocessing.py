"""Transformers whose settings are hyperparameters worth searching."""

from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.sparsefuncs import inplace_column_scale
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skhpo._sklearn import StrOptions, fit_context

__all__ = ["BlockScaler"]

# How both fit and transform read X; as scikit-learn's scalers do.
_READING = {
    "accept_sparse": ("csr", "csc"),
    "dtype": (np.float64, np.float32),
    "ensure_all_finite": "allow-nan",
}


class BlockScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Multiply each block of columns by its own scale.

    One penalty for each group of features becomes an ordinary set of continuous
    hyperparameters: in front of a ridge model with penalty ``alpha``, the scale
    ``s`` of a block makes the penalty of its coefficients ``alpha / s**2``; in
    front of a lasso, ``alpha / s``. (The coefficients meant are those of the columns
    before scaling.) A scale near 0 all but removes the block.

    Every block is a parameter too, like the steps of a Pipeline:
    ``set_params(cubic=0.1)``, or in a pipeline ``blockscaler__cubic``.

    Parameters
    ----------
    blocks : dict of str to columns, or "each"
        The columns of each block, as ColumnTransformer takes them: int, slice, list
        of int, boolean mask, name or names of columns of a DataFrame, or a callable
        that is given ``X`` and answers with one of these. A column in no block is
        left as it is; a column in two is an error.

        "each" makes every column a block, named after the feature: the columns of
        a DataFrame, otherwise ``x0``, ``x1`` and so on. These names are known after
        ``fit``; before, ``set_params`` takes any name, and ``fit`` refuses those that
        no feature has.

        A name of a block is a Python identifier without ``__``, and neither
        "blocks" nor "scales".
    scales : dict of str to float, default=None
        The scale of each block, finite and positive. Blocks not listed have scale
        1.0.

    Attributes
    ----------
    blocks_ : dict of str to ndarray of int
        The columns of each block, as positions.
    scale_ : ndarray of shape (n_features,)
        What each column is multiplied by.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if ``X`` has names that are all strings.

    Notes
    -----
    Scale columns to a common unit first, as with StandardScaler; afterwards it would
    undo the work. NaNs stay NaNs.

    Examples
    --------
    A ridge model with a penalty for each degree of a polynomial in two features:

    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures, StandardScaler
    >>> from skhpo.preprocessing import BlockScaler
    >>> X, y = make_regression(50, 2, random_state=0)
    >>> degrees = {
    ...     "linear": slice(0, 2), "quadratic": slice(2, 5), "cubic": slice(5, 9)
    ... }
    >>> model = make_pipeline(
    ...     PolynomialFeatures(3, include_bias=False),
    ...     StandardScaler(),
    ...     BlockScaler(degrees),
    ...     Ridge(alpha=1.0),
    ... )
    >>> model = model.set_params(blockscaler__quadratic=0.5, blockscaler__cubic=0.1)
    >>> model = model.fit(X, y)

    The penalty of each coefficient:

    >>> 1.0 / model["blockscaler"].scale_ ** 2
    array([  1.,   1.,   4.,   4.,   4., 100., 100., 100., 100.])
    """

    _parameter_constraints = {
        "blocks": [dict, StrOptions({"each"})],
        "scales": [dict, None],
    }

    def __init__(self, blocks, scales=None):
        self.blocks = blocks
        self.scales = scales

    def get_params(self, deep=True):
        """Get the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list the scale of each block too. Before ``fit``, "each" lists
            those that were set.

        Returns
        -------
        dict of str to object
            Parameter names and their values.
        """
        params = super().get_params(deep=False)
        if not deep:
            return params
        scales = self.scales if isinstance(self.scales, dict) else {}
        names = self._block_names(self.blocks)
        # A name that fit refuses must not hide a parameter nor break a pipeline.
        names = [
            name for name in (scales if names is None else names) if _allowed(name)
        ]
        return {name: scales.get(name, 1.0) for name in names} | params

    def set_params(self, **params):
        """Set parameters, the scales of blocks among them.

        Parameters
        ----------
        **params : dict
            ``blocks``, ``scales``, and scales by the name of the block. The latter
            add to ``scales``; a dict that was passed in is not changed.

        Returns
        -------
        BlockScaler
            The scaler itself.

        Raises
        ------
        ValueError
            If there is no such block. Nothing is set then.
        """
        own = {
            name: params.pop(name) for name in ("blocks", "scales") if name in params
        }
        if params:
            names = self._block_names(own.get("blocks", self.blocks))
            if names is None:
                _check_names(params)
            else:
                _check_known(params, names)
        super().set_params(**own)
        if params:
            self.scales = {**(self.scales or {}), **params}
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Find the columns of each block.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; only its columns matter.
        y : None
            Ignored.

        Returns
        -------
        BlockScaler
            The scaler itself.

        Raises
        ------
        ValueError
            If a block has a name that is not allowed or columns that ``X`` has not,
            a column is in two blocks, or ``scales`` holds an unknown block or
            a number that is not finite and positive.
        """
        n_features = validate_data(self, X, **_READING).shape[1]
        if self.blocks == "each":
            names = self.get_feature_names_out()
            _positions(names)  # refuses names that occur twice
            blocks = {name: np.array([i]) for i, name in enumerate(names)}
        else:
            names = getattr(self, "feature_names_in_", None)
            blocks = {
                name: _find(
                    name,
                    columns(X) if callable(columns) else columns,
                    n_features,
                    names,
                )
                for name, columns in self.blocks.items()
            }
        scales = self.scales or {}
        _check_names(blocks)
        _check_known(scales, blocks)
        _check_scales(scales)
        _check_disjoint(blocks, self.get_feature_names_out())

        self.blocks_ = blocks
        self.scale_ = np.ones(n_features)
        for name, scale in scales.items():
            self.scale_[blocks[name]] = scale
        return self

    def transform(self, X):
        """Multiply the columns of each block by its scale.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data.

        Returns
        -------
        {ndarray, sparse matrix} of shape (n_samples, n_features)
            The scaled data, sparse if ``X`` is.
        """
        check_is_fitted(self, "scale_")
        X = validate_data(
            self, X, reset=False, copy=True, force_writeable=True, **_READING
        )
        if sparse.issparse(X):
            inplace_column_scale(X, self.scale_)
        else:
            X *= self.scale_
        return X

    def inverse_transform(self, X):
        """Divide the columns of each block by its scale.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Scaled data.

        Returns
        -------
        {ndarray, sparse matrix} of shape (n_samples, n_features)
            The data before scaling, sparse if ``X`` is.
        """
        check_is_fitted(self, "scale_")
        # Not validate_data: the array that transform made of a DataFrame has no names,
        # and that is no reason to warn.
        X = check_array(X, copy=True, force_writeable=True, **_READING)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but BlockScaler is expecting "
                f"{self.n_features_in_} features as input."
            )
        if sparse.issparse(X):
            inplace_column_scale(X, 1.0 / self.scale_)
        else:
            X /= self.scale_
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _block_names(self, blocks):
        """List the names of ``blocks``; None while they are not known."""
        if isinstance(blocks, dict):
            return list(blocks)
        if hasattr(self, "scale_"):
            return list(self.get_feature_names_out())
        return None


def _find(block, columns, n_features, names):
    """Turn the columns of a block into positions.

    Parameters
    ----------
    block : str
        Name of the block, for errors.
    columns : int, str, slice or array-like
        Positions, names or a mask.
    n_features : int
        Number of features.
    names : ndarray of shape (n_features,) or None
        Names of the features.

    Returns
    -------
    ndarray of int
        The positions, each at most once.
    """
    positions = {} if names is None else _positions(names, strict=False)

    def position(name):
        if not isinstance(name, str):
            return name
        if names is None:
            raise ValueError(
                f"{name!r} is a name, and X has none; give positions, or let "
                "the step before make a DataFrame: set_output(transform='pandas')"
            )
        if (found := positions.get(name)) is None:
            raise ValueError(f"no single column is named {name!r}")
        return found

    try:
        if isinstance(columns, slice):
            start, stop = position(columns.start), position(columns.stop)
            # A slice of names includes its end, as in pandas.
            stop = stop + 1 if isinstance(columns.stop, str) else stop
            key = slice(start, stop, columns.step)
        else:
            key = np.atleast_1d(columns)
            if key.dtype.kind in "OUT":
                key = np.array([position(name) for name in key.tolist()])
            if key.size == 0:
                key = key.astype(int)
            if key.ndim != 1:
                raise ValueError("expected one dimension")
        return np.unique(np.arange(n_features)[key])
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"BlockScaler cannot find the columns {columns!r} of block {block!r} in X "
            f"with {n_features} columns: {error}. Give what ColumnTransformer takes: "
            "int, slice, list of int, boolean mask or column names."
        ) from error


def _positions(names, strict=True):
    """Map each name to its position; one that occurs twice is an error, or None."""
    positions = {}
    for i, name in enumerate(names):
        if strict and name in positions:
            raise ValueError(
                f"BlockScaler(blocks='each') names blocks after columns, and two are "
                f"named {name!r}. Rename one, or pass blocks as a dict of positions."
            )
        positions[name] = None if name in positions else i
    return positions


def _allowed(name):
    """Tell whether a block may have this name."""
    return (
        isinstance(name, str)
        and name.isidentifier()
        and "__" not in name
        and name not in ("blocks", "scales")
    )


def _check_names(names):
    """Refuse names that a block may not have."""
    for name in names:
        if not _allowed(name):
            raise ValueError(
                f"BlockScaler cannot name a block {name!r}; a name is a str that is "
                "a Python identifier without '__', and neither 'blocks' nor 'scales'. "
                "Rename the block; with blocks='each', rename the column or pass "
                "blocks as a dict."
            )


def _check_known(names, blocks):
    """Refuse names that are not among the blocks."""
    known = dict.fromkeys(blocks)
    for name in names:
        if name not in known:
            listed = ", ".join(map(repr, list(known)[:20])) or "none"
            more = f" and {len(known) - 20} more" if len(known) > 20 else ""
            raise ValueError(
                f"BlockScaler has no block {name!r}; its blocks are {listed}{more}. "
                "Use one of these in scales and set_params, or change blocks."
            )


def _check_scales(scales):
    """Refuse scales that are not finite and positive."""
    for name, scale in scales.items():
        if not (isinstance(scale, Real) and 0 < scale < np.inf):
            raise ValueError(
                f"BlockScaler needs a finite, positive number as the scale of block "
                f"{name!r}, got {scale!r}. To drop columns use ColumnTransformer."
            )


def _check_disjoint(blocks, names):
    """Refuse a column in two blocks."""
    owner = {}
    for block, columns in blocks.items():
        for column in columns.tolist():
            if (other := owner.setdefault(column, block)) != block:
                raise ValueError(
                    f"BlockScaler needs blocks without a common column, but column "
                    f"{column} ({names[column]!r}) is in {other!r} and in {block!r}. "
                    "Take it out of one of them."
                )
