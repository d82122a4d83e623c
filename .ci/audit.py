"""Ask the advisory service about every pinned package; say plainly when it could not be asked.

Exit status 1 when a package has a known vulnerability. Where the service does not answer, or knows none of
the packages, nothing was audited: that is said in capitals and ends with 0, as it says nothing of the change.
pip-audit itself ends such a run with "No known vulnerabilities found".
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
ASK = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]


def main() -> int:
    """Run pip-audit and tell what came of it."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS), *ASK]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  (our own tool)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        last = next(reversed(done.stderr.strip().splitlines()), "no word")
        return tell_nothing_was_audited(f"pip-audit could not ask: {last[:200]}")
    return judge(packages)


def judge(packages: list[dict[str, Any]]) -> int:
    """Return the exit status for what pip-audit said of each package."""
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        return tell_nothing_was_audited(f"the service knew none of {len(packages)} packages")
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            say(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped:
        say(f"not audited, unknown to the service: {', '.join(skipped)}")
    say(f"{len(audited)} packages audited, {len(vulnerable)} of them vulnerable")
    return 1 if vulnerable else 0


def tell_nothing_was_audited(reason: str) -> int:
    """Say it so that nobody takes it for an all-clear, in the log and on the page of the run."""
    sentence = f"NOTHING WAS AUDITED: {reason}"
    if os.environ.get("GITHUB_ACTIONS") == "true":
        say(f"::warning title=audit::{sentence}")
    say(sentence)
    return 0


def say(line: str) -> None:
    """Write one line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
