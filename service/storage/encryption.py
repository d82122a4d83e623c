"""Encryption at rest, around any store: the age format (age-encryption.org/v1), by pyrage.

A file is encrypted as a stream of authenticated pieces of 64 KiB, so that neither way holds it in memory and
no changed byte passes. It names the key it needs: several keys can be in use, and a file that was stored
without encryption is read as it is.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyrage
from pyrage import x25519

from service.storage.errors import (
    EncryptionKeyMissingError,
    StoredFileDamagedError,
    local_outages,
)
from service.storage.keys import MODELS
from service.storage.private_folders import PrivateFolders
from service.storage.protocol import Storage, StoredFile, Upload, local_file

_MAGIC = b"age-encryption.org/v1\n"
# The only word that tells a key that is not here from bytes that were changed.
_NO_KEY = "No matching keys found"


class EncryptedStorage:
    """A store whose scans are encrypted where there is a key, and decrypted when they are read.

    Uploads wait in quarantine as they came; what is read lies decrypted in a private folder while it is read.
    Checkpoints hold no patient's data and are stored as they are.

    Parameters
    ----------
    store : Storage
        Where the bytes go.
    keys : sequence of x25519.Identity
        The first encrypts, each decrypts; none: nothing is encrypted.
    copies : PrivateFolders
        For decrypted copies, on this machine.
    """

    def __init__(self, store: Storage, *, keys: Sequence[x25519.Identity], copies: PrivateFolders) -> None:
        self._store = store
        self._keys = list(keys)
        self._copies = copies

    def receive(self, *, max_bytes: int) -> AbstractContextManager[Upload]:
        """Open a place in the store's quarantine."""
        return self._store.receive(max_bytes=max_bytes)

    def promote(self, source: Upload | Path, key: str) -> None:
        """Encrypt into quarantine, and promote that."""
        if not self._keys or key.startswith(f"{MODELS}/"):
            self._store.promote(source, key)
            return
        path = local_file(source)
        with self._store.receive(max_bytes=sys.maxsize) as sealed:
            self._encrypt(path, sealed)
            self._store.promote(sealed, key)
        with local_outages():
            path.unlink(missing_ok=True)

    @contextmanager
    def open_local(self, key: str, *, compare: bool = True) -> Iterator[Path]:
        """Give the stored file, or a decrypted copy of it that is removed on leaving."""
        with ExitStack() as kept, ExitStack() as stored:
            path = stored.enter_context(self._store.open_local(key, compare=compare))
            if _is_encrypted(path):
                copy = kept.enter_context(self._copies.make()) / path.name
                self._decrypt(path, copy, key)
                path = copy
                # What a bucket's file was downloaded to is not needed beside it.
                stored.close()
            yield path

    def delete(self, key: str) -> None:
        """Remove ``key`` from the store."""
        self._store.delete(key)

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """List what the store holds."""
        return self._store.stored(prefix)

    def purge_quarantine(self, *, older_than_s: float) -> int:
        """Remove what killed processes left, decrypted copies among it."""
        return self._copies.remove_abandoned() + self._store.purge_quarantine(older_than_s=older_than_s)

    def probe(self) -> None:
        """Try the store."""
        self._store.probe()

    def _encrypt(self, path: Path, sealed: Upload) -> None:
        with local_outages(), path.open("rb") as file:
            writer = _Writer(sealed)
            try:
                pyrage.encrypt_io(file, writer, [self._keys[0].to_public()])
            except pyrage.EncryptError as error:
                raise (writer.failure or error) from error

    def _decrypt(self, path: Path, copy: Path, key: str) -> None:
        if not self._keys:
            raise EncryptionKeyMissingError(n_keys=0)
        with local_outages(), path.open("rb") as file, copy.open("xb") as plain:
            writer = _Writer(plain)
            try:
                pyrage.decrypt_io(file, writer, self._keys)
            except (pyrage.DecryptError, OSError) as error:
                if writer.failure is not None:
                    raise writer.failure from error
                if str(error) == _NO_KEY:
                    raise EncryptionKeyMissingError(n_keys=len(self._keys)) from error
                raise StoredFileDamagedError(key) from error


class _Sink(Protocol):
    def write(self, chunk: bytes, /) -> object: ...


class _Writer(io.BufferedIOBase):
    """Hands pieces on, and keeps the error that pyrage would show as one of its own."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self.failure: Exception | None = None

    def write(self, piece: Any, /) -> int:
        try:
            self._sink.write(bytes(piece))
        except Exception as error:
            self.failure = error
            raise
        return len(piece)


def _is_encrypted(path: Path) -> bool:
    with local_outages(), path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC
