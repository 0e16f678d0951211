"""Every private scikit-learn name in use, and why.

scikit-learn promises nothing about these names, so they are imported here and
nowhere else. They exist unchanged from 1.6 to 1.9; a release that lacks one makes
the import of skhpo fail at once, by name.

=========================  ====================================================
name                       why not a public one
=========================  ====================================================
``_fit_context``           parameter validation and callback teardown of ``fit``
``_MultimetricScorer``     tells several metrics from one, names them in failures
``_score``                 what a scorer may return, and what happens if it raises
``_check_method_params``   slices fit and score parameters along the samples
``_safe_split``            slices X (also precomputed kernels) and y
``get_namespace, device``  array API: indices move to the namespace of X
``Interval, Options,       constraints of the constructor's parameters
HasMethods``
``InvalidParameterError``  tells a step beyond a parameter's range from other errors
``BaseSearchCV`` methods   listed in ``_METHODS``; they decide what scikit-learn's
                           searches do about scorers, routing, refit and results
=========================  ====================================================
"""

import sklearn

SUPPORTED = "1.6 to 1.9"

try:
    from sklearn.base import _fit_context as fit_context
    from sklearn.metrics._scorer import _MultimetricScorer as MultimetricScorer
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.model_selection._validation import _score as score
    from sklearn.utils._array_api import device, get_namespace
    from sklearn.utils._param_validation import (
        HasMethods,
        Interval,
        InvalidParameterError,
        Options,
        StrOptions,
    )
    from sklearn.utils.metaestimators import _safe_split as safe_split
    from sklearn.utils.validation import _check_method_params as check_method_params

    _METHODS = (
        "_check_refit_for_multimetric",
        "_format_results",
        "_get_routed_params_for_fit",
        "_get_scorers",
        "_select_best_index",
    )
    _missing = [name for name in _METHODS if not hasattr(BaseSearchCV, name)]
    if _missing:
        raise ImportError(f"BaseSearchCV has no {', '.join(_missing)}")
except ImportError as error:
    raise ImportError(
        f"skhpo works with scikit-learn {SUPPORTED}; scikit-learn "
        f"{sklearn.__version__} is installed and lacks a name that skhpo needs "
        f"({error}). Install a supported version of scikit-learn, or a newer skhpo."
    ) from error

__all__ = [
    "SUPPORTED",
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "MultimetricScorer",
    "Options",
    "StrOptions",
    "check_method_params",
    "device",
    "fit_context",
    "get_namespace",
    "safe_split",
    "score",
]
