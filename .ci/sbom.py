"""Write what RestNet consists of as CycloneDX JSON: what it needs to run, as installed, and no tool.

python .ci/sbom.py build/sbom.cdx.json
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
# Validation against the schema takes five times as long as all the rest.
READ = ["--pyproject", str(PROJECT), "--output-reproducible", "--no-validate", "--spec-version", "1.6"]


def main(target: str) -> int:
    """Read the environment, keep what the project needs, write."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *READ, sys.executable]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  (our own tool)
    document = only_parts(json.loads(done.stdout), needed_by("restnet"))
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{target}: {len(document['components'])} components\n")
    return 0


def needed_by(project: str) -> set[str]:
    """Return the normalised names of a project's installed dependencies, and theirs.

    The tool's own graph follows every optional extra, and so counts pytest among what runs.
    """
    needed: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    ahead = [(project, frozenset({""}))]
    while ahead:
        name, extras = ahead.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            stated = requires(name) or []
        except PackageNotFoundError:
            # Asked for on another system only.
            continue
        needed.add(str(canonicalize_name(name)))
        for requirement in map(Requirement, stated):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                ahead.append((requirement.name, frozenset({"", *requirement.extras})))
    return needed


def only_parts(document: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Leave out of a document the components of other names, and what is said of them."""
    kept = [part for part in document["components"] if str(canonicalize_name(part["name"])) in names]
    refs = {part["bom-ref"] for part in kept} | {document["metadata"]["component"]["bom-ref"]}
    dependencies = [
        entry | {"dependsOn": [ref for ref in entry.get("dependsOn", []) if ref in refs]}
        for entry in document["dependencies"]
        if entry["ref"] in refs
    ]
    return document | {"components": kept, "dependencies": dependencies}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
