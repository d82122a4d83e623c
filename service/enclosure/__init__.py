"""Runs a function of ours on a file that nobody trusts, in a process that may not take more than it is given.

A reader of files from anywhere will some day meet the file that crashes it, fills the memory or never ends.
Here that costs one call: `Enclosure.run` hands an open file to a fresh child with limits, and gives its
answer or raises a refusal with a stable code. What comes back is JSON and sealed memory, never a pickle.
"""

from service.enclosure.enclosure import Answer, Enclosure
from service.enclosure.errors import (
    EnclosedFaultError,
    EnclosureUnavailableError,
    ReaderDiedError,
    ReaderMemoryError,
    ReaderTimeLimitError,
)
from service.enclosure.limits import Limits

__all__ = [
    "Answer",
    "EnclosedFaultError",
    "Enclosure",
    "EnclosureUnavailableError",
    "Limits",
    "ReaderDiedError",
    "ReaderMemoryError",
    "ReaderTimeLimitError",
]
