"""Messages between an enclosure and its processes: JSON in packets under a cap, with open files beside it."""

import json
import os
import socket
from typing import Any

# The figures about a scan of 4096 frames take 40 KB.
MAXIMUM_BYTES = 128 * 1024
_MAXIMUM_FILES = 8


class ChannelClosedError(Exception):
    """The other side is gone."""


class NonsenseError(Exception):
    """The other side says what no process of ours says."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel; neither is inherited by a program that is started."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], *, files: tuple[int, ...] = ()) -> None:
    """Send one message.

    Raises
    ------
    OSError
        If the other side is gone.
    ValueError
        If the message is over the cap.
    """
    packet = json.dumps(message).encode()
    if len(packet) > MAXIMUM_BYTES:
        raise ValueError(f"expected a message of at most {MAXIMUM_BYTES} bytes, found {len(packet)}")
    if files:
        socket.send_fds(channel, [packet], list(files))
    else:
        channel.sendall(packet)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive one message, and the open files that came with it, which are then the caller's to close.

    Raises
    ------
    ChannelClosedError
        If there is none any more.
    NonsenseError
        If it is no JSON object under the cap.
    """
    try:
        packet, files, flags, _ = socket.recv_fds(channel, MAXIMUM_BYTES, _MAXIMUM_FILES)
    except OSError as error:
        raise ChannelClosedError from error
    if not packet:
        raise ChannelClosedError
    try:
        whole = not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        message = json.loads(packet) if whole else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        close(files)
        raise NonsenseError
    return message, files


def close(files: list[int]) -> None:
    """Close files that came with a message."""
    for file in files:
        os.close(file)
