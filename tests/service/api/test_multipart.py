"""The push parser: the same answer however the network cuts the body, and limits on what is not the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.edge.multipart import ScanForm
from service.api.problems.refusals import MediaTypeError, MultipartError, ScanMissingError

BOUNDARY = "line"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FIELDS = frozenset({"subject_id", "site"})


def part(name: str, content: bytes, *, filename: str | None = None, extra: str = "") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def read(content: bytes, *, sizes: list[int] | None = None) -> tuple[ScanForm, bytes, str]:
    form = ScanForm(TYPE, allowed_fields=FIELDS)
    taken, at = b"", 0
    for size in sizes or [len(content)]:
        taken += form.feed(content[at : at + size])
        at += size
    taken += form.feed(content[at:])
    return form, taken, form.finish()


@given(
    file=st.binary(max_size=300)
    | st.lists(st.sampled_from([b"\r\n--", b"line", b"--", b"\r", b"x"])).map(b"".join),
    sizes=st.lists(st.integers(1, 40), max_size=60),
)
def test_the_file_is_whole_however_the_body_is_cut(file: bytes, sizes: list[int]) -> None:
    if b"\r\n--line" in file or file.startswith(b"--line"):
        file = b"a boundary inside the file is the end of the file"
    whole = body(part("subject_id", b"P-1"), part("scan", file, filename="s.nii"), part("site", b"NYU"))
    form, taken, name = read(whole, sizes=sizes)
    assert (taken, name, form.fields) == (file, "s.nii", {"subject_id": "P-1", "site": "NYU"})


def test_browsers_names_are_read() -> None:
    _, _, name = read(body(part("scan", b"x", filename="scän %22a%22.nii")))
    assert name == 'scän "a".nii'


def test_what_comes_before_the_file_is_shown_before_it_is_taken() -> None:
    seen: list[dict[str, str]] = []
    form = ScanForm(TYPE, allowed_fields=FIELDS, before_file=lambda fields: seen.append(dict(fields)))
    form.feed(body(part("subject_id", b"P-1"), part("scan", b"x", filename="s.nii"), part("site", b"NYU")))
    assert seen == [{"subject_id": "P-1"}]


@pytest.mark.parametrize(
    "content",
    [
        body(part("scan", b"x", filename="a.nii"), part("scan", b"y", filename="b.nii")),
        body(part("unknown", b"x"), part("scan", b"x", filename="a.nii")),
        body(part("site", b"1"), part("site", b"2"), part("scan", b"x", filename="a.nii")),
        body(part("site", b"x" * 1025), part("scan", b"x", filename="a.nii")),
        body(part("site", b"\xff\xfe"), part("scan", b"x", filename="a.nii")),
        body(part("site", b"x", extra="X: " + "y" * 3000 + "\r\n")),
        body(part("site", b"x", extra="X: y\r\n" * 9)),
        body(b"--line\r\nContent-Type: text/plain\r\n\r\nx\r\n"),
        body(b"--line\r\nContent-Disposition: attachment; name=scan\r\n\r\nx\r\n"),
        part("scan", b"x", filename="a.nii"),
        part("scan", b"x", filename="a.nii") + b"--line",
        b"",
        b"no form at all",
    ],
)
def test_a_form_that_breaks_a_rule_is_refused(content: bytes) -> None:
    with pytest.raises(MultipartError, match="expected"):
        read(content)


def test_parts_are_counted() -> None:
    form = ScanForm(TYPE, allowed_fields=frozenset(f"f{number}" for number in range(20)))
    with pytest.raises(MultipartError, match="at most 16 parts"):
        form.feed(body(*(part(f"f{number}", b"x") for number in range(17))))


@pytest.mark.parametrize(
    "content",
    [
        body(part("site", b"x")),
        body(part("scan", b"text")),
        body(part("scan", b"x" * 5000)),
        body(part("scan", b"", filename="")),
    ],
)
def test_a_form_without_a_file_says_so(content: bytes) -> None:
    with pytest.raises(ScanMissingError):
        read(content)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("application/json", MediaTypeError),
        ("multipart/mixed; boundary=x", MediaTypeError),
        ("multipart/form-data", MultipartError),
        (f"multipart/form-data; boundary={'x' * 300}", MultipartError),
    ],
)
def test_a_body_of_another_kind_is_refused(kind: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ScanForm(kind, allowed_fields=FIELDS)
