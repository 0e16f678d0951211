"""Compare the time of ``import skhpo`` with that of what it replaces.

New processes, in turns; prints the medians and their ratio, and fails above 1.3. The
aim is 1.15; the rest is for noisy machines.
"""

import statistics
import subprocess
import sys

MODULES = ("sklearn.model_selection", "skhpo")
N_ROUNDS = 15
CODE = """
import time
start = time.perf_counter()
import {}
print(time.perf_counter() - start)
"""


def seconds(module):
    """Time one import in a process of its own."""
    command = [sys.executable, "-c", CODE.format(module)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


for module in MODULES:
    seconds(module)  # reads the files from disk and writes the bytecode
rounds = [[seconds(module) for module in MODULES] for _ in range(N_ROUNDS)]
theirs, ours = map(statistics.median, zip(*rounds, strict=True))
ratio = ours / theirs
print(f"import skhpo: {ours:.3f} s, import {MODULES[0]}: {theirs:.3f} s")
print(f"ratio {ratio:.2f} (aim 1.15, limit 1.30)")
sys.exit(ratio > 1.3)
