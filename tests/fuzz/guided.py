"""A target for coverage-guided fuzzing of the reader and of the copy without free text, with atheris.

Usage, after ``pip install --group fuzz``::

    python -m tests.fuzz.guided [CORPUS] [-max_total_time=600] [-rss_limit_mb=2048] [-timeout=5]

The options are libFuzzer's. Without a corpus one is made of the seeds that ``make fuzz`` damages, their
samples cut short. It runs in one process and without limits of ours: what it finds is a crash, a hang over
the timeout, too much memory, or anything raised but a refusal. libFuzzer writes the input to ``crash-...`` in
the current folder.

Only Python is instrumented. zlib, isal and numpy are taken as they are; what they do with damaged streams is
what ``make fuzz`` is for.
"""

import gzip
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["imaging"]):
    from imaging import ScanError, open_scan
    from imaging.free_text import copy_without_free_text

from service.errors import as_json
from tests.fuzz.mutations import decompressed, files_of_nibabel, simulated_seeds

# More samples teach nothing about headers, and cost time.
SEED_BYTES = 20_000
# Blocks that are decoded of a file that promises many.
MAXIMUM_BLOCKS = 4

MEMORY = os.memfd_create("input")
PATH = Path(f"/proc/self/fd/{MEMORY}")


def one_input(data: bytes) -> None:
    """Read one file; its first byte says how it is wrapped, so that bits inside a stream can be turned."""
    if not data:
        return
    content = data[1:] if data[0] % 2 else gzip.compress(data[1:], data[0] % 10, mtime=0)
    os.ftruncate(MEMORY, 0)
    os.pwrite(MEMORY, content, 0)
    try:
        scan = open_scan(PATH)
        for number, _ in enumerate(scan.blocks()):
            if number == MAXIMUM_BLOCKS:
                break
    except ScanError as refusal:
        # What a person would be told must not fail either.
        json.dumps([refusal.code, str(refusal), as_json(refusal.details())], allow_nan=False)
    try:
        _, emptied = copy_without_free_text(PATH, io.BytesIO())
    except ScanError:
        return
    assert isinstance(emptied, tuple)


def make_corpus(folder: Path) -> None:
    """Write what fuzzing starts from."""
    for number, content in enumerate((simulated_seeds() | files_of_nibabel()).values()):
        (folder / f"seed-{number}").write_bytes(b"\1" + decompressed(content)[:SEED_BYTES])
        (folder / f"packed-{number}").write_bytes(b"\0" + decompressed(content)[:SEED_BYTES])


def main() -> None:
    """Fuzz until told to stop."""
    arguments = list(sys.argv)
    if all(argument.startswith("-") for argument in arguments[1:]):
        corpus = Path(tempfile.mkdtemp(prefix="restnet-corpus-"))
        make_corpus(corpus)
        arguments.append(str(corpus))
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
