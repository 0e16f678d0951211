"""How little may be spent on a candidate at first, one file for each schedule.

A schedule says how many candidates are tried with how much of a resource, and how many
of them go on with more. It knows numbers only; which candidates these are, a strategy
says. To add one, write it in a file of its own, and a line here.
"""

from skhpo.fidelity.halving import Halving
from skhpo.fidelity.hyperband import Hyperband

SCHEDULES = {
    "halving": Halving,
    "hyperband": Hyperband,
}

__all__ = ["SCHEDULES", "Halving", "Hyperband"]
