"""How a count is written in a sentence."""


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun, for example ``1 scan`` and ``2 scans``."""
    return f"{n} {noun if n == 1 else plural or f'{noun}s'}"
