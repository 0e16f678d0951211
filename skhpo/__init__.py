"""Hyperparameter search that replaces scikit-learn's by changing one word."""

from skhpo._search.bayes import BayesSearch
from skhpo._search.grid import GridSearch
from skhpo._search.hypergrad import HypergradSearch
from skhpo._search.random import RandomSearch
from skhpo.preprocessing import BlockScaler
from skhpo.space import Categorical, Integer, Real

__version__ = "0.1.0"

__all__ = [
    "BayesSearch",
    "BlockScaler",
    "Categorical",
    "GridSearch",
    "HypergradSearch",
    "Integer",
    "RandomSearch",
    "Real",
]
