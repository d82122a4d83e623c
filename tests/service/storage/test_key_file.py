from pathlib import Path

import pytest

from service.settings import Settings
from service.storage import EncryptionKeyFileError, open_storage
from service.storage.key_file import add_key, make_key_file, read_keys


def test_a_new_file_is_its_owners_and_holds_one_key(tmp_path: Path) -> None:
    public = make_key_file(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert [str(key.to_public()) for key in read_keys(tmp_path / "keys")] == [public]


def test_keys_are_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(EncryptionKeyFileError, match="where no file is, found one"):
        make_key_file(key_file)
    assert key_file.read_bytes() == before


def test_an_added_key_comes_first_and_the_others_stay(key_file: Path) -> None:
    old = [str(key) for key in read_keys(key_file)]
    public = add_key(key_file)
    keys = read_keys(key_file)
    assert str(keys[0].to_public()) == public
    assert [str(key) for key in keys[1:]] == old
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key_file.parent.iterdir()] == [key_file.name]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_open_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(EncryptionKeyFileError, match=f"found mode {mode:04o}"):
        read_keys(key_file)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "a line AGE-SECRET-KEY-1..., found none"),
        (b"# only words\n", "found none"),
        (b"# a key\nAGE-SECRET-KEY-1QQQQ\n", "in line 2 of the key file, found something else"),
        ("Schlüssel".encode(), "found other bytes"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(EncryptionKeyFileError, match=complaint) as refusal:
        read_keys(file)
    assert str(refusal.value).endswith(str(file))
    assert "QQQQ" not in str(refusal.value)


def test_the_service_does_not_start_without_the_file_that_was_named(tmp_path: Path) -> None:
    with pytest.raises(EncryptionKeyFileError, match="No such file"):
        open_storage(Settings(data_dir=tmp_path, encryption_key_file=tmp_path / "missing"))
    for act in (make_key_file, add_key):
        with pytest.raises(EncryptionKeyFileError, match="No such file"):
            act(tmp_path / "missing" / "keys")
