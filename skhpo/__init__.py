"""Hyperparameter search that replaces scikit-learn's by changing one word."""

from skhpo._search.bayes import BayesSearch
from skhpo._search.grid import GridSearch
from skhpo._search.random import RandomSearch
from skhpo.checkpoint import Checkpoint, read_checkpoint
from skhpo.preprocessing import BlockScaler
from skhpo.space import Categorical, Integer, Real

__version__ = "0.1.0"

__all__ = [
    "BayesSearch",
    "BlockScaler",
    "Categorical",
    "Checkpoint",
    "GridSearch",
    "HypergradSearch",
    "Integer",
    "RandomSearch",
    "Real",
    "read_checkpoint",
]


def __getattr__(name):
    # It brings all the models that it can differentiate, which most programs leave be.
    if name == "HypergradSearch":
        from skhpo._search.hypergrad import HypergradSearch

        return HypergradSearch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
