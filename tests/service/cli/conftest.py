import json
import os
import sys

import pytest

from service.cli import main


@pytest.fixture(autouse=True)
def umask():
    """Commands that write to the data directory close what the whole process writes."""
    previous = os.umask(0o022)
    yield
    os.umask(previous)


@pytest.fixture
def restnet(monkeypatch, capsys):
    """Run a command as the shell would: (exit status, what it printed, what it told)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["restnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def restnet_json(restnet):
    """Run a command with --json: (exit status, the printed value)."""

    def run(*arguments: object) -> tuple[int, object]:
        status, out, err = restnet(*arguments, "--json")
        assert err == "", "a machine reads stdout alone"
        return status, json.loads(out)

    return run
