"""The ``restnet`` command.

Heavy packages load inside the commands that need them: ``restnet --help`` answers at once.
"""

from service.cli.app import main

__all__ = ["main"]
