"""The loop: ask, evaluate, tell, stop.

One thread asks and tells; units of work wait in a queue that workers' tasks are cut
from. A candidate is proposed from exactly the trials that lie ``max_pending`` back, so
what happens is a function of the strategy and the data, not of the workers' timing.
This folder is the only reader of ``n_jobs``, and knows no parameter names.
"""

from skhpo._engine.loop import Outcome, run
from skhpo._engine.race import Race
from skhpo._engine.schedule import INTERRUPTED, STOPPED_BY_CALLBACK

__all__ = ["INTERRUPTED", "STOPPED_BY_CALLBACK", "Outcome", "Race", "run"]
