"""Instructions for trusting the private certificate authority."""

from collections.abc import Iterator

from vigie.runtime.tls_setup import LocalAuthority


def how_to_trust(authority: LocalAuthority) -> Iterator[str]:
    """Lines for a terminal; all of them when clients have to be changed."""
    file = authority.file.absolute()
    if authority.set_aside:
        yield "NEW CERTIFICATE AUTHORITY: the former one has expired or does not cover these names"
        yield f"Every client must trust the new one. Former files: {', '.join(map(str, authority.set_aside))}"
    if not authority.is_new:
        yield f"Clients must trust {file}; see docs/tls.md"
        return
    yield f"Clients must trust {file} (SHA-256 {authority.sha256})"
    yield f"It can sign for {authority.names} and for their subdomains"
    yield f"  Python      REQUESTS_CA_BUNDLE={file} (requests, msal), SSL_CERT_FILE={file} (httpx, aiohttp)"
    yield f"  Node        NODE_EXTRA_CA_CERTS={file}"
    yield f"  curl        curl --cacert {file}"
    yield f"  PowerShell  Import-Certificate -FilePath {file} -CertStoreLocation Cert:\\CurrentUser\\Root"
    yield f"              on Linux SSL_CERT_FILE={file}"
