"""``python -m service.worker --queue inference``: the same as ``restnet worker``."""

import argparse
import sys
from collections.abc import Sequence

from service.queue import QUEUES
from service.settings import Settings
from service.worker.process import run_worker


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the queues and run."""
    parser = argparse.ArgumentParser(prog="python -m service.worker", description=__doc__)
    parser.add_argument("--queue", choices=QUEUES, action="append", required=True, dest="queues")
    return run_worker(Settings(), parser.parse_args(arguments).queues)


# A spawned child imports this module again under another name.
if __name__ == "__main__":
    sys.exit(main())
