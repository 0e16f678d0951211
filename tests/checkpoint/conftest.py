import sys
from pathlib import Path

import pytest

# What the tests share is imported by name, in other processes too.
sys.path.insert(0, str(Path(__file__).parent))

pytest.register_assert_rewrite("recorded_fits")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.jsonl"


@pytest.fixture
def written(path):
    """Four candidates on three splits, and a fit that has begun."""
    from recorded_fits import write

    write(path)
    return path
