"""Imports point down: the contract of setup.cfg holds, and breaks when it should."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint_imports(folder):
    code = "from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def house(tmp_path):
    shutil.copytree(ROOT / "skhpo", tmp_path / "skhpo")
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def test_the_house_as_it_stands_is_in_order(house):
    result = lint_imports(house)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "file, line",
    [
        ("strategies/grid.py", "from skhpo._engine import run"),
        ("strategies/random.py", "from skhpo._evaluation.fit import Evaluator"),
        ("_evaluation/fit.py", "import skhpo.space"),
        ("trial.py", "from skhpo._results import tabulate"),
        ("new.py", ""),
    ],
)
def test_an_import_that_points_up_or_a_file_without_a_layer_is_found(house, file, line):
    path = house / "skhpo" / file
    text = path.read_text() if path.exists() else ""
    path.write_text(f"{text}\n{line}\n")
    assert lint_imports(house).returncode != 0
