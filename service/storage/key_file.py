"""The file with the keys of stored scans, in the form that ``age-keygen`` writes."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pyrage import IdentityError, x25519

from service.storage.errors import EncryptionKeyFileError

# What nobody but the owner may do.
_OTHERS = 0o077


def read_keys(path: Path) -> tuple[x25519.Identity, ...]:
    """Read the keys of a file, in its order: the first encrypts, each decrypts.

    Raises
    ------
    EncryptionKeyFileError
        If the file cannot be read, is open to others, or holds no key or something else.
    """
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        found = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "other bytes"
        raise EncryptionKeyFileError(
            path=path, expected="a readable text file with keys", found=found
        ) from error
    if mode & _OTHERS:
        raise EncryptionKeyFileError(
            path=path,
            expected="a key file that its owner alone may read (mode 0600 or 0400)",
            found=f"mode {mode:04o}",
        )
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(
        _key(line, path=path, number=number)
        for number, line in enumerate(lines, start=1)
        if line and not line.startswith("#")
    )
    if not keys:
        raise EncryptionKeyFileError(
            path=path, expected="a key file with a line AGE-SECRET-KEY-1...", found="none"
        )
    return keys


def make_key_file(path: Path) -> str:
    """Write a new file with one new key (mode 0600); returns the key's public part.

    Raises
    ------
    EncryptionKeyFileError
        If there is a file already, or none can be written.
    """
    key = x25519.Identity.generate()
    try:
        _write_new(path, _entry(key))
    except FileExistsError as error:
        raise EncryptionKeyFileError(path=path, expected="a path where no file is", found="one") from error
    except OSError as error:
        raise EncryptionKeyFileError(
            path=path, expected="a path that can be written", found=os.strerror(error.errno or 0)
        ) from error
    return str(key.to_public())


def add_key(path: Path) -> str:
    """Put a new key before those of a file, which stay; returns its public part.

    Raises
    ------
    EncryptionKeyFileError
        If there is no usable key file, or it cannot be written.
    """
    read_keys(path)
    key = x25519.Identity.generate()
    # Beside it and then in its place: a crash in between must not cost the old keys.
    new = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        _write_new(new, _entry(key) + path.read_text(encoding="ascii"))
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise EncryptionKeyFileError(
            path=path, expected="a key file that can be written", found=os.strerror(error.errno or 0)
        ) from error
    return str(key.to_public())


def _key(line: str, *, path: Path, number: int) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(line)
    except IdentityError as error:
        # What was found may be a part of a key.
        raise EncryptionKeyFileError(
            path=path,
            expected=f"a key AGE-SECRET-KEY-1... in line {number} of the key file",
            found="something else",
        ) from error


def _entry(key: x25519.Identity) -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return f"# created: {now}\n# public key: {key.to_public()}\n{key}\n"


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
