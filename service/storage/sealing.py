"""Short secrets that lie in the database: encrypted with the keys of stored scans, where there are any."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from pyrage import x25519

from service.storage.errors import EncryptionKeyMissingError
from service.storage.key_file import read_keys

_SEALED = "age:"
_OPEN = "plain:"


@dataclass(frozen=True)
class Seal:
    """Closes and opens texts.

    Attributes
    ----------
    keys : sequence of x25519.Identity
        The first closes, each opens; none: texts are kept as they are, and say so.
    """

    keys: Sequence[x25519.Identity] = field(default=(), repr=False)

    def close(self, text: str) -> str:
        """Return what may be stored of a text."""
        if not self.keys:
            return _OPEN + text
        return _SEALED + b64encode(pyrage.encrypt(text.encode(), [self.keys[0].to_public()])).decode()

    def open(self, stored: str) -> str:
        """Return the text of what was stored, with whichever key.

        Raises
        ------
        EncryptionKeyMissingError
            If none of the keys opens it.
        """
        if stored.startswith(_OPEN):
            return stored.removeprefix(_OPEN)
        sealed = b64decode(stored.removeprefix(_SEALED))
        if not self.keys:
            raise EncryptionKeyMissingError(n_keys=0)
        try:
            return pyrage.decrypt(sealed, list(self.keys)).decode()
        except pyrage.DecryptError as error:
            raise EncryptionKeyMissingError(n_keys=len(self.keys)) from error


def open_seal(key_file: Path | None) -> Seal:
    """Read the keys of a file; without one nothing is encrypted.

    Raises
    ------
    EncryptionKeyFileError
        If the file cannot be used.
    """
    return Seal(() if key_file is None else read_keys(key_file))
