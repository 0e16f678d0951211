"""A learning rate that is updated while a network is trained.

The derivative of the next loss by the learning rate is minus the dot product of two
successive gradients, so it costs nothing to descend it as well [1]_. A net of skorch
takes the optimizer like one of torch: ``NeuralNetRegressor(module,
optimizer=HypergradientSGD, optimizer__hypergrad_lr=1e-4)``.

References
----------
.. [1] A. G. Baydin, R. Cornish, D. M. Rubio, M. Schmidt and F. Wood, "Online learning
   rate adaptation with hypergradient descent", ICLR 2018.
"""

import importlib


def __getattr__(name):
    # The class needs a base of torch's, which skhpo does without until it is asked for.
    # As an attribute of the module it can be pickled.
    if name != "HypergradientSGD":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            "HypergradientSGD needs PyTorch: pip install skhpo[torch]"
        ) from error
    globals()[name] = _define(torch)
    return globals()[name]


def _define(torch):
    class HypergradientSGD(torch.optim.Optimizer):
        """Gradient descent whose learning rate descends as well.

        Parameters
        ----------
        params : iterable of Tensor or dict
            Parameters or groups of them; each group has a learning rate of its own.
        lr : float, default=1e-3
            Learning rate of the first step.
        hypergrad_lr : float, default=1e-4
            Learning rate of the learning rate; 0 leaves it as it is. Its unit is that
            of ``lr`` squared by the loss, so it depends on how that is scaled.
        weight_decay : float, default=0.0
            Coupled: this times a parameter is added to its gradient.

        Attributes
        ----------
        param_groups : list of dict
            ``lr`` is the learning rate of the last step, and ``lr_slope`` the
            derivative of the loss there by the learning rate of the step before.

        Notes
        -----
        The learning rate does not fall below 0; there the weights rest, successive
        gradients agree, and it rises again.
        """

        def __init__(self, params, lr=1e-3, hypergrad_lr=1e-4, weight_decay=0.0):
            defaults = {
                "lr": lr,
                "hypergrad_lr": hypergrad_lr,
                "weight_decay": weight_decay,
                "lr_slope": 0.0,
            }
            for name in ("lr", "hypergrad_lr", "weight_decay"):
                if not defaults[name] >= 0:
                    raise ValueError(
                        f"HypergradientSGD: {name} must not be negative, but is "
                        f"{defaults[name]!r}."
                    )
            super().__init__(params, defaults)

        @torch.no_grad()
        def step(self, closure=None):
            """Update the learning rates, then the parameters.

            Parameters
            ----------
            closure : callable, default=None
                Computes the loss and its gradients anew.

            Returns
            -------
            loss : Tensor or None
                What the closure returned.
            """
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                slope, moves = 0.0, []
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    gradient = p.grad + group["weight_decay"] * p
                    last = self.state[p].get("gradient")
                    if last is not None:
                        slope -= float((gradient * last).sum())
                    self.state[p]["gradient"] = gradient
                    moves.append((p, gradient))
                group["lr_slope"] = slope
                group["lr"] = max(0.0, group["lr"] - group["hypergrad_lr"] * slope)
                for p, gradient in moves:
                    p.sub_(gradient, alpha=group["lr"])
            return loss

    HypergradientSGD.__qualname__ = "HypergradientSGD"
    return HypergradientSGD
