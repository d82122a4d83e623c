"""What the page says of a file before it is sent, held to what the service says of it."""

import base64
import gzip
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from imaging.errors import ScanError
from imaging.scan import open_scan
from tests.browser.watching import watched_tab
from tests.browser.web_alone import Service

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]


def heads() -> Iterator[bytes]:
    """Starts of files, sound and not, and what chance makes of the sound ones."""
    yield from (b"x", b"text\n" * 200, b"\x89PNG" + bytes(600), bytes(128) + b"DICM" + bytes(300), bytes(600))
    yield from (
        "é".encode() * 300,
        struct.pack(">6i", 1, 3, 4, 5, 2, 3) + bytes(400),
        b"PK\x03\x04" + bytes(400),
    )
    yield from (b"\x1f\x8b", b"\x1f\x8bnot gzip at all" * 40)
    sound = []
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        for order in "<>":
            header = kind.header_class(endianness=order)
            image = kind(np.zeros((6, 5, 4, 24), np.int16), np.diag([4.0, 4, 4, 1]), header)
            image.header.set_xyzt_units("mm", "sec")
            image.header["pixdim"][4] = 2.2
            sound.append((image, bytes(image.to_bytes())))
    for image, content in sound:
        yield content
        yield content[:200]
        for name, values in {
            "datatype": (32, 128, 2304, 1792, 1536, 77, -1),
            "xyzt_units": (0, 2 + 16, 2 + 24, 2 + 32, 2 + 56),
            "intent_code": (3000, 3099, 3100),
        }.items():
            for value in values:
                yield changed(image, content, name, value)
        for tr in (0, 0.1, 6.25, 6.26, 2000, 2.2e6, 1e-7, -2, np.nan, np.inf, 1234.5678):
            pixdim = image.header["pixdim"].copy()
            pixdim[4] = tr
            yield changed(image, content, "pixdim", pixdim)
        for dim in (
            [3, 6, 5, 4, 1, 1, 1, 1],
            [4, 6, 5, 4, 19, 1, 1, 1],
            [5, 6, 5, 4, 24, 1, 1, 1],
            [5, 6, 5, 4, 24, 3, 1, 1],
            [0, 1, 1, 1, 1, 1, 1, 1],
            [9, 1, 1, 1, 1, 1, 1, 1],
            [4, 6, -5, 4, 24, 1, 1, 1],
            [7, 1, 1, 1, 1, 1, 1, 1],
        ):
            yield changed(image, content, "dim", dim)
        for magic in (b"ni1", b"ni2\0\r\n\x1a\n"[: image.header["magic"].dtype.itemsize], b"", b"abc"):
            yield changed(image, content, "magic", magic)
    chance = random.Random(5)  # noqa: S311  (the same files every time)
    for _ in range(400):
        _, content = chance.choice(sound)
        broken = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(540)] = chance.randrange(256)
        yield bytes(broken)


def changed(image: Any, content: bytes, name: str, value: Any) -> bytes:
    header = image.header.copy()
    header.structarr[name] = value
    raw = header.structarr.tobytes()
    return raw + content[len(raw) :]


INSPECT = """async (files) => {
  const { inspect } = await import("/static/nifti.js");
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return Promise.all(files.map((text) => inspect(new File([bytes(text)], "a.nii"))));
}"""


def compare_with_the_service(page: Page, contents: list[bytes], folder: Path) -> set[str]:
    """Hold what the page says of files to what the service says; gives the codes that the page named."""
    named = set()
    told = page.evaluate(INSPECT, [base64.b64encode(content).decode() for content in contents])
    for content, said in zip(contents, told, strict=True):
        path = folder / "a.nii"
        path.write_bytes(content)
        try:
            scan = open_scan(path)
        except ScanError as refusal:
            expected: dict[str, Any] = {"problem": {"code": refusal.code, "detail": str(refusal)}}
        else:
            size, frames = list(scan.shape[:3]), scan.shape[3]
            expected = {"found": {"size": size, "frames": frames, "trSeconds": pytest.approx(scan.tr_s)}}
        if "problem" in said:
            assert said == expected
            named.add(said["problem"]["code"])
        elif "found" in said and "found" in expected:
            assert said == expected
        else:
            # What the page cannot tell, or what only the service looks at.
            assert "found" not in expected or said == expected
    return named


def test_the_page_says_of_a_header_what_the_service_says(
    browser: Browser, running: Service, tmp_path: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        tab.log_in()
        contents = list(heads())
        named = compare_with_the_service(tab.page, contents, tmp_path)
        zipped = [gzip.compress(content) for content in contents if content]
        assert compare_with_the_service(tab.page, zipped, tmp_path) == named
        assert named == {
            "analyze_format",
            "bad_dimensions",
            "cifti",
            "colour_data",
            "complex_data",
            "data_incomplete",
            "implausible_repetition_time",
            "missing_repetition_time",
            "nifti_pair",
            "not_four_dimensional",
            "not_nifti",
            "too_few_frames",
            "unknown_data_type",
        }
        assert tab.complaints == []


@pytest.mark.real_data
def test_the_page_says_of_real_files_what_the_service_says(
    browser: Browser, running: Service, tmp_path: Path, shared_data: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        tab.log_in()
        files = [path for path in shared_data.rglob("*.nii*") if path.stat().st_size]
        # The page reads no more than the beginning.
        contents = [path.read_bytes()[: 1 << 20] for path in files]
        assert len(compare_with_the_service(tab.page, contents, tmp_path)) > 5
        assert tab.complaints == []
