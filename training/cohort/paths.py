"""Where a path really leads."""

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """Follow every link on the way, as ``Path.resolve`` does, and leave one that leads round in a circle.

    Before Python 3.13 ``Path.resolve`` raises a ``RuntimeError`` there; whoever then opens it hears more.
    """
    return Path(os.path.realpath(path))
