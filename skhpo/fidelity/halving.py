"""Successive halving: all candidates with little, the best of them with more."""

from dataclasses import dataclass

from skhpo.fidelity.base import Schedule


@dataclass(frozen=True)
class Halving(Schedule):
    """Try all candidates with little of a resource, and the best of them with more.

    In each rung the best third goes on (with ``factor=3``), with three times the
    resource [1]_, as in scikit-learn's ``HalvingGridSearchCV``. The last rung has all
    of it. A knob, not a guarantee: what is best in the end may not be among the best
    of the first rung.

    Parameters
    ----------
    resource : str, default="n_samples"
        "n_samples", or a parameter of the estimator that is an int and buys accuracy
        with time, such as ``n_estimators`` or ``max_iter``; it must not be searched.
        Samples are drawn for each split, once: a smaller part lies in a larger one,
        and has the classes in their shares and some samples of each. Where ``groups``
        are given to the splitter, whole groups come one after another; where all
        training parts lie before their test parts, the samples nearest to these are
        taken. Test parts shrink alike, but to no less than 1000 samples.
    factor : float, default=3
        One in so many candidates goes on, with so many times the resource.
    min_resources : int or "exhaust", default="exhaust"
        What a candidate gets at least. "exhaust" means as much as lets the last rung
        have fewer than `factor` candidates, but not less than ``2 * n_splits``
        samples, for a classifier as many for each class, or 1 of a parameter.
    max_resources : int or "auto", default="auto"
        What a candidate of the last rung gets. "auto" means all samples; for a
        parameter a number is needed.
    random_state : int, default=0
        Seed of the samples drawn.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and
       hyperparameter optimization", AISTATS 2016.

    Examples
    --------
    >>> from skhpo.fidelity import Halving
    >>> Halving(factor=3).brackets(30, smallest=20, largest=10_000)
    [[(30, 370), (10, 1111), (4, 3333), (2, 10000)]]
    """

    def _plan(self, n_candidates, smallest, largest):
        n_rungs = self._n_rungs(n_candidates, smallest, largest)
        return [self._rungs(n_candidates, n_rungs, smallest, largest)]
