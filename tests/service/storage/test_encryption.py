"""What lies encrypted, what opens it, and what a changed byte or a lost key become."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyrage import decrypt, x25519

from service.settings import Settings
from service.storage import (
    EncryptionKeyMissingError,
    Storage,
    StorageUnavailableError,
    StoredFileDamagedError,
    open_storage,
)
from service.storage.key_file import add_key, make_key_file, read_keys

KEY = "scans/ab/abc.nii.gz"
SCAN = os.urandom(300_000)


def opened(tmp_path: Path, key_file: Path | None) -> Storage:
    return open_storage(Settings(data_dir=tmp_path / "data", encryption_key_file=key_file))


def put(storage: Storage, key: str = KEY, content: bytes = SCAN) -> None:
    with storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        storage.promote(upload, key)


def read(storage: Storage, key: str = KEY) -> bytes:
    with storage.open_local(key) as path:
        return path.read_bytes()


def on_disk(tmp_path: Path, key: str = KEY) -> Path:
    return tmp_path / "data" / "storage" / key


def test_a_scan_lies_in_the_age_format_and_opens_with_any_tool_that_reads_it(
    tmp_path: Path, key_file: Path
) -> None:
    put(opened(tmp_path, key_file))
    stored = on_disk(tmp_path).read_bytes()
    assert SCAN[:64] not in stored
    secret = next(line for line in key_file.read_text().splitlines() if not line.startswith("#"))
    assert decrypt(stored, [x25519.Identity.from_str(secret)]) == SCAN


def test_checkpoints_are_stored_as_they_are(tmp_path: Path, key_file: Path) -> None:
    put(opened(tmp_path, key_file), "models/a.safetensors", b"weights")
    assert on_disk(tmp_path, "models/a.safetensors").read_bytes() == b"weights"


def test_a_decrypted_copy_is_private_and_lives_as_long_as_it_is_read(tmp_path: Path, key_file: Path) -> None:
    scratch = tmp_path / "memory"
    storage = open_storage(
        Settings(data_dir=tmp_path / "data", encryption_key_file=key_file, scratch_dir=scratch)
    )
    put(storage)
    with storage.open_local(KEY) as path:
        assert scratch in path.parents
        assert scratch.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
    assert list(scratch.iterdir()) == []
    with pytest.raises(RuntimeError), storage.open_local(KEY):
        raise RuntimeError
    assert list(scratch.iterdir()) == []


def test_scans_from_before_the_encryption_stay_readable(tmp_path: Path, key_file: Path) -> None:
    put(opened(tmp_path, None))
    assert on_disk(tmp_path).read_bytes() == SCAN
    assert read(opened(tmp_path, key_file)) == SCAN


def test_after_a_rotation_old_and_new_scans_are_read(tmp_path: Path, key_file: Path) -> None:
    put(opened(tmp_path, key_file), "scans/old.nii")
    old = tmp_path / "old-keys"
    old.write_bytes(key_file.read_bytes())
    old.chmod(0o600)
    add_key(key_file)
    rotated = opened(tmp_path, key_file)
    put(rotated, "scans/new.nii")
    assert read(rotated, "scans/old.nii") == read(rotated, "scans/new.nii") == SCAN
    # The first key is the one that encrypts.
    with pytest.raises(EncryptionKeyMissingError):
        read(opened(tmp_path, old), "scans/new.nii")


def test_a_wrong_or_missing_key_is_said_and_loses_nothing(tmp_path: Path, key_file: Path) -> None:
    put(opened(tmp_path, key_file))
    make_key_file(tmp_path / "wrong")
    for wrong, n_keys in ((None, 0), (tmp_path / "wrong", 1)):
        with pytest.raises(EncryptionKeyMissingError, match=f"found {n_keys} other keys") as refusal:
            read(opened(tmp_path, wrong))
        assert refusal.value.details() == {"n_keys": n_keys}
    assert read(opened(tmp_path, key_file)) == SCAN


@pytest.mark.parametrize("where", ["middle", "end", "cut", "cut at a piece", "longer"])
def test_a_changed_file_is_refused_whole(tmp_path: Path, key_file: Path, where: str) -> None:
    storage = opened(tmp_path, key_file)
    put(storage)
    stored = bytearray(on_disk(tmp_path).read_bytes())
    match where:
        case "middle":
            stored[len(stored) // 2] ^= 1
        case "end":
            stored[-1] ^= 1
        case "cut":
            del stored[-1000:]
        case "cut at a piece":
            payload = stored.index(b"\n--- ") + 49 + 16
            del stored[payload + 2 * (65536 + 16) :]
        case "longer":
            stored += b"x"
    on_disk(tmp_path).write_bytes(stored)
    with pytest.raises(StoredFileDamagedError), storage.open_local(KEY):
        pytest.fail("a part of the file was given")
    assert list((tmp_path / "data" / "scratch").iterdir()) == []


def test_a_full_scratch_is_an_outage_and_no_damage(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = opened(tmp_path, key_file)
    put(storage)
    real = Path.open

    def full(path: Path, mode: str = "r", **options: object) -> object:
        return real(Path("/dev/full"), "wb", buffering=0) if mode == "xb" else real(path, mode, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(StorageUnavailableError) as refusal:
            read(storage)
    assert refusal.value.found == "No space left on device"
    assert read(storage) == SCAN


MEMORY = """
import resource, sys
from pathlib import Path
from service.settings import Settings
from service.storage import open_storage
storage = open_storage(Settings(data_dir=Path(sys.argv[1]), encryption_key_file=Path(sys.argv[2])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with storage.receive(max_bytes=1 << 30) as upload:
    for _ in range(200):
        upload.write(bytes(1 << 20))
    storage.promote(upload, "scans/a.nii")
with storage.open_local("scans/a.nii") as path:
    assert path.stat().st_size == 200 << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_scan_is_never_held_in_memory(tmp_path: Path, key_file: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / "data", key_file],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(ran.stdout) < 20_000, "KiB grown for 200 MiB"


def test_the_keys_of_a_file_are_read_in_its_order(key_file: Path) -> None:
    first = str(read_keys(key_file)[0])
    add_key(key_file)
    assert [str(key) for key in read_keys(key_file)][1] == first
