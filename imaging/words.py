"""How a sentence writes a count, and text that somebody else wrote: a file's name, a table's cell."""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun, for example ``1 scan`` and ``2 scans``."""
    return f"{n} {noun if n == 1 else plural or f'{noun}s'}"


def printable(text: str) -> str:
    r"""Write a text as one line that a terminal shows as it is.

    A line feed could pass for a line of ours, an escape sequence erase one, and a mark of direction turn a
    name round: whatever does not print is shown by its code, as Python writes it.

    Examples
    --------
    >>> print(printable("a\nb\x1b[2J"))
    a\nb\x1b[2J
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def encodable(text: str) -> str:
    r"""Write a text so that it can be stored as UTF-8.

    Names of files are bytes; those that are not UTF-8 reach Python as lone surrogates, which no encoding has.

    Examples
    --------
    >>> print(encodable("caf\udce9"))
    caf\udce9
    """
    return text.encode(errors="backslashreplace").decode()
