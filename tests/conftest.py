"""Data small enough that a search takes milliseconds."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from sklearn.datasets import make_classification, make_regression

# The helpers beside this file are imported by name, in worker processes too: they are
# told the path of the process that starts them.
sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("oracle")

# The same examples each time: what fails has something to do with the change.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# A shell makes what it runs in the background deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Imported by the tests that need torch, never collected.
collect_ignore = ["torch_net.py", "hypergradients/torch_modules.py"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def classification():
    """60 samples, 5 features, 2 classes of unequal size."""
    return make_classification(60, 5, weights=[0.6], flip_y=0.1, random_state=0)


@pytest.fixture(scope="session")
def regression():
    """60 samples, 5 features."""
    return make_regression(60, 5, noise=10.0, random_state=0)
