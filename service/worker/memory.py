"""How much memory this machine, or this container, has to give, and what processes hold of it."""

from collections import defaultdict
from pathlib import Path

_PROCESSES = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_KIB = 1024


def available_memory_bytes() -> int:
    """Return what a new process may take: of the machine, and of the container where there is one."""
    found = [_KIB * _number(_fields(_PROCESSES / "meminfo")["MemAvailable"])]
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        # Pages of files are given back when somebody needs them.
        counted = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = int(dict(line.split() for line in counted).get("inactive_file", 0))
    except (OSError, ValueError):
        return found[0]
    if limit.isdecimal():
        found.append(max(int(limit) - used + cached, 0))
    return min(found)


def held_memory_bytes(process_id: int) -> int:
    """Return what would be free if a process and all below it ended; 0 for one that is not seen here."""
    below: dict[int, list[int]] = defaultdict(list)
    held: dict[int, int] = {}
    for folder in _PROCESSES.glob("[0-9]*"):
        try:
            fields = _fields(folder / "status")
            below[int(fields["PPid"])].append(int(folder.name))
            # Of a kernel's thread nothing is said. What is mapped from files is given back without an end.
            held[int(folder.name)] = _KIB * _number(fields.get("RssAnon", "0 kB"))
        except (OSError, KeyError):
            continue  # it has just ended
    waiting, found = [process_id], 0
    while waiting:
        one = waiting.pop()
        found += held.get(one, 0)
        waiting += below[one]
    return found


def _fields(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines)


def _number(said: str) -> int:
    return int(said.split(maxsplit=1)[0])
