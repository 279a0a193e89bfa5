"""Reads the body of a form into its fields, in either of the two encodings that forms have.

Source: the URL standard, 5.1, for `application/x-www-form-urlencoded`; RFC 7578, and RFC 2046, 5.1.1, for
`multipart/form-data`.
"""

from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value
from urllib.parse import parse_qsl

FORM_FIELDS_MAX = 100

_MULTIPART = "multipart/form-data"
# The standard library takes time that grows with the square of the length to read the parameters of a header.
_HEADERS_BYTES_MAX = 1024


def read_fields(body: bytes, content_type: str | None) -> list[tuple[str, str]]:
    """The fields of a form in their order. Raises ValueError when the body is no form.

    A body of any other content type, or of none, is read as `application/x-www-form-urlencoded`.
    """
    header = Message()
    header["content-type"] = (content_type or "")[:_HEADERS_BYTES_MAX]
    if header.get_content_type() == _MULTIPART:
        return _parts(body, header.get_boundary() or "")
    return parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"
    )


def _parts(body: bytes, boundary: str) -> list[tuple[str, str]]:
    if not boundary:
        raise ValueError("the content type names no boundary")
    delimiter = f"\r\n--{boundary}".encode("latin-1")
    _, *parts = (b"\r\n" + body).split(delimiter, FORM_FIELDS_MAX + 2)
    ends = [index for index, part in enumerate(parts) if part.startswith(b"--")]
    if not ends or ends[0] > FORM_FIELDS_MAX:
        raise ValueError(f"no delimiter ends the form, or not within {FORM_FIELDS_MAX} fields")
    return [_field(part) for part in parts[: ends[0]]]


def _field(part: bytes) -> tuple[str, str]:
    head, _, value = part.partition(b"\r\n\r\n")
    if len(head) > _HEADERS_BYTES_MAX:
        raise ValueError(f"the headers of a field have more than {_HEADERS_BYTES_MAX} bytes")
    headers = BytesHeaderParser().parsebytes(head.lstrip())
    name = collapse_rfc2231_value(headers.get_param("name", "", "content-disposition"))
    if not name:
        raise ValueError("a field has no name")
    return name, value.decode("utf-8")
