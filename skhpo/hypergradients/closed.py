"""Models that are a formula of their data: to evaluate it twice is to differentiate.

Discriminant analysis, naive Bayes and Gaussian process regression with a fixed kernel
take one factorisation, without iterations that could stop early. Their outputs are
smooth in the hyperparameters to the last digits, so differences of the estimator itself
are exact enough, and as cheap as any formula that needs the factorisation anew.
"""

import numpy as np
from sklearn.base import clone

from skhpo.hypergradients.base import Explicit


class Refitted(Explicit):
    """Outputs by a fit at other parameters."""

    def _fit(self, params, X):
        own = self.estimator.get_params(deep=False)
        changed = {k: v for k, v in params.items() if k not in own or v is not own[k]}
        model = clone(self.estimator).set_params(**changed)
        if self.sample_weight is None:
            return model.fit(X, self.y)
        return model.fit(X, self.y, sample_weight=self.sample_weight)

    def outputs(self, w, params, X, X_new):
        return self._outputs(self._fit(params, X), X_new)


class Generative(Refitted):
    """Classifiers with class densities: joint log-likelihoods as logits."""

    kind = "log-odds"

    def _outputs(self, model, X_new):
        log_p = model.predict_log_proba(X_new)
        if log_p.shape[1] == 2:
            # The likelihoods themselves: probabilities of 0 have no finite logit.
            joint = getattr(model, "_joint_log_likelihood", None)
            log_p = joint(X_new) if joint is not None else log_p
            return (log_p[:, 1] - log_p[:, 0])[:, None]
        return log_p


class LinearDiscriminantEquations(Generative):
    """Linear discriminant analysis with shrinkage."""

    @staticmethod
    def names(estimator):
        number = isinstance(estimator.shrinkage, (int, float))
        usable = number or estimator.shrinkage is None
        return {"shrinkage"} if usable and estimator.solver != "svd" else set()

    def _outputs(self, model, X_new):
        return np.asarray(model.decision_function(X_new)).reshape(len(X_new), -1)


class QuadraticDiscriminantEquations(Generative):
    """Quadratic discriminant analysis with regularised covariances."""

    @staticmethod
    def names(estimator):
        return {"reg_param"}

    def _outputs(self, model, X_new):
        return np.asarray(model.decision_function(X_new)).reshape(len(X_new), -1)


class GaussianNBEquations(Generative):
    """Gaussian naive Bayes."""

    @staticmethod
    def names(estimator):
        return {"var_smoothing"}


class GaussianProcessEquations(Refitted):
    """Gaussian process regression at a given kernel."""

    @staticmethod
    def names(estimator):
        if estimator.optimizer is not None or estimator.kernel is None:
            return set()
        kernel = estimator.kernel
        numbers = {
            f"kernel__{name}"
            for name, value in kernel.get_params(deep=True).items()
            if isinstance(value, (float, int)) and not isinstance(value, bool)
        }
        return numbers | ({"alpha"} if np.ndim(estimator.alpha) == 0 else set())

    def _outputs(self, model, X_new):
        return model.predict(X_new).reshape(X_new.shape[0], -1)
