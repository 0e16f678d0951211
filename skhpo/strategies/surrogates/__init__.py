"""The models behind BayesSearch, one file for each kind."""

from skhpo.strategies.surrogates._auto import AutoSurrogate
from skhpo.strategies.surrogates.forest import ForestSurrogate
from skhpo.strategies.surrogates.gaussian_process import GaussianProcessSurrogate
from skhpo.strategies.surrogates.tpe import TPESurrogate

SURROGATES = {
    "auto": AutoSurrogate,
    "gp": GaussianProcessSurrogate,
    "forest": ForestSurrogate,
    "tpe": TPESurrogate,
}

__all__ = [
    "SURROGATES",
    "ForestSurrogate",
    "GaussianProcessSurrogate",
    "TPESurrogate",
]
