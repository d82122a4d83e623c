import hashlib

import pytest

from imaging.digest import sha256_beside


def test_it_is_the_digest_of_the_whole_file(tmp_path):
    path = tmp_path / "scan"
    path.write_bytes(bytes(range(256)) * 10_000)
    with sha256_beside(path) as sha256:
        pass
    assert sha256.done()
    assert sha256.result() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_is_told_to_whoever_asks(tmp_path):
    with sha256_beside(tmp_path / "none") as sha256, pytest.raises(FileNotFoundError):
        sha256.result()
