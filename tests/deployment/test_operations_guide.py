"""What the guide tells an operator to type, look at or look up is there."""

import re
import sys

import pytest

from service.cli import main
from tests.deployment.compose import REPOSITORY, SERVICES

GUIDE = (REPOSITORY / "docs" / "operations.md").read_text()
CODES = set(re.findall(r"^\| `([a-z0-9_]+)`", (REPOSITORY / "docs" / "errors.md").read_text(), re.MULTILINE))
COMMANDS = {
    # An argument with capitals or a slash is the operator's own.
    tuple(re.findall(r"^[a-z-]+", word)[0] for word in match.split() if re.fullmatch(r"[a-z-]+", word))
    for match in re.findall(r"(?:^    |`)restnet ([a-z][^`\n#]*)", GUIDE, re.MULTILINE)
    + re.findall(r"run --rm(?: --no-deps)? admin ([a-z][^`\n#]*)", GUIDE)
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_of_the_guide_is_one(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What follows an option is its value.
    words = [word for number, word in enumerate(command) if not command[max(number - 1, 0)].startswith("--")]
    options = [word for word in words if word.startswith("--")]
    monkeypatch.setattr(sys, "argv", ["restnet", *(w for w in words if w not in options), "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in {0, None}
    shown = capsys.readouterr().out
    assert all(option in shown for option in options)


def test_every_code_of_the_guide_is_in_the_list_of_codes() -> None:
    table = GUIDE.split("## Troubleshooting, by code")[1]
    named = {
        code
        for row in table.splitlines()
        if row.startswith("| ")
        for code in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", row.split("|")[1])
    }
    assert len(named) >= 15
    # Events of the log, and a figure.
    assert (
        named - {"publish_failed", "drift_webhook_failed", "drift_webhook_given_up", "restnet_workers"}
        <= CODES
    )


def test_every_file_and_service_of_the_guide_is_there() -> None:
    for path in re.findall(r"`((?:deploy|tests)/[\w/.-]+)`", GUIDE):
        assert (REPOSITORY / path).exists(), path
    for path in re.findall(r"\]\(([\w-]+\.md)\)", GUIDE):
        assert (REPOSITORY / "docs" / path).exists(), path
    stopped = re.search(r"compose stop (.*)", GUIDE)
    assert stopped is not None
    assert set(stopped[1].split()) <= set(SERVICES)
