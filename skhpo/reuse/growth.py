"""Fits that go on to a larger size: more trees of a forest, more stages of boosting.

The other way round from views: there the largest is fitted, and others are looked up in
it; here the smaller one is fitted first, as nobody knows yet whether more is wanted.
"""

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skhpo.reuse.base import NotShared, calls, check_plain, draws, fit, grow
from skhpo.reuse.pipeline import Pipelines, check_pipeline, is_passthrough
from skhpo.reuse.selftest import grows


class Growth:
    """Lets fits go on, where that leaves them to the last bit as fits of their own.

    Parameters
    ----------
    family_of : callable
        ``family_of(estimator)`` finds the family of an estimator, or gives None.
    """

    def __init__(self, family_of):
        self._family_of = family_of

    def is_size(self, name, estimator):
        """Tell whether a parameter is a size to which fits may go on.

        Parameters
        ----------
        name : str
            Of the parameter.
        estimator : estimator
            That has it, or a pipeline whose last step has it; fitted or not.

        Returns
        -------
        is_size : bool
            False as well where that could only be tried in a thread beside others.
        """
        last, _ = _last_and_front(estimator)
        family = self._family_of(last)
        if family is None or isinstance(family, Pipelines) or not family.shared:
            return False
        before = "" if last is estimator else f"{estimator.steps[-1][0]}__"
        return name == before + family.shared[0] and grows(type(last), family)

    def may_grow(self, estimator):
        """Tell whether :meth:`grown` can go on from a fit.

        Parameters
        ----------
        estimator : estimator
            For which :meth:`is_size` is true, fitted.

        Returns
        -------
        may : bool
            False where code that is not scikit-learn's would run, or something draws.
        """
        last, front = _last_and_front(estimator)
        family = self._family_of(last)
        try:
            check_plain(estimator)
            if last is not estimator:
                check_pipeline(estimator, ())
            family.key(last)
        except NotShared:
            return False
        if any(draws(step) for step in front if not is_passthrough(step)):
            return False
        # What draws from NumPy's own generator would leave it elsewhere.
        return not draws(last, nested=False) and family.may_grow(last)

    def grown(self, fitted, estimator, X, y, params):
        """Let a fit go on to a larger size.

        Parameters
        ----------
        fitted : estimator
            Of a smaller size, for which :meth:`may_grow` is true. It is used up.
        estimator : estimator
            With the parameters of the fit, not fitted.
        X, y : array-like
            Training data; the same as for `fitted`.
        params : dict of str to object
            Parameters of ``fit``.

        Returns
        -------
        estimator : estimator or None
            Fitted. None if it is not larger, or `params` has a function.
        """
        smaller, _ = _last_and_front(fitted)
        last, front = _last_and_front(estimator)
        family = self._family_of(last)
        if family.size(last) <= family.size(smaller) or calls(params):
            return None
        whole = grow(smaller, family, family.size(last))
        if front:
            whole = clone(estimator)
            whole.steps[-1] = (whole.steps[-1][0], smaller)
        fit(whole, X, y, params)
        smaller.set_params(warm_start=False)
        return whole


def _last_and_front(estimator):
    if type(estimator) is not Pipeline:
        return estimator, []
    *front, last = [step for _, step in estimator.steps]
    return last, front
