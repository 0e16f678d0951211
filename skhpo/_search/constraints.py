"""What scikit-learn's parameter validation lacks."""

import numbers

from skhpo._sklearn import Interval, Options, StrOptions

EXACT_REUSE = [StrOptions({"exact"}), Options(bool, {False})]
REUSE = [StrOptions({"exact", "close"}), Options(bool, {False})]


class Count(Interval):
    """An integer of at least 1; True, which is 1 to Python, is taken for a mistake."""

    def __init__(self):
        super().__init__(numbers.Integral, 1, None, closed="left")

    def is_satisfied_by(self, val):
        """Tell whether `val` is such a number; called by scikit-learn."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)
