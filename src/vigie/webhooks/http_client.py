"""The HTTP client of deliveries: it connects to no other address than the one it has checked, and follows nothing.

Loaded with the first webhook: the HTTP client costs 60 ms of a start.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from vigie.core.webhook_urls import (
    Address,
    InvalidWebhookUrl,
    Networks,
    check_address,
    check_webhook_url,
    host_of,
)
from vigie.core.webhooks import DeliveryResult, Outcome
from vigie.files.trust import UntrustedFile, check_public

ANSWER_BYTES_MAX = 16 * 1024
"""How much of an answer's body is read, so that the connection can be used again; a longer one ends it."""

_ANSWER_SECONDS_MAX = 1.0
_ADDRESSES_MAX = 4
_TRUST_SECONDS_MAX = 600.0
# Names are looked up on threads of their own: one that does not answer must not hold those of the server.
_RESOLVER_THREADS = 8
_USUAL_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": "Vigie",
}
_MAY_SAY_WHEN = (httpx2.codes.TOO_MANY_REQUESTS, httpx2.codes.SERVICE_UNAVAILABLE)

Resolve = Callable[[str, int], list[Address]]
"""The addresses of a host, on a thread. Raises OSError."""


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, in the order in which the system would try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # What stands behind a % is the zone of a link-local address.
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ip_address(text) for text in texts]


class WebhookClient:
    """Opens receivers. `private` are the private addresses that may be connected to, where a webhook says so too.

    `ca_file` has certificates to trust besides the system's; empty: none. Proxies of the environment are not used.
    """

    def __init__(
        self, *, private: Networks, ca_file: str, seconds_max: float, resolve: Resolve = resolve
    ) -> None:
        self._private = private
        self._ca_file = ca_file
        self._seconds_max = seconds_max
        self._resolve = resolve
        self._resolvers = ThreadPoolExecutor(_RESOLVER_THREADS, "webhook-names")
        self._trust: tuple[float, ssl.SSLContext] | None = None

    @asynccontextmanager
    async def receiver(self, url: str, *, allows_private: bool) -> AsyncIterator["Receiver"]:
        """A receiver, for some deliveries one after the other. Nothing is connected to before the first."""
        receiver = Receiver(self, url, allows_private=allows_private, seconds_max=self._seconds_max)
        try:
            yield receiver
        finally:
            await receiver.close()

    async def addresses_of(self, url: str, *, allows_private: bool) -> list[Address]:
        """The addresses that a URL leads to. Raises InvalidWebhookUrl if any is forbidden, or OSError."""
        private = self._private if allows_private else ()
        check_webhook_url(url, allows_private=allows_private, private=private)
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._resolvers, self._resolve, host_of(url), port)
        for address in found:
            check_address(address, scheme=parts.scheme, private=private)
        return found[:_ADDRESSES_MAX]

    async def trust(self) -> ssl.SSLContext:
        """The certificates that are trusted, read anew after some minutes. Raises UntrustedFile or OSError."""
        if self._trust is None or time.monotonic() - self._trust[0] > _TRUST_SECONDS_MAX:
            # On a thread: reading the system's certificates takes longer than a request may wait.
            self._trust = (time.monotonic(), await asyncio.to_thread(_trusted, self._ca_file))
        return self._trust[1]

    def close(self) -> None:
        """Let go of the threads."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)


class Receiver:
    """One receiver during one turn: its addresses are resolved and checked once, and no others connected to."""

    def __init__(self, client: WebhookClient, url: str, *, allows_private: bool, seconds_max: float) -> None:
        self._client = client
        self._url = url
        self._allows_private = allows_private
        self._seconds_max = seconds_max
        self._addresses: list[Address] = []
        self._transport: httpx2.AsyncHTTPTransport | None = None

    async def post(self, headers: Mapping[str, str], body: bytes) -> DeliveryResult:
        """Send one delivery, and say what became of it."""
        try:
            async with asyncio.timeout(self._seconds_max):
                return await self._post(headers, body)
        except (TimeoutError, httpx2.TimeoutException):
            return _unreachable(f"no answer within {self._seconds_max:g} s")
        except InvalidWebhookUrl as error:
            return DeliveryResult(outcome=Outcome.NOT_SENT, reason=str(error))
        except (httpx2.HTTPError, httpx2.InvalidURL, UntrustedFile, OSError) as error:
            return _unreachable(_in_words(error))

    async def close(self) -> None:
        """Close what is open."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _post(self, headers: Mapping[str, str], body: bytes) -> DeliveryResult:
        if self._transport is None:
            self._addresses = await self._client.addresses_of(self._url, allows_private=self._allows_private)
            self._transport = httpx2.AsyncHTTPTransport(
                verify=await self._client.trust(), trust_env=False, retries=0
            )
        failure: Exception = OSError("the host has no address")
        for address in list(self._addresses):
            try:
                result = await self._post_to(address, self._transport, headers, body)
            # Nothing has been sent: another address of the host may be reachable.
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
            else:
                self._addresses = [address]
                return result
        raise failure

    async def _post_to(
        self,
        address: Address,
        transport: httpx2.AsyncHTTPTransport,
        headers: Mapping[str, str],
        body: bytes,
    ) -> DeliveryResult:
        url = httpx2.URL(self._url)
        request = httpx2.Request(
            "POST",
            url.copy_with(host=str(address)),
            headers={"Host": url.netloc.decode("ascii"), **_USUAL_HEADERS, **headers},
            content=body,
            extensions={
                # The certificate is checked against the name, although an address is connected to.
                "sni_hostname": host_of(self._url),
                "timeout": {"connect": self._seconds_max / 3, "read": self._seconds_max},
            },
        )
        response = await transport.handle_async_request(request)
        try:
            result = _result(response)
            with suppress(TimeoutError, httpx2.HTTPError):
                async with asyncio.timeout(_ANSWER_SECONDS_MAX):
                    await _skip_body(response)
            return result
        finally:
            await response.aclose()


def _trusted(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        check_public(Path(ca_file))
        context.load_verify_locations(cafile=ca_file)
    return context


async def _skip_body(response: httpx2.Response) -> None:
    count = 0
    async for piece in response.aiter_raw():
        count += len(piece)
        if count > ANSWER_BYTES_MAX:
            return


def _result(response: httpx2.Response) -> DeliveryResult:
    status = response.status_code
    if 200 <= status < 300:
        return DeliveryResult(outcome=Outcome.DELIVERED)
    if 300 <= status < 400:
        return _rejected(f"answered {status}; redirects are not followed")
    if status == httpx2.codes.GONE:
        return DeliveryResult(
            outcome=Outcome.REJECTED, reason="answered 410: it wants no deliveries any more", is_gone=True
        )
    retry_after = response.headers.get("retry-after", "") if status in _MAY_SAY_WHEN else ""
    return _rejected(f"answered {status}", retry_after_seconds=_seconds(retry_after))


def _seconds(retry_after: str) -> int:
    """What `Retry-After` says, in seconds; 0 for nothing that can be read."""
    if retry_after.isascii() and retry_after.isdigit():
        return int(retry_after[:9])
    try:
        return max(0, round(parsedate_to_datetime(retry_after).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return 0


def _rejected(reason: str, *, retry_after_seconds: int = 0) -> DeliveryResult:
    return DeliveryResult(outcome=Outcome.REJECTED, reason=reason, retry_after_seconds=retry_after_seconds)


def _unreachable(reason: str) -> DeliveryResult:
    return DeliveryResult(outcome=Outcome.UNREACHABLE, reason=reason)


def _in_words(error: Exception) -> str:
    """Why nothing came back, without the URL, which may contain a secret, and without what was answered."""
    if isinstance(error, httpx2.RemoteProtocolError):
        # What came stands behind a colon.
        return str(error).partition(":")[0] or "its answer is no HTTP"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, socket.gaierror):
            return f"its host name cannot be resolved: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return str(error)[:200] or type(error).__name__
