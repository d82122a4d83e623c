"""Who acts and from where, as the audit names them."""

import os
import socket
from dataclasses import dataclass

ADDRESS_LENGTH = 255


@dataclass(frozen=True)
class Actor:
    """Whoever does what the audit keeps.

    Attributes
    ----------
    name : str
        ``user:<id>``, ``key:<id>``, ``anonymous``, or a program of ours such as ``command-line``.
    address : str
        From where: the address of the connection, or the account and the machine that a program runs on.
    """

    name: str
    address: str


def anonymous(address: str) -> Actor:
    """Return the actor behind a request that nobody has proved to have sent."""
    return Actor("anonymous", address)


def program(name: str) -> Actor:
    """Return a program of ours that acts by itself, or for whoever may run it on this machine.

    Parameters
    ----------
    name : str
        Such as ``command-line`` or ``sweeper``.
    """
    return Actor(name, f"uid {os.getuid()} on {socket.gethostname()}"[:ADDRESS_LENGTH])
