"""The HTTP client for documents of issuers: small, within seconds, over HTTPS, without redirects.

Loaded only where other issuers are trusted: the HTTP client costs 60 ms of a start.
"""

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from vigie.core.url_policy import is_loopback
from vigie.files.trust import UntrustedFile, check_public
from vigie.identity.federation.jwks_cache import FetchFailed

BYTES_MAX = 256 * 1024
SECONDS_MAX = 5.0

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Vigie"}


async def fetch(url: str, ca: str) -> bytes:
    """The body of an answer 200. Raises FetchFailed.

    Redirects are not followed. `ca` is a file of certificates to trust instead of the system's; empty: those.
    """
    try:
        async with asyncio.timeout(SECONDS_MAX):
            # On a thread: reading the system's certificates takes longer than a request may wait.
            trust = await asyncio.to_thread(_trusted_certificates, ca)
            return await _read(url, trust)
    except TimeoutError as error:
        raise FetchFailed(f"{url} did not answer within {SECONDS_MAX:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, UntrustedFile, OSError) as error:
        raise FetchFailed(f"{url}: {_in_words(error)}") from error


def _trusted_certificates(ca: str) -> ssl.SSLContext:
    if ca:
        check_public(Path(ca))
    return ssl.create_default_context(cafile=ca or None)


async def _read(url: str, trust: ssl.SSLContext) -> bytes:
    # A proxy that is set for the world outside does not know this machine by these names.
    is_inside = is_loopback(urlsplit(url).hostname or "")
    async with (
        httpx2.AsyncClient(
            verify=trust, timeout=SECONDS_MAX, follow_redirects=False, trust_env=not is_inside
        ) as client,
        client.stream("GET", url, headers=_HEADERS) as answer,
    ):
        if answer.status_code != httpx2.codes.OK:
            raise FetchFailed(f"{url} answered {answer.status_code}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise FetchFailed(f"{url} answered in an encoding that was not asked for")
        pieces = bytearray()
        async for piece in answer.aiter_raw():
            pieces += piece
            if len(pieces) > BYTES_MAX:
                raise FetchFailed(f"{url} answered more than {BYTES_MAX} bytes")
        return bytes(pieces)


def _in_words(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
