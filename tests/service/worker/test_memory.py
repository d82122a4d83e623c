import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from service.worker import memory
from service.worker.memory import available_memory_bytes, held_memory_bytes

MIB = 1 << 20


def test_the_memory_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = available_memory_bytes()
    assert whole > 0
    for name, text in (
        ("memory.max", "1000000"),
        ("memory.current", "700000"),
        ("memory.stat", "anon 1\ninactive_file 200000\n"),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert available_memory_bytes() == 500_000
    (tmp_path / "memory.max").write_text("max")
    assert available_memory_bytes() > 500_000


def test_a_process_holds_what_it_and_those_below_it_do_and_no_mapped_file() -> None:
    holding = "import sys; held = b'x' * (100 << 20); print(flush=True); sys.stdin.read()"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holding!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", below], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        held = held_memory_bytes(process.pid)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert held <= sum(one.memory_info().rss for one in family)
        assert held_memory_bytes(os.getpid()) >= held
    assert 100 * MIB < held < 140 * MIB
    assert held_memory_bytes(process.pid) == 0
