"""A refusal on a page: by its code where its language has a sentence for that, else in the service's own.

Programs react to codes and read English. A person's page says in its own language what the code means, with
the refusal's figures; what these words leave out stands behind them in the service's own.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from service.api.problems.remedies import REMEDIES
from service.api.problems.remedies import remedy as english_remedy
from service.web.language import Language, _, current, marked, pgettext

# The context of a sentence in the catalogues, where it is found by the code and not by an English sentence:
# those are written where the refusals are, with their values in them.
CONTEXT = "refusal"
PLACE = re.compile(r"%\((\w+)\)s")

# Those that an upload meets, beside those with a remedy.
MET_BY_UPLOADS = (
    "bad_request",
    "encryption_key_missing",
    "permission_denied",
    "request_too_large",
    "route_not_found",
    "tus_version_not_supported",
)

# What refusals have found, where it is a word.
VALUES = (
    marked("a DICOM file"),
    marked("a PNG picture"),
    marked("a JPEG picture"),
    marked("a TIFF picture"),
    marked("a zip archive"),
    marked("a 7z archive"),
    marked("a tar archive"),
    marked("a file compressed twice"),
    marked("a bzip2 file"),
    marked("an xz file"),
    marked("a zstd file"),
    marked("an HDF5 file (MINC 2 or MATLAB)"),
    marked("a netCDF file (MINC 1)"),
    marked("an NRRD image"),
    marked("a MATLAB file"),
    marked("a PDF document"),
    marked("a FreeSurfer MGH/MGZ image"),
    marked("text"),
    marked("bytes without a header that we know, such as the .img half of a .hdr/.img pair"),
    marked("no unit"),
    marked("header"),
    marked("samples"),
    marked("samples and the end of their gzip stream"),
    marked("anywhere"),
    marked("inside the brain"),
    marked("beyond a straight line"),
    marked("queued"),
    marked("preprocessing"),
    marked("classifying"),
    marked("explaining"),
    marked("succeeded"),
    marked("failed"),
    marked("cancelled"),
)


@dataclass(frozen=True)
class Told:
    """A refusal in the words of a page.

    Attributes
    ----------
    said : str
    technical : str
        The service's own sentence where it says more than ``said``; else empty.
    remedy : str
        What a person can do; empty where there is no more to say.
    """

    said: str
    technical: str
    remedy: str


def told(code: str, message: str, details: Mapping[str, Any] | None = None) -> Told:
    """Put a refusal into the words of the page.

    Parameters
    ----------
    code, message : str
        As the service gives them.
    details : mapping or None
        Its figures by name.
    """
    english = english_remedy(code)
    remedy = _(english) if english else ""
    found = details or {}
    template = refusal_template(code)
    places = set(PLACE.findall(template or ""))
    if template is None or not places <= found.keys():
        return Told(message, "", remedy)
    said = PLACE.sub(lambda place: _written(found[place[1]]), template)
    return Told(said, message if found.keys() - places else "", remedy)


def refusal_template(code: str) -> str | None:
    """Return the sentence of a code with its places; None where there is only the service's own."""
    template = pgettext(CONTEXT, code)
    return None if template == code else template


def refusal_words(found_by_page: Collection[str]) -> dict[str, Any]:
    """Return what the scripts say of refusals: sentences by code, the values in them, and the remedies.

    Parameters
    ----------
    found_by_page : collection of str
        Codes that a script finds itself: for the others the service sends what English pages say.
    """
    if current() == Language.ENGLISH:
        return {"remedies": {code: REMEDIES[code] for code in found_by_page}}
    remedies = {code: _(words) for code, words in REMEDIES.items()}
    codes = (*REMEDIES, *MET_BY_UPLOADS)
    templates = {code: template for code in codes if (template := refusal_template(code))}
    values = {value: _(value) for value in VALUES}
    return {"remedies": remedies, "refusals": templates, "values": values}


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " \N{MULTIPLICATION SIGN} ".join(_written(one) for one in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _(str(value)) if value else ""
    return f"{round(value, 3):,}".removesuffix(".0")
