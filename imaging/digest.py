"""A file's SHA-256, made while the file is read for something else."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

# A little less urgent: of two cores one decodes the file, and the other has work to do between two blocks. No
# more, because everybody waits for the digest at last, and a busy machine would hardly let it run.
_NICENESS = 5


@contextmanager
def sha256_beside(path: Path) -> Iterator[Future[str]]:
    """Digest a file in a thread beside what the caller does, which goes first; hashing releases the GIL.

    Yields
    ------
    Future of str
        In hexadecimal. The context ends when it is there.

    Raises
    ------
    OSError
        As the future's result, if the file cannot be read.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest") as pool:
        yield pool.submit(_sha256, path)


def _sha256(path: Path) -> str:
    # Linux has a niceness for each thread; elsewhere this is no thread's id.
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
