"""Names, bounds, scales, choices and branches: what a search may try.

A :class:`Space` is read once from what the user wrote and then answers three kinds
of question: which settings are there (``grid``, ``n_rows``, ``n_values``), how does
scikit-learn draw from it (``distributions``), and how does a setting look in the
unit cube where models work (``params``, ``point``, ``candidate``).
"""

from skhpo.space._dimensions import Categorical, Integer, Real
from skhpo.space._keys import candidate_key
from skhpo.space._names import check_names
from skhpo.space._space import Coordinate, Space

__all__ = [
    "Categorical",
    "Coordinate",
    "Integer",
    "Real",
    "Space",
    "candidate_key",
    "check_names",
]
