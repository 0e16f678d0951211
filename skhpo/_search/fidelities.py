"""What ``fidelity`` means for a search: how much each gets, and of what."""

from numbers import Real
from types import NoneType

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.multiclass import type_of_target

from skhpo._evaluation.splits import row_numbers
from skhpo._evaluation.subsamples import Subsamples
from skhpo._evaluation.unfinished import Unfinished
from skhpo._sklearn import MultimetricScorer, StrOptions
from skhpo.fidelity import SCHEDULES
from skhpo.fidelity.base import Schedule
from skhpo.strategies.bayes import BayesStrategy
from skhpo.strategies.halving import HalvingStrategy
from skhpo.trial import shortened

# Samples by which candidates compare as they do with more; benchmarks/README.md.
ENOUGH = 10_000

FIDELITY = [StrOptions({*SCHEDULES}), Schedule, None]


class Fidelity:
    """How the candidates of one search share a resource.

    Parameters
    ----------
    schedule : Schedule
        Says how many get how much.
    n_samples : int
        Of the data.
    smallest, largest : int
        Resources of a candidate, at least and at most.
    metric : str or None
        Which of several metrics decides.
    subsamples : Subsamples or None
        What smaller parts of the splits consist of; None for another resource.
    """

    def __init__(self, schedule, n_samples, smallest, largest, metric, subsamples):
        self.subsamples = subsamples
        self._schedule = schedule
        self._n_samples = n_samples
        self._range = smallest, largest
        self._metric = metric

    def unfinished(self, estimator):
        """Make what keeps fits that may go on with more; None where none can.

        Parameters
        ----------
        estimator : estimator
            Of the search.

        Returns
        -------
        unfinished : Unfinished or None
            None if samples are the resource: more of them are other data.
        """
        if not self._schedule.of_parameter:
            return None
        return Unfinished(self._schedule.resource, self._metric, estimator)

    def shared_among(self, strategy):
        """Let the candidates of a strategy share the resource.

        Parameters
        ----------
        strategy : Strategy
            In its initial state.

        Returns
        -------
        strategy : HalvingStrategy
            Asks it, and asks for the best again.
        """
        schedule = self._schedule
        brackets = self._brackets(strategy)
        resource = {"n_samples": self._n_samples}
        if schedule.of_parameter:
            resource = {"parameter": schedule.resource}
        rng = None
        if len(brackets) > 1 and not isinstance(strategy, BayesStrategy):
            # Neighbours of a grid would meet in one bracket.
            rng = np.random.default_rng(schedule.random_state)
        return HalvingStrategy(
            strategy, brackets, metric=self._metric, rng=rng, **resource
        )

    def _brackets(self, strategy):
        """Plan the brackets: what was given by the user gets everything at once."""
        n, (smallest, largest) = strategy.n_candidates, self._range
        brackets = self._schedule.brackets(n, smallest, largest)
        if not isinstance(strategy, BayesStrategy) or max(map(len, brackets)) == 1:
            return brackets
        n_first = min(strategy.n_first, n)
        first, rest = [[(n_first, largest)]] if n_first else [], n - n_first
        return first + (
            self._schedule.brackets(rest, smallest, largest) if rest else []
        )


def make_fidelity(search, space, X, y, indices, split_params, scorer):
    """Build what shares a resource among candidates; called before any fit.

    Parameters
    ----------
    search : BaseSearch
        Its ``fidelity``, if it has that parameter, and what decides in it.
    space : Space
        That of the search.
    X, y : indexable, of length n_samples
        Data; `y` may be None.
    indices : list of (ndarray of shape (n_train,), ndarray of shape (n_test,))
        Row numbers of the two parts of each split.
    split_params : dict of str to object
        What the splitter is given; ``groups`` are respected.
    scorer : callable
        Of the search.

    Returns
    -------
    fidelity : Fidelity or None
        None if all candidates get everything.

    Raises
    ------
    ValueError
        If the resource, or the amounts of it, do not fit the search.
    """
    schedule = getattr(search, "fidelity", None)
    if schedule is None:
        return None
    if isinstance(schedule, str):
        schedule = SCHEDULES[schedule]()
    if getattr(search, "racing", None) is not None:
        raise ValueError(
            f"racing = {search.racing!r} and fidelity = {schedule!r} both drop "
            "candidates early, by scores that cannot be compared with one another. "
            "Use one of them."
        )
    metric = search.refit if isinstance(search.refit, str) else None
    if isinstance(scorer, MultimetricScorer) and metric is None:
        raise ValueError(
            f"fidelity = {schedule!r} needs to know which of several metrics decides, "
            f"and refit = {search.refit!r} names none. Give the name of one as refit, "
            "or leave fidelity out."
        )
    n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
    classes = _classes(search.estimator, y)
    if schedule.of_parameter:
        _check_parameter(schedule, search.estimator, space)
        smallest, largest = 1, schedule.max_resources
    else:
        smallest, largest = 2 * len(indices), n_samples
        if classes is not None:
            smallest *= len(np.unique(classes))
        if schedule.max_resources != "auto":
            largest = schedule.max_resources
            if largest > n_samples:
                raise ValueError(
                    f"max_resources = {largest} of the fidelity is more than the "
                    f"{n_samples} samples of X. Give at most so many, or 'auto'."
                )
        smallest = min(smallest, largest)
    if schedule.min_resources == "auto":
        share = int(largest / schedule.factor)
        if not schedule.of_parameter:
            share = min(ENOUGH, share)
        smallest = min(max(smallest, share), largest)
    elif not isinstance(schedule.min_resources, str):
        smallest = schedule.min_resources
        if smallest > largest:
            raise ValueError(
                f"min_resources = {smallest} of the fidelity is more than its "
                f"max_resources, {largest}. Give less."
            )
    subsamples = None
    if not schedule.of_parameter:
        subsamples = Subsamples(
            [tuple(map(row_numbers, parts)) for parts in indices],
            seed=schedule.random_state,
            classes=classes,
            groups=split_params.get("groups"),
        )
    return Fidelity(schedule, n_samples, smallest, largest, metric, subsamples)


def _classes(estimator, y):
    """Give the labels whose shares are to be kept, if there are any."""
    if y is None or not is_classifier(estimator):
        return None
    if type_of_target(y) not in ("binary", "multiclass"):
        return None
    return np.asarray(y).ravel()


def _check_parameter(schedule, estimator, space):
    name = schedule.resource
    params = estimator.get_params(deep=True)
    if name not in params:
        raise ValueError(
            f"resource = {name!r} of the fidelity is no parameter of "
            f"{type(estimator).__name__}. Give 'n_samples', or one of its parameters "
            "that is an int."
        )
    value = params[name]
    if isinstance(value, bool) or not isinstance(value, Real | NoneType):
        raise ValueError(
            f"resource = {name!r} of the fidelity is no number: that of "
            f"{type(estimator).__name__} is {shortened({name: value})[1:-1]}. Give "
            "'n_samples', or a parameter that is an int, such as 'n_estimators'."
        )
    if any(name in branch for branch in space.branches):
        raise ValueError(
            f"resource = {name!r} of the fidelity is searched as well. Take it out of "
            "the space, or give another resource."
        )
