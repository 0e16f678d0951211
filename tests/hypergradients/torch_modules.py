"""Small torch modules, in a file of their own so that only the tests import torch.

All begin with the same weights, as fits that are compared must.
"""

import torch
from torch import nn


class Linear(nn.Module):
    """Without intercept, as what it is compared with."""

    def __init__(self, n_in=4, n_out=1, *, proba=False, flat=False, double=True):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(n_in, n_out, bias=False)
        self.proba, self.flat = proba, flat
        if double:
            self.double()

    def forward(self, X):
        f = self.layer(X)
        if self.proba:
            f = torch.softmax(f, dim=-1)
        return f[:, 0] if self.flat else f


class Tanh(nn.Module):
    """One hidden layer; `temperature` acts on the outputs, `spread` on the start."""

    def __init__(
        self, n_in=4, n_hidden=3, n_out=1, *, temperature=0.7, spread=1.0, double=True
    ):
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Linear(n_in, n_hidden)
        self.out = nn.Linear(n_hidden, n_out)
        self.temperature = temperature
        with torch.no_grad():
            self.hidden.weight *= spread
        if double:
            self.double()

    def forward(self, X):
        return self.out(torch.tanh(self.hidden(X) / self.temperature))


class Random(Linear):
    """Draws something when it is built, that is not among its weights."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.noise = scale * torch.randn(4, dtype=torch.double).exp()

    def forward(self, X):
        torch.rand(1)
        return super().forward(X * self.noise)


class Unseeded(Random):
    def __init__(self, scale=1.0):
        super().__init__(scale)
        self.noise = scale * torch.randn(
            4, dtype=torch.double, generator=torch.Generator().manual_seed(Unseeded.n)
        )
        Unseeded.n += 1

    n = 0


class Pair(Linear):
    def forward(self, X):
        return super().forward(X), X


def with_layer(layer):
    """Give a class whose module has another layer in front."""

    class Module(Linear):
        def __init__(self):
            super().__init__()
            self.front = layer().double()

        def forward(self, X):
            return super().forward(self.front(X))

    return Module
