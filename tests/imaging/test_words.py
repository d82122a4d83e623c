import pytest

from imaging.words import counted, encodable, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich 東京.nii.gz", "Zürich 東京.nii.gz"),
        ("a\nall is well", r"a\nall is well"),
        ("a\r\tb\x00", r"a\r\tb\x00"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x9b31mred", r"\x9b31mred"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("one\u2028two\x85three", r"one\u2028two\x85three"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_whatever_does_not_print_is_shown_by_its_code(text, shown):
    assert printable(text) == shown


def test_a_name_that_is_no_text_can_be_stored():
    assert encodable("caf\udce9\n東京") == "caf\\udce9\n東京"
    assert encodable(b"sub-\xff".decode(errors="surrogateescape")).encode() == rb"sub-\udcff"


def test_a_number_stands_with_its_noun():
    assert [counted(n, "scan") for n in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
    assert counted(1, "simulated person", "simulated people") == "1 simulated person"
    assert counted(7, "simulated person", "simulated people") == "7 simulated people"
