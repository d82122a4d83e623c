"""Whatever a reader does, its caller gets an answer or a refusal, and the next call works."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from imaging.errors import ScanError
from service.enclosure import (
    Answer,
    EnclosedFaultError,
    Enclosure,
    Limits,
    ReaderDiedError,
    ReaderMemoryError,
    ReaderTimeLimitError,
)
from tests.imaging.native.sources.series import write_series, zipped

FOLDER = Path(__file__).parent
LIMITS = Limits(memory_bytes=300 << 20, time_s=20, written_bytes=4 << 20)


@pytest.fixture(scope="module")
def enclosure() -> Iterator[Enclosure]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FOLDER))
        patch.setenv("RESTNET_DATABASE_URL", "postgresql+psycopg://user:secret@host/name")
        opened = Enclosure("enclosed_tasks")
        yield opened
        opened.close()


def run(enclosure: Enclosure, task: str, *files: Any, limits: Limits = LIMITS, **arguments: Any) -> Answer:
    return enclosure.run(f"enclosed_tasks:{task}", *files, arguments=arguments, limits=limits)


def still_works(enclosure: Enclosure) -> bool:
    with Path(__file__).open("rb") as file:
        return run(enclosure, "count", file, times=1).values["bytes"] == Path(__file__).stat().st_size


def test_an_answer_comes_back_with_its_bytes_and_news_on_the_way(
    enclosure: Enclosure, tmp_path: Path
) -> None:
    given, written = tmp_path / "given", tmp_path / "written"
    given.write_bytes(b"scan" * 1000)
    heard = []
    with given.open("rb") as file:
        answer = enclosure.run(
            "enclosed_tasks:count",
            file,
            arguments={"times": 2},
            limits=LIMITS,
            progress=lambda stage, fraction: heard.append((stage, fraction)),
        )
    assert answer.values == {"bytes": 8000, "prepared": "yes"}
    assert heard == [("counting", 0.5)]
    with given.open("rb") as file, written.open("wb") as target:
        copied = run(enclosure, "copy", file, target)
    assert copied.array is not None
    assert (bytes(copied.array), written.read_bytes()) == (b"scan" * 1000, b"scan" * 1000)
    # What the caller does with its own view is its own affair.
    copied.array[0:4] = b"mine"


def test_what_is_handed_out_on_the_way_is_there_although_the_child_ends(enclosure: Enclosure) -> None:
    notes: list[bytes] = []

    def hand_out(sizes: list[int]) -> Answer:
        return enclosure.run(
            "enclosed_tasks:hand_out", arguments={"sizes": sizes}, limits=LIMITS, note=notes.append
        )

    # More than a message may hold.
    with pytest.raises(ReaderDiedError, match="SIGSEGV"):
        hand_out([3, 1 << 20, 200_000])
    assert [(note[0], len(note)) for note in notes] == [(0, 3), (1, 1 << 20), (2, 200_000)]
    notes.clear()
    assert hand_out([1] * 40).values["files"] < 20, "a child that hands out much runs out of files"
    assert len(notes) == 40


def test_what_is_too_large_for_a_note_is_not_taken(enclosure: Enclosure) -> None:
    notes: list[bytes] = []
    roomy = Limits(memory_bytes=300 << 20, time_s=20, written_bytes=64 << 20)
    with pytest.raises(ReaderDiedError, match="a message that no reader sends"):
        enclosure.run(
            "enclosed_tasks:hand_out", arguments={"sizes": [9 << 20]}, limits=roomy, note=notes.append
        )
    assert notes == []
    assert still_works(enclosure)


def test_a_refusal_keeps_its_code_its_words_and_its_details(enclosure: Enclosure) -> None:
    with pytest.raises(ScanError, match="expected a whole file, found nan of one") as refusal:
        run(enclosure, "refuse")
    assert (refusal.value.code, refusal.value.details()) == ("torn", {"found": "nan"})


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_names_its_signal(enclosure: Enclosure, number: signal.Signals) -> None:
    with pytest.raises(ReaderDiedError) as died:
        run(enclosure, "crash", number=int(number))
    assert died.value.details() == {"found": number.name}
    assert still_works(enclosure)


def test_an_exit_without_a_word_is_told(enclosure: Enclosure) -> None:
    with pytest.raises(ReaderDiedError, match="exit status 7"):
        run(enclosure, "leave")


def test_memory_has_an_end(enclosure: Enclosure) -> None:
    began = time.monotonic()
    with pytest.raises(ReaderMemoryError) as refusal:
        run(enclosure, "take_memory")
    assert refusal.value.details() == {"limit_bytes": LIMITS.memory_bytes}
    assert time.monotonic() - began < 10
    assert still_works(enclosure)


@pytest.mark.parametrize("task", ["take_processor", "take_time", "ignore_signals"])
def test_time_has_an_end(enclosure: Enclosure, task: str) -> None:
    limits = Limits(memory_bytes=LIMITS.memory_bytes, time_s=1, written_bytes=0)
    began = time.monotonic()
    with pytest.raises(ReaderTimeLimitError) as refusal:
        run(enclosure, task, limits=limits)
    assert refusal.value.details() == {"limit_s": 1}
    assert time.monotonic() - began < 5
    assert still_works(enclosure)


def test_processor_time_is_counted_by_the_kernel(enclosure: Enclosure) -> None:
    """Two threads that compute use up their second in half of one: the clock alone would not notice."""
    program = f"""
import resource, signal, sys
sys.path.insert(0, {str(FOLDER)!r})
from service.enclosure.limits import Limits, impose
impose(Limits(memory_bytes=1 << 28, time_s=0.5, written_bytes=0))
while True: pass
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=20, check=False)
    assert ended.returncode == -signal.SIGXCPU


def test_what_is_written_has_an_end(enclosure: Enclosure, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with target.open("wb") as file, pytest.raises(OSError, match="File too large"):
        run(enclosure, "fill_the_disk", file)
    assert target.stat().st_size <= LIMITS.written_bytes


def test_a_fault_of_ours_keeps_its_traceback_for_the_log(enclosure: Enclosure) -> None:
    with pytest.raises(EnclosedFaultError, match="KeyError: 'a fault of ours'"):
        run(enclosure, "fail")


def test_whoever_asks_can_stop_at_once(enclosure: Enclosure) -> None:
    class CancelledError(Exception):
        pass

    children = children_of(enclosure)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise CancelledError

    began = time.monotonic()
    with pytest.raises(CancelledError):
        enclosure.run("enclosed_tasks:take_time", arguments={}, limits=LIMITS, check=check)
    assert time.monotonic() - began < 2
    until(lambda: children_of(enclosure) == children == [])


def test_a_child_knows_no_setting_and_holds_nothing_open(enclosure: Enclosure) -> None:
    told = run(enclosure, "describe").values
    assert [name for name in told["environment"] if "RESTNET" in name or "SECRET" in name.upper()] == []
    # Three streams, the channel, and the listing itself.
    assert told["files"] == 5
    assert told["core"] == [0, 0]
    assert "pytest" not in told["main"]
    server = psutil.Process(told["parent"])
    assert "secret" not in json.dumps(server.environ())


def test_memory_that_a_child_gave_back_is_not_new_to_it(enclosure: Enclosure) -> None:
    first, again = run(enclosure, "touch").values["touched"]
    assert again <= 4 < first


@pytest.mark.parametrize(
    "packet",
    [
        "no json",
        "[]",
        '{"answer": []}',
        '{"refusal": {"code": 1}}',
        '{"refusal": {"code": "Robert\'); DROP TABLE", "message": "", "details": {}}}',
        '{"progress": ["x"]}',
        "[" * 100_000,
        '{"answer": {}}' + " " * 200_000,
    ],
)
def test_nonsense_is_no_answer(enclosure: Enclosure, packet: str) -> None:
    told = packet.rstrip()
    with pytest.raises(ReaderDiedError, match="a message that no reader sends"):
        run(enclosure, "say", packet=told, spaces=len(packet) - len(told))
    assert still_works(enclosure)


def test_a_request_over_the_cap_reaches_nobody(enclosure: Enclosure) -> None:
    server = run(enclosure, "describe").values["parent"]
    with pytest.raises(ValueError, match="expected a message of at most 131072 bytes"):
        run(enclosure, "say", packet=" " * 140_000, spaces=0)
    assert run(enclosure, "describe").values["parent"] == server


def test_bytes_that_could_still_change_are_not_looked_at(enclosure: Enclosure) -> None:
    with pytest.raises(ReaderDiedError, match="could still change"):
        run(enclosure, "hand_over")


def test_a_server_that_was_killed_comes_back(enclosure: Enclosure) -> None:
    server = psutil.Process(run(enclosure, "describe").values["parent"])
    server.kill()
    until(lambda: server.status() == psutil.STATUS_ZOMBIE)
    assert still_works(enclosure)
    assert run(enclosure, "describe").values["parent"] != server.pid


def test_threads_share_one(enclosure: Enclosure) -> None:
    answers: list[float] = []

    def work(times: int) -> None:
        with Path(__file__).open("rb") as file:
            answers.append(run(enclosure, "count", file, times=times).values["bytes"])

    threads = [threading.Thread(target=work, args=(times,)) for times in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    size = Path(__file__).stat().st_size
    assert sorted(answers) == [size * times for times in range(20)]
    until(lambda: children_of(enclosure) == [])


def test_a_caller_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
from service.enclosure import Enclosure, Limits
enclosure = Enclosure("enclosed_tasks")
def tell(*_):
    print(enclosure._server.pid, flush=True)
limits = Limits(memory_bytes=1 << 30, time_s=600, written_bytes=0)
enclosure.run("enclosed_tasks:take_time", arguments={{}}, limits=limits, progress=tell)
"""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=FOLDER.parents[2],
        text=True,
    ) as caller:
        assert caller.stdout is not None
        server = psutil.Process(int(caller.stdout.readline()))
        [child] = server.children()
        caller.kill()
    until(
        lambda: not any(process.is_running() and process.status() != "zombie" for process in (server, child))
    )


def children_of(enclosure: Enclosure) -> list[psutil.Process]:
    assert enclosure._server is not None
    return psutil.Process(enclosure._server.pid).children()


def until(holds: Any, *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_series_is_converted_inside(enclosure: Enclosure, tmp_path: Path) -> None:
    packed = zipped(write_series(tmp_path / "series"), tmp_path / "series.zip")
    (tmp_path / "work").mkdir()
    with packed.open("rb") as file:
        answer = run(enclosure, "take_in_run", file, work=str(tmp_path / "work")).values
    assert (answer["origin"], answer["left"], answer["open_files"]) == ("dicom", ["bold.nii"], 32)


def test_a_conversion_that_may_not_write_so_much_is_refused(enclosure: Enclosure, tmp_path: Path) -> None:
    packed = zipped(write_series(tmp_path / "series"), tmp_path / "series.zip")
    (tmp_path / "work").mkdir()
    few = Limits(memory_bytes=300 << 20, time_s=20, written_bytes=10_000)
    with packed.open("rb") as file, pytest.raises(ScanError) as refusal:
        run(enclosure, "take_in_run", file, limits=few, work=str(tmp_path / "work"))
    assert refusal.value.code == "dicom_conversion_failed"
    assert list((tmp_path / "work").iterdir()) == []
    assert still_works(enclosure)
