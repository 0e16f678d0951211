"""Keep what a search has evaluated, so that it can go on after a crash.

:class:`Checkpoint` says where; :func:`read_checkpoint` looks into such a file. The file
is text, one JSON object on each line, to which records are only ever added. Nothing in
it is executed, unpickled or imported.
"""

from skhpo.checkpoint.journal import Checkpoint
from skhpo.checkpoint.reading import read_checkpoint

__all__ = ["Checkpoint", "read_checkpoint"]
