"""Keys of stored scans from the command line, and a service that does not start with one it cannot use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.storage.key_file import read_keys
from tests.servers import free_port


def test_a_key_file_is_made_once_and_gets_further_keys_in_front(restnet, restnet_json, tmp_path):
    file = tmp_path / "keys"
    status, printed, told = restnet("storage", "new-key", file)
    assert status == 0
    (first,) = read_keys(file)
    assert str(first.to_public()) in printed
    assert "Keep a copy" in told
    assert str(first) not in printed + told

    status, said = restnet_json("storage", "new-key", file)
    assert (status, said["error"]["code"]) == (2, "encryption_key_file_invalid")
    status, said = restnet_json("storage", "new-key", file, "--add")
    assert status == 0
    assert [str(key.to_public()) for key in read_keys(file)] == [said["public_key"], str(first.to_public())]


@pytest.mark.parametrize("command", [["serve", "--port", free_port()], ["worker", "--queue", "inference"]])
def test_a_key_file_that_others_may_read_stops_the_start(restnet, tmp_path, command):
    file = tmp_path / "keys"
    restnet("storage", "new-key", file)
    file.chmod(0o644)
    ended = subprocess.run(
        [Path(sys.executable).with_name("restnet"), *map(str, command), "--data-dir", tmp_path / "data"],
        env={**os.environ, "RESTNET_ENCRYPTION_KEY_FILE": str(file)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "that its owner alone may read (mode 0600 or 0400), found mode 0644" in ended.stderr
