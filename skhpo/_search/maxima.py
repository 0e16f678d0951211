"""The largest score that a scorer can give, where it is known."""

from sklearn import metrics
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.pipeline import Pipeline

# Metrics of scikit-learn that are never above 1. A release may lack some of them.
_AT_MOST_ONE = (
    "accuracy_score",
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "average_precision_score",
    "balanced_accuracy_score",
    "cohen_kappa_score",
    "completeness_score",
    "d2_absolute_error_score",
    "d2_brier_score",
    "d2_log_loss_score",
    "d2_pinball_score",
    "d2_tweedie_score",
    "explained_variance_score",
    "f1_score",
    "fbeta_score",
    "fowlkes_mallows_score",
    "homogeneity_score",
    "jaccard_score",
    "matthews_corrcoef",
    "ndcg_score",
    "normalized_mutual_info_score",
    "precision_score",
    "r2_score",
    "rand_score",
    "recall_score",
    "roc_auc_score",
    "top_k_accuracy_score",
    "v_measure_score",
)

# Errors and losses of scikit-learn that are never below 0.
_AT_LEAST_ZERO = (
    "brier_score_loss",
    "hamming_loss",
    "hinge_loss",
    "log_loss",
    "max_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_gamma_deviance",
    "mean_pinball_loss",
    "mean_poisson_deviance",
    "mean_squared_error",
    "mean_squared_log_error",
    "mean_tweedie_deviance",
    "median_absolute_error",
    "root_mean_squared_error",
    "root_mean_squared_log_error",
    "zero_one_loss",
)


def maximum_of(scorer, estimator, names=frozenset()):
    """Look up the largest score of a metric.

    Parameters
    ----------
    scorer : callable
        As made by scikit-learn, or the user's own.
    estimator : estimator
        What is scored.
    names : set of str, default=frozenset()
        Its parameters that the search changes.

    Returns
    -------
    maximum : float or None
        None if it is not known.
    """
    metric = getattr(scorer, "_score_func", None)
    if metric is None:
        # scikit-learn's scorer where scoring is None.
        own = type(scorer).__name__ == "_PassthroughScorer"
        return _maximum_of_own_score(estimator, names) if own else None
    name = getattr(metric, "__name__", "")
    sign = getattr(scorer, "_sign", 0)
    if not _is_of_sklearn(metric, name):
        return None
    if sign == 1 and name in _AT_MOST_ONE:
        # A number of samples has another maximum than their share.
        return 1.0 if scorer._kwargs.get("normalize", True) else None
    if sign == -1 and name in _AT_LEAST_ZERO:
        return 0.0
    return None


def _is_of_sklearn(metric, name):
    return getattr(metrics, name, None) is metric


def _maximum_of_own_score(estimator, names, prefix=""):
    """Look up the largest score of ``estimator.score``."""
    if type(estimator) is Pipeline and estimator.steps:
        last, step = estimator.steps[-1]
        if {f"{prefix}{last}", f"{prefix}steps"} & names:
            return None  # it may be replaced by anything
        return _maximum_of_own_score(step, names, f"{prefix}{last}__")
    score = getattr(type(estimator), "score", None)
    known = (ClassifierMixin.score, RegressorMixin.score)
    return 1.0 if score in known else None
