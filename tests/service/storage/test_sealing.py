import os
from pathlib import Path

import pyrage
import pytest

from service.storage.errors import EncryptionKeyFileError, EncryptionKeyMissingError
from service.storage.key_file import add_key, make_key_file
from service.storage.sealing import Seal, open_seal

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    make_key_file(tmp_path / "keys")
    return tmp_path / "keys"


def test_a_closed_text_opens_with_its_key_alone(key_file: Path, tmp_path: Path) -> None:
    seal = open_seal(key_file)
    closed = seal.close(SECRET)
    assert SECRET not in closed
    assert seal.close(SECRET) != closed
    assert open_seal(key_file).open(closed) == SECRET
    make_key_file(tmp_path / "others")
    for other in (open_seal(tmp_path / "others"), open_seal(None)):
        with pytest.raises(EncryptionKeyMissingError):
            other.open(closed)


def test_what_was_changed_does_not_open(key_file: Path) -> None:
    seal = open_seal(key_file)
    closed = seal.close(SECRET)
    with pytest.raises(EncryptionKeyMissingError):
        seal.open(closed[:-8] + "AAAAAAA=")


def test_without_a_key_a_text_is_kept_as_it_is_and_opens_with_one_later(key_file: Path) -> None:
    kept = open_seal(None).close(SECRET)
    assert kept == f"plain:{SECRET}"
    assert open_seal(key_file).open(kept) == SECRET


def test_after_a_rotation_old_texts_open_and_new_ones_need_the_new_key(key_file: Path) -> None:
    before = open_seal(key_file)
    old = before.close(SECRET)
    add_key(key_file)
    after = open_seal(key_file)
    assert after.open(old) == SECRET
    with pytest.raises(EncryptionKeyMissingError):
        before.open(after.close(SECRET))


def test_a_key_file_that_others_may_open_is_refused(key_file: Path) -> None:
    key_file.chmod(0o644)
    with pytest.raises(EncryptionKeyFileError):
        open_seal(key_file)


def test_keys_are_not_shown() -> None:
    key = pyrage.x25519.Identity.generate()
    assert str(key) not in repr(Seal((key,))) + os.linesep
