"""How a held-out score changes with a hyperparameter.

An estimator is differentiated through the equations that its fit solves; the table
says which class of estimator solves which. To add one, write its
:class:`~skhpo.hypergradients.base.Equations` and a line here, or give the estimator a
method ``__hypergradient__`` that returns the class. Members are found by exact type: a
subclass may solve something else.
"""

from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LogisticRegression,
    MultiTaskElasticNet,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    TweedieRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from skhpo.hypergradients import (
    closed,
    glm,
    huber,
    kernel,
    least_squares,
    linear_svm,
    logistic,
    svm,
)

TABLE = {
    ElasticNet: least_squares.ElasticNetEquations,
    GammaRegressor: glm.GammaEquations,
    GaussianNB: closed.GaussianNBEquations,
    GaussianProcessRegressor: closed.GaussianProcessEquations,
    HuberRegressor: huber.HuberEquations,
    KernelRidge: kernel.KernelRidgeEquations,
    Lasso: least_squares.ElasticNetEquations,
    LinearDiscriminantAnalysis: closed.LinearDiscriminantEquations,
    LinearSVC: linear_svm.LinearSVCEquations,
    LinearSVR: linear_svm.LinearSVREquations,
    LogisticRegression: logistic.LogisticRegressionEquations,
    MultiTaskElasticNet: least_squares.MultiTaskEquations,
    MultiTaskLasso: least_squares.MultiTaskEquations,
    PoissonRegressor: glm.PoissonEquations,
    QuadraticDiscriminantAnalysis: closed.QuadraticDiscriminantEquations,
    Ridge: least_squares.RidgeEquations,
    RidgeClassifier: least_squares.RidgeClassifierEquations,
    SVC: svm.SVCEquations,
    SVR: svm.SVREquations,
    TweedieRegressor: glm.TweedieEquations,
}
