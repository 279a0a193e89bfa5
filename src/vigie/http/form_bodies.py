"""Form bodies, read into their fields, in either of the two encodings that forms have.

Source: the URL standard, 5.1, for `application/x-www-form-urlencoded`; RFC 7578 for `multipart/form-data`.
"""

from io import BytesIO
from urllib.parse import parse_qsl

FORM_FIELDS_MAX = 100

_MULTIPART = "multipart/form-data"
_HEADER_BYTES_MAX = 1024


def read_fields(body: bytes, content_type: str | None) -> list[tuple[str, str]]:
    """The fields of a form in their order. Raises ValueError when the body is no form.

    A body of any other content type, or of none, is read as `application/x-www-form-urlencoded`.
    """
    kind = (content_type or "")[:_HEADER_BYTES_MAX].strip()
    if kind.partition(";")[0].rstrip().lower() == _MULTIPART:
        return _parts(body, kind)
    return parse_qsl(
        body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"
    )


def _parts(body: bytes, content_type: str) -> list[tuple[str, str]]:
    # Loaded by the first such form; most clients send the other encoding.
    from multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    parser = MultipartParser(
        BytesIO(body),
        options.get("boundary", ""),
        headersize_limit=_HEADER_BYTES_MAX,
        part_limit=FORM_FIELDS_MAX,
        # No field goes to a file, however large the body.
        spool_limit=len(body) + 1,
    )
    return [(part.name, part.raw.decode("utf-8")) for part in parser]
