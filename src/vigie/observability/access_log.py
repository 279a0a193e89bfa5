"""One JSON line for each answered request, and what none of them may say."""

import re
from itertools import count
from time import monotonic
from uuid import uuid4

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.observability.log_writer import LogWriter, WriteLine, counting_line, log_time

PATH_LENGTH_MAX = 200
DETAIL_LENGTH_MAX = 500
CONNECTION_LINES_PER_SECOND = 100

# Where a run of letters may be long, the match starts only where the run does: a hostile path is walked once.
_SECRET = re.compile(
    r"""  eyJ[\w-]+ (?:\.[\w-]*)*                         # a JWT, whole or cut
    | (?<=://) [^\s/?#]* (?P<at>@ [\w.,:%[\]-]*)      # who somebody is in a URL, and behind it where
    | (?<=://) (?P<host>[a-z\d.,:[\]_-]+)             # where alone: nothing that is random is in small letters
    | (?<![\w.+%-]) [\w.+%-]+ (?:@|%40) [\w.-]+     # a UPN or mail address
    | (?<![\w~-]) (?=[\w~-]*\d) [\w~-]{40,}         # a client secret, an opaque token
    """,
    re.VERBOSE,
)


class RequestIds:
    """Names requests by GUIDs: the first four groups are random, for the process, and the last one counts."""

    def __init__(self) -> None:
        self.prefix = str(uuid4())[:-12]
        self.next_number = count(1).__next__
        """A number no other request has, which stands behind `prefix` in twelve hexadecimal digits."""

    def next(self) -> str:
        """A GUID no other request has, such as `7d1f0c22-91ab-44e0-9c57-000000001a2b`."""
        return f"{self.prefix}{self.next_number():012x}"


class _AccessLogLine(msgspec.Struct, gc=False):
    """What a line says, in the order it says it. None is written as null: every line has every field."""

    time: str
    level: str
    event: str
    request_id: str
    client_request_id: str | None
    method: str
    api: str | None
    route: str
    path: str | None
    status: int
    duration_ms: float
    tenant: str | None
    application: str | None
    caller_kind: str | None
    remote: str | None
    refusal: str | None
    detail: str | None


_encoder = msgspec.json.Encoder()


class LogTemplate:
    """What lines of requests that are answered alike have in common, encoded once.

    Only the time, the number of the request's name, the digits behind `path` and how long it took may differ. The
    path is the route's own words: nothing in it needs to be escaped, cut or left out.
    """

    def __init__(
        self,
        *,
        id_prefix: str,
        client_request_id: str | None,
        method: str,
        api: str,
        route: str,
        path: str,
        status: int,
        tenant: str,
        application: str,
        caller_kind: str,
        remote: str | None,
    ) -> None:
        line = _AccessLogLine(
            time=_BLANK,
            level="info",
            event="request",
            request_id=f"{id_prefix}{_BLANK}",
            client_request_id=redacted(client_request_id) if client_request_id else None,
            method=method,
            api=api,
            route=route,
            path=f"{path}{_BLANK}",
            status=status,
            duration_ms=_BLANK_MS,
            tenant=tenant,
            # Of another issuer's application this may be any text, and a blank in it would be one too many.
            application=application.replace(_BLANK, "\ufffd"),
            caller_kind=caller_kind,
            remote=remote,
            refusal=None,
            detail=None,
        )
        text = _encoder.encode(line).decode().replace(_DURATION_TO_COME, f'"duration_ms":{_BLANK}') + "\n"
        pieces = [piece.replace("%", "%%").encode() for piece in text.split(_BLANK)]
        self._form = b"%b%%b%b%%012x%b%%b%b%%.3f%b" % tuple(pieces)

    def line(self, at: Instant, number: int, digits: bytes, seconds: float) -> bytes:
        """The line of one request."""
        return self._form % (log_time(at).encode(), number, digits, seconds * 1000)


_BLANK = "\ue000"
_BLANK_MS = -1.25
_DURATION_TO_COME = f'"duration_ms":{_BLANK_MS}'


class AccessLog:
    """Says of requests that they were answered. Nothing is encoded or written here: a `LogWriter` does that.

    Of what never became a request only the first CONNECTION_LINES_PER_SECOND in a second have a line:
    unauthenticated clients must not fill the disk. The others are counted, and reported in a line a second.

    `enabled` says whether the log's level lets info lines through. Answers of 500 and above are errors and
    are always written.
    """

    def __init__(self, writer: LogWriter, *, enabled: bool) -> None:
        self.writer = writer
        self._put = writer.put
        self._enabled = enabled
        self._connection_second = 0
        self._connection_lines = 0
        self._left_out = 0
        self._left_out_reported = 0
        self._left_out_reported_in = 0
        writer.reports.append(self._report_left_out)

    def record(
        self,
        *,
        at: Instant,
        request_id: str,
        method: str,
        route: str,
        path: str | None,
        status: int,
        seconds: float,
        api: str | None = None,
        tenant: str | None = None,
        application: str | None = None,
        caller_kind: str | None = None,
        remote: str | None = None,
        refusal: str | None = None,
        detail: str | None = None,
        client_request_id: str | None = None,
    ) -> None:
        """Say that a request was answered.

        `api` is the name of the API, None for none; `route` is the template; `path` comes without the query.
        `seconds` is how long the answer took. `refusal` is the code word of a refused request, `detail` why it
        was refused. `client_request_id` is short.
        """
        if not self._enabled and status < 500:
            return
        line = _AccessLogLine(
            time="",
            level="error" if status >= 500 else "info",
            event="request",
            request_id=request_id,
            client_request_id=client_request_id,
            method=method,
            api=api,
            route=route,
            # Cut here: what waits must be small, however long a path somebody sent.
            path=path and path[:PATH_LENGTH_MAX],
            status=status,
            duration_ms=seconds * 1000,
            tenant=tenant,
            application=application,
            caller_kind=caller_kind,
            remote=remote,
            refusal=refusal,
            detail=detail and detail[:DETAIL_LENGTH_MAX],
        )
        self._put(_encoded, (at, line))

    def record_again(
        self, wording: LogTemplate, at: Instant, number: int, digits: bytes, seconds: float
    ) -> None:
        """As `record`, for one more request whose line is worded like those before it."""
        if self._enabled:
            self._put(wording.line, (at, number, digits, seconds))

    def record_connection(
        self,
        *,
        at: Instant,
        request_id: str,
        route: str,
        status: int,
        remote: str | None,
        refusal: str,
        detail: str,
    ) -> None:
        """Say of what never became a request that it was answered, unless too many were in this second."""
        if self._connection_second != (second := at // TICKS_PER_SECOND):
            self._connection_second, self._connection_lines = second, 0
        self._connection_lines += 1
        if self._connection_lines > CONNECTION_LINES_PER_SECOND:
            self._left_out += 1
            return
        self.record(
            at=at,
            request_id=request_id,
            method="",
            route=route,
            path=None,
            status=status,
            seconds=0.0,
            remote=remote,
            refusal=refusal,
            detail=detail,
        )

    def _report_left_out(self, write_line: WriteLine) -> None:
        second, unreported = int(monotonic()), self._left_out - self._left_out_reported
        is_time = self.writer.is_stopping or second != self._left_out_reported_in
        if not (unreported and is_time and self._enabled):
            return
        if write_line(counting_line("connection_lines_dropped", left_out=unreported)):
            self._left_out_reported += unreported
            self._left_out_reported_in = second


def redacted(text: str) -> str:
    """The text without what looks like a token, a secret or somebody's address, and nothing a terminal obeys.

    Of a URL the hosts and their ports stay.
    """
    if not text.isprintable():
        # JSON escapes the ASCII ones by itself, but not those above.
        text = "".join(each if each.isprintable() or each < "\x80" else ascii(each)[1:-1] for each in text)
    if len(text) < 40 and "@" not in text and "%40" not in text and "eyJ" not in text:
        return text
    return _SECRET.sub(_removed, text)


def _removed(found: re.Match[str]) -> str:
    return found["host"] or f"[removed]{found['at'] or ''}"


def _encoded(at: Instant, line: _AccessLogLine) -> bytes:
    line.time = log_time(at)
    line.duration_ms = round(line.duration_ms, 3)
    line.detail = redacted(line.detail) if line.detail else None
    line.client_request_id = redacted(line.client_request_id) if line.client_request_id else None
    # The path of a token endpoint names whatever tenant or domain somebody typed.
    line.path = None if line.path is None or "/oauth2/" in line.route else redacted(line.path)
    try:
        return _encoder.encode(line) + b"\n"
    except UnicodeEncodeError:
        # Half a surrogate pair, out of a path or a header.
        fields = msgspec.structs.asdict(line)
        return _encoder.encode({key: _encodable(value) for key, value in fields.items()}) + b"\n"


def _encodable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
