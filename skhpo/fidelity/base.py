"""What schedules have in common: their parameters, and the rungs of one bracket."""

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from math import ceil, inf
from numbers import Integral, Real


@dataclass(frozen=True)
class Schedule(ABC):
    """Base of the schedules; see :class:`~skhpo.fidelity.Halving`."""

    # What min_resources may be beside a number.
    AMOUNTS = ("exhaust",)

    resource: str = "n_samples"
    _: KW_ONLY
    factor: float = 3
    min_resources: int | str = "exhaust"
    max_resources: int | str = "auto"
    random_state: int = 0

    def __post_init__(self):
        if not isinstance(self.resource, str) or not self.resource:
            raise ValueError(
                f"resource = {self.resource!r} must be 'n_samples', or the name of a "
                "parameter of the estimator that is an int, such as 'n_estimators'."
            )
        if not isinstance(self.factor, Real) or not 1 < self.factor < inf:
            raise ValueError(
                f"factor = {self.factor!r} must be a number greater than 1."
            )
        _check_amount("min_resources", self.min_resources, self.AMOUNTS)
        _check_amount("max_resources", self.max_resources, ("auto",))
        if self.of_parameter and self.max_resources == "auto":
            raise ValueError(
                "max_resources = 'auto' is the number of samples, but resource = "
                f"{self.resource!r}. Give the value of that parameter which is enough "
                "for the last candidates."
            )
        seed = self.random_state
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise ValueError(
                f"random_state = {seed!r} of the {type(self).__name__} must be an int "
                "of at least 0."
            )

    @property
    def of_parameter(self):
        """bool : Whether the resource is a parameter of the estimator."""
        return self.resource != "n_samples"

    def brackets(self, n_candidates, smallest, largest):
        """Plan how many candidates get how much.

        Parameters
        ----------
        n_candidates : int
            New candidates in all.
        smallest, largest : int
            Resources of a candidate, at least and at most.

        Returns
        -------
        brackets : list of list of (int, int)
            For each bracket its rungs: number of candidates, and resources of each.
            The last rung of a bracket has the largest.
        """
        return self._plan(n_candidates, smallest, largest)

    @abstractmethod
    def _plan(self, n_candidates, smallest, largest):
        """Plan how many candidates get how much; see :meth:`brackets`."""

    def _n_rungs(self, n_candidates, smallest, largest):
        """Count the rungs until fewer candidates than `factor` are left."""
        n_required = 1 + _log(n_candidates, self.factor)
        return min(n_required, 1 + _log(largest / smallest, self.factor))

    def _rungs(self, n_candidates, n_rungs, smallest, largest):
        """Plan one bracket.

        Parameters
        ----------
        n_candidates : int
            In its first rung.
        n_rungs : int
            How many there are.
        smallest, largest : int
            Resources of a candidate, at least and at most.

        Returns
        -------
        rungs : list of (int, int)
            Number of candidates, and resources of each.
        """
        rungs = []
        for power in range(n_rungs - 1, -1, -1):
            n_resources = max(smallest, int(largest / self.factor**power))
            # The same once more would tell nothing new.
            if not rungs or n_resources > rungs[-1][1]:
                rungs.append((n_candidates, n_resources))
            n_candidates = ceil(n_candidates / self.factor)
        return rungs


def _log(value, base):
    """Give the whole part of a logarithm, in spite of rounding."""
    power = 0
    while base ** (power + 1) <= value * (1 + 1e-12):
        power += 1
    return power


def _check_amount(name, value, names):
    is_count = isinstance(value, Integral) and not isinstance(value, bool)
    if not ((is_count and value >= 1) or (isinstance(value, str) and value in names)):
        named = " or ".join(map(repr, names))
        raise ValueError(
            f"{name} = {value!r} must be an int of at least 1, or {named}."
        )
