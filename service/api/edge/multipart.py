"""A form with one scan in it, parsed as it arrives: the file's bytes pass through and are never kept here."""

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from imaging.native.sidecar import BadSidecarError
from service.api.payloads import MAX_SIDECAR_BYTES
from service.api.problems.refusals import MediaTypeError, MultipartError, ScanMissingError

SCAN_FIELD = "scan"
MAX_FIELD_BYTES = 1024
SIDECAR_FIELD = "sidecar"
MAX_PARTS = 16
MAX_HEADERS_PER_PART = 8
MAX_HEADER_BYTES = 2048


class ScanForm:
    """A push parser for ``multipart/form-data`` with small text fields, a file ``scan``, and a ``sidecar``.

    Parameters
    ----------
    content_type : str
        The request's Content-Type, with the boundary.
    allowed_fields : frozenset of str
        Names of the text fields; another name is refused, so that a misspelt one is not lost in silence.
    before_file : callable, optional
        Called with the text fields read so far when the file begins; it may raise to refuse the rest.

    Attributes
    ----------
    fields : dict of str to str
    file_name : str or None
        As the client named it, not yet cleaned.

    Raises
    ------
    MediaTypeError
        If the body is not ``multipart/form-data``.
    MultipartError
        If there is no usable boundary.
    """

    def __init__(
        self,
        content_type: str,
        *,
        allowed_fields: frozenset[str],
        before_file: Callable[[dict[str, str]], None] | None = None,
    ) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise MediaTypeError(sent=content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise MultipartError("expected a boundary in the Content-Type, found none")
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self._allowed_fields = allowed_fields
        self._before_file = before_file
        self._parts = 0
        self._ended = False
        self._in_file = False
        self._headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._field_name = ""
        self._is_named = False
        self._field_value = bytearray()
        self._file_bytes = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name_arrives,
                    "on_header_value": self._header_value_arrives,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._part_is_known,
                    "on_part_data": self._part_data_arrives,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
                max_header_count=MAX_HEADERS_PER_PART,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise MultipartError("expected a boundary of at most 256 bytes, found a longer one") from error

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the body and return those of them that belong to the file.

        Raises
        ------
        MultipartError
            If the body breaks the format or a limit.
        BadSidecarError
            If an empty file stands in the field ``sidecar``.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MultipartError(
                "expected a body in multipart/form-data, found one that breaks its rules"
            ) from error
        taken = bytes(self._file_bytes)
        self._file_bytes.clear()
        return taken

    def finish(self) -> str:
        """Close the form and return the file's name as the client gave it.

        Raises
        ------
        MultipartError
            If the body ended before its closing boundary.
        ScanMissingError
            If there was no file in the field ``scan``.
        """
        if not self._ended:
            raise MultipartError("expected the closing boundary of the form, found the end of the body")
        if not self.file_name:
            raise ScanMissingError
        return self.file_name

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MultipartError(f"expected at most {MAX_PARTS} parts, found more")
        self._headers.clear()
        self._field_value.clear()
        self._in_file = False

    def _header_name_arrives(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_arrives(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _part_is_known(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            raise MultipartError("expected each part to name its form field, found one that does not")
        self._field_name = options[b"name"].decode("utf-8", errors="replace")
        # Browsers send a file that nobody has chosen as one without a name.
        self._is_named = bool(options.get(b"filename"))
        if self._field_name == SCAN_FIELD:
            self._file_begins(options.get(b"filename"))
        elif self._field_name not in self._allowed_fields or self._field_name in self.fields:
            names = ", ".join(sorted(self._allowed_fields | {SCAN_FIELD}))
            raise MultipartError(
                f"expected the fields {names}, each at most once, found another or a second one"
            )

    def _file_begins(self, name: bytes | None) -> None:
        if name is None:
            # A text field called "scan" is not a file: refused as missing when the form ends.
            self._field_name = ""
            return
        if self.file_name is not None:
            raise MultipartError("expected one file, found a second one")
        self._in_file = True
        # Browsers send UTF-8 and escape the quotation mark as %22 (HTML standard, multipart encoding).
        self.file_name = name.decode("utf-8", errors="replace").replace("%22", '"')
        if self._before_file is not None:
            self._before_file(self.fields)

    def _part_data_arrives(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._file_bytes += data[start:end]
            return
        if not self._field_name:
            return
        if self._field_name == SIDECAR_FIELD:
            # With one byte too many it is seen to be too long; more are not kept.
            room = MAX_SIDECAR_BYTES + 1 - len(self._field_value)
            self._field_value += data[start : min(end, start + room)]
            return
        if len(self._field_value) + end - start > MAX_FIELD_BYTES:
            raise MultipartError(f"expected at most {MAX_FIELD_BYTES} bytes in a text field, found more")
        self._field_value += data[start:end]

    def _part_ends(self) -> None:
        if self._in_file or not self._field_name:
            return
        if self._field_name == SIDECAR_FIELD:
            if self._is_named and not self._field_value.strip():
                raise BadSidecarError(expected="JSON", found="an empty file")
            # Letters in another encoding stand in fields of it that are not read.
            self.fields[SIDECAR_FIELD] = self._field_value.decode("utf-8-sig", "replace")
            return
        try:
            self.fields[self._field_name] = self._field_value.decode()
        except UnicodeDecodeError as error:
            raise MultipartError("expected text fields in UTF-8, found other bytes") from error

    def _form_ends(self) -> None:
        self._ended = True
