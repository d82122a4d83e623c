"""What the tests run in an enclosure: functions that do what a reader must not."""

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imaging.errors import ScanError

Progress = Callable[[str, float], None]
Told = tuple[dict[str, Any], memoryview | None]


class TornError(ScanError):
    code = "torn"

    def __init__(self, *, found: float) -> None:
        self.found = found
        super().__init__(f"expected a whole file, found {found} of one")


def prepare_to_fork() -> None:
    os.environ["PREPARED"] = "yes"


def count(path: Path, *, times: int, progress: Progress) -> Told:
    progress("counting", 0.5)
    return {"bytes": times * len(path.read_bytes()), "prepared": os.environ.get("PREPARED")}, None


def copy(path: Path, target: Path, *, progress: Progress) -> Told:
    target.write_bytes(path.read_bytes())
    return {}, memoryview(path.read_bytes())


def hand_out(*, sizes: list[int], progress: Progress, note: Callable[[bytes], None]) -> Told:
    """Hand something out again and again, then crash, or answer where there was little of it."""
    for number, size in enumerate(sizes):
        note(bytes([number]) * size)
    progress("handed out", 1.0)
    if sum(sizes) < 100:
        return {"files": len(os.listdir("/proc/self/fd"))}, None  # noqa: PTH208
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}, None


def describe(*, progress: Progress) -> Told:
    return {
        "environment": sorted(os.environ),
        "main": getattr(sys.modules["__main__"], "__file__", ""),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "parent": os.getppid(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
    }, None


def touch(*, progress: Progress) -> Told:
    """Count what the kernel had to provide for memory that is taken, given back and taken again."""
    touched = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = bytearray(16 << 20)
        touched.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        del held
    return {"touched": touched}, None


def refuse(*, progress: Progress) -> Told:
    raise TornError(found=float("nan"))


def crash(*, number: int, progress: Progress) -> Told:
    os.kill(os.getpid(), number)
    return {}, None


def leave(*, progress: Progress) -> Told:
    os._exit(7)


def take_memory(*, progress: Progress) -> Told:
    held = []
    while True:
        held.append(bytearray(16 << 20))


def take_processor(*, progress: Progress) -> Told:
    while True:
        pass


def take_time(*, progress: Progress) -> Told:
    progress("sleeping", 0.0)
    time.sleep(600)
    return {}, None


def ignore_signals(*, progress: Progress) -> Told:
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    return take_processor(progress=progress)


def fill_the_disk(target: Path, *, progress: Progress) -> Told:
    with target.open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def fail(*, progress: Progress) -> Told:
    raise KeyError("a fault of ours")


def say(*, packet: str, spaces: int, progress: Progress) -> Told:
    """Write whatever the test says into the channel, as a reader that was taken over might."""
    with socket.socket(fileno=os.dup(own_channel())) as mouth:
        mouth.send(packet.encode() + spaces * b" ")
    time.sleep(600)
    return {}, None


def hand_over(*, progress: Progress) -> Told:
    """Answer with a file that could still be cut under its reader."""
    memory = os.memfd_create("open")
    os.write(memory, bytes(100))
    with socket.socket(fileno=os.dup(own_channel())) as mouth:
        socket.send_fds(mouth, [b'{"answer": {}}'], [memory])
    time.sleep(600)
    return {}, None


def own_channel() -> int:
    """Return the only socket that a child has."""
    return next(file for file in range(3, 32) if Path(f"/proc/self/fd/{file}").exists() and is_socket(file))


def is_socket(file: int) -> bool:
    return str(Path(f"/proc/self/fd/{file}").readlink()).startswith("socket:")


def take_in_run(scan: Path, *, work: str, progress: Progress) -> Told:
    """Make one run of what was handed over, dcm2niix and all, inside the limits."""
    from imaging.native.sources import take_in

    run = take_in(scan, Path(work), progress=progress)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        **run.to_json(),
        "left": sorted(path.name for path in Path(work).iterdir()),
        "open_files": limit[0],
    }, None
