import os
import threading
from pathlib import Path
from queue import Empty
from statistics import median
from threading import Timer
from time import monotonic

import pytest
from kombu import Connection, Consumer, Message

from service.embedded import filebroker


def connect(folder: Path) -> Connection:
    return Connection(
        "filesystem://localhost",
        transport="service.embedded.filebroker:Transport",
        transport_options=filebroker.prepare(folder),
    )


def test_messages_leave_in_order_and_once(tmp_path: Path) -> None:
    with connect(tmp_path) as first, connect(tmp_path) as second:
        out, one, two = (c.SimpleQueue("inference") for c in (first, first, second))
        for number in range(4):
            out.put(number)
        received = [queue.get(block=False) for queue in (one, two, one, two)]
        assert [message.payload for message in received] == [0, 1, 2, 3]
        for message in received:
            message.ack()
        with pytest.raises(Empty):
            one.get(block=False)
    assert list((tmp_path / "taken").iterdir()) == []


def test_half_a_message_is_passed_over(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        queue = connection.SimpleQueue("inference")
        queue.put("whole")
        for text in ("", '{"body": "ha'):
            (tmp_path / "messages" / f"0000_{len(text)}.inference.msg").write_text(text)
        (tmp_path / "messages" / "unfinished.part").write_text("{")
        message = queue.get(block=False)
        assert message.payload == "whole"
        message.ack()


def test_what_a_stopping_consumer_has_not_done_goes_back(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        connection.SimpleQueue("inference").put("job")
        connection.SimpleQueue("inference").get(block=False)
    assert len(list((tmp_path / "messages").iterdir())) == 1


def test_many_may_declare_the_same_queue_at_once(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def declare(number: int) -> None:
        try:
            with connect(tmp_path) as connection:
                for turn in range(10):
                    connection.SimpleQueue(f"queue-{turn}").put(number)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=declare, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list((tmp_path / "messages").iterdir())) == 40


def test_only_what_a_killed_consumer_left_long_ago_is_removed(tmp_path: Path) -> None:
    filebroker.prepare(tmp_path)
    old, new = tmp_path / "taken" / "old", tmp_path / "taken" / "new"
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    filebroker.prepare(tmp_path)
    assert list((tmp_path / "taken").iterdir()) == [new]


def test_a_deleted_queue_leaves_no_message(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        queue = connection.SimpleQueue("inference")
        queue.put("job")
        channel = connection.channel()
        assert ("inference", "", "inference") in [tuple(row) for row in channel.get_table("inference")]
        channel.queue_delete("inference")
        assert channel.get_table("inference") == []
    assert list((tmp_path / "messages").iterdir()) == []


def test_the_next_message_hardly_waits_for_the_one_before_it_to_be_done(tmp_path: Path) -> None:
    """A worker takes one message at a time: what it loses between two jobs, it loses at each of them."""
    with connect(tmp_path) as connection:
        queue = connection.SimpleQueue("inference")
        for number in range(11):
            queue.put(number)
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        done: list[float] = []
        waits: list[float] = []

        def work(message: Message) -> None:
            if done:
                waits.append(monotonic() - done[-1])

            def finish() -> None:
                done.append(monotonic())
                message.ack()

            Timer(0.01, finish).start()

        with Consumer(channel, [queue.queue], on_message=work):
            while len(waits) < 10:
                connection.drain_events(timeout=2)
    assert median(waits) < 0.12
