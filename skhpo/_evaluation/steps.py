"""Scores of fitted pipelines that have leading steps in common."""

import time

import numpy as np
from sklearn.pipeline import Pipeline

from skhpo.reuse import is_passthrough, untouched


class SharedSteps:
    """Transforms a part by fitted pipelines, but not by a step of the one before again.

    Of pipelines that come depth first each step so transforms once, and little is in
    memory at a time.

    Attributes
    ----------
    seconds : float
        How long the transformations have taken.
    """

    def __init__(self):
        self.seconds = 0.0
        self._known = []  # of the pipeline before: (step, features behind it)

    def strip(self, estimator, part):
        """Replace a pipeline by its last step, and the data by what that step sees.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        part : Part
            Of the same data each time.

        Returns
        -------
        estimator : estimator
            The last step; what was given if it is no pipeline, ends with
            "passthrough", or there are score parameters.
        part : Part
            What the last step sees.
        """
        if type(estimator) is not Pipeline or part.params:
            return estimator, part
        *front, (_, last) = estimator.steps
        if is_passthrough(last):
            return estimator, part
        X, steps = part.X, [step for _, step in front if not is_passthrough(step)]
        for number, step in enumerate(steps):
            if number == len(self._known) or self._known[number][0] is not step:
                del self._known[number:]
                start = time.time()
                features = step.transform(X)
                self.seconds += time.time() - start
                if type(features) is np.ndarray and features is not X:
                    features.flags.writeable = False
                self._known.append((step, features))
            X = untouched(self._known[number][1])
        return last, part._replace(X=X)
