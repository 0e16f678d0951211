"""Dimensions: the values of one hyperparameter, and their places in [0, 1].

A dimension with finitely many values cuts [0, 1] into cells, one for each value:
``from_unit`` says in which cell a number lies, ``to_unit`` gives the middle of the
cell. A kind of dimension is a file of this folder.
"""

from skhpo.space._dimensions.base import (
    _as_python,
    _describe,
    _Dimension,
    _is_number,
)
from skhpo.space._dimensions.choices import (
    Categorical,
    _check_sequence,
    _Choices,
    _FloatRange,
    _is_sequence,
)
from skhpo.space._dimensions.distributions import _MAX_ROWS_COUNTED, _Distribution
from skhpo.space._dimensions.ranges import Integer, Real

__all__ = [
    "_MAX_ROWS_COUNTED",
    "Categorical",
    "Integer",
    "Real",
    "_Choices",
    "_Dimension",
    "_Distribution",
    "_FloatRange",
    "_as_python",
    "_check_sequence",
    "_describe",
    "_is_number",
    "_is_sequence",
]
