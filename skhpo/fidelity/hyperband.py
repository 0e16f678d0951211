"""Hyperband: halving from several starts, as nobody knows how little is enough."""

from dataclasses import KW_ONLY, dataclass

from skhpo.fidelity.base import Schedule


@dataclass(frozen=True)
class Hyperband(Schedule):
    """Run brackets of successive halving, each with fewer candidates on more.

    How little of a resource tells good candidates from bad is not known beforehand.
    So there are brackets [1]_: the first begins with many candidates and little, the
    last has few, and gives them everything. They cost about the same. In
    :class:`~skhpo.BayesSearch` a model proposes the candidates of each bracket from the
    results of those before, as in BOHB [2]_, and says which of them go on.

    Parameters
    ----------
    resource : str, default="n_samples"
        As in :class:`Halving`, and so are the others.
    factor : float, default=3
        One in so many candidates goes on, with so many times the resource.
    min_resources : int, "auto" or "exhaust", default="auto"
        What a candidate gets at least. "auto" means one in `factor` of
        `max_resources`, or 10,000 samples where these are fewer: with less, other
        candidates were often the best than with everything. "exhaust" is that of
        :class:`Halving`.
    max_resources : int or "auto", default="auto"
        What a candidate of the last rungs gets.
    random_state : int, default=0
        Seed of the samples drawn, and of the order in which a grid is dealt out.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh and A. Talwalkar,
       "Hyperband: a novel bandit-based approach to hyperparameter optimization", 2018.
    .. [2] S. Falkner, A. Klein and F. Hutter, "BOHB: robust and efficient
       hyperparameter optimization at scale", 2018.

    Examples
    --------
    >>> from skhpo.fidelity import Hyperband
    >>> for rungs in Hyperband().brackets(50, smallest=20, largest=10_000):
    ...     print(rungs)
    [(28, 370), (10, 1111), (4, 3333), (2, 10000)]
    [(12, 1111), (4, 3333), (2, 10000)]
    [(6, 3333), (2, 10000)]
    [(4, 10000)]
    """

    _: KW_ONLY
    min_resources: int | str = "auto"

    AMOUNTS = ("auto", "exhaust")

    def _plan(self, n_candidates, smallest, largest):
        n_most = self._n_rungs(n_candidates, smallest, largest)
        # Of equal cost: a candidate costs its rungs times what the last one gets.
        weights = [
            self.factor ** (n_rungs - 1) / n_rungs for n_rungs in range(n_most, 0, -1)
        ]
        sizes = _apportion(n_candidates, weights)
        return [
            self._rungs(size, n_rungs, smallest, largest)
            for size, n_rungs in zip(sizes, range(n_most, 0, -1), strict=True)
            if size
        ]


def _apportion(n, weights):
    """Divide `n` in the proportion of weights, by largest remainders."""
    exact = [n * weight / sum(weights) for weight in weights]
    sizes = [int(size) for size in exact]
    order = sorted(range(len(weights)), key=lambda i: sizes[i] - exact[i])
    for i in order[: n - sum(sizes)]:
        sizes[i] += 1
    return sizes
