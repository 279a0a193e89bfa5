"""What people are told about the authority: where it is, and how to make a client trust it."""

from collections.abc import Iterator

from vigie.runtime.tls_setup import LocalAuthority


def how_to_trust(authority: LocalAuthority) -> Iterator[str]:
    """Lines for a person, all of them when there is something to do."""
    file = authority.file.absolute()
    if authority.set_aside:
        yield "A NEW AUTHORITY: the one before was not made for these names, or has expired"
        yield f"Every client must trust the new one. The old one is in {', '.join(map(str, authority.set_aside))}"
    if not authority.is_new:
        yield f"Clients must trust {file}; docs/tls.md says how"
        return
    yield f"Clients must trust {file} (SHA-256 {authority.sha256})"
    yield f"It speaks for {authority.names}, and for host names below these"
    yield f"  Python      REQUESTS_CA_BUNDLE={file} (requests, msal), SSL_CERT_FILE={file} (httpx, aiohttp)"
    yield f"  Node        NODE_EXTRA_CA_CERTS={file}"
    yield f"  curl        curl --cacert {file}"
    yield f"  PowerShell  Import-Certificate -FilePath {file} -CertStoreLocation Cert:\\CurrentUser\\Root"
    yield f"              on Linux SSL_CERT_FILE={file}"
