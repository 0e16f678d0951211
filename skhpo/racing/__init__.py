"""When one candidate is given up, one file for each rule.

A rule looks at the scores of a candidate on its first splits and at those of candidates
with all their splits, and says whether the rest is worth its time. It knows nothing of
estimators, data or workers. To add one, write a :class:`~skhpo.racing.base.RacingRule`
in a file of its own, and a line here.
"""

from skhpo.racing.bound import Bound
from skhpo.racing.forgiving import Forgiving
from skhpo.racing.paired import Paired

RULES = {
    "bound": Bound,
    "paired": Paired,
    "forgiving": Forgiving,
}

__all__ = ["RULES", "Bound", "Forgiving", "Paired"]
