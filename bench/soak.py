"""Tokens issued and used by the thousand, and the memory of the server meanwhile: `python -m bench.soak --help`.

Each token is fetched with the secret, used once and thrown away; the server remembers as many as it is set to, and
then no more. Ends with 1 if its memory still grows when it remembers all it may.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from tests.support.foreign_issuers import foreign_issuer

from bench.serving import Target, memory_mib, pin, served

REMEMBERED = 10_000
SAMPLES = 20


def main() -> None:
    """Issue, use, print the memory, and judge it."""
    options = _options()
    with (
        foreign_issuer() as issuer,
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), issuer) as target,
    ):
        pin(1)
        samples = _soak(target, options.tokens)
    full = [memory for count, memory in samples if count > REMEMBERED * 1.2] or [samples[-1][1]]
    growth = full[-1] - full[0]
    print(f"grown by {growth:.1f} MiB since {REMEMBERED:,} are remembered")
    sys.exit(int(growth > options.growth))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--tokens", type=int, default=30_000, help="how many tokens")
    parser.add_argument("--growth", type=float, default=4.0, help="how many MiB it may grow when it is full")
    return parser.parse_args()


def _soak(target: Target, count: int) -> list[tuple[int, float]]:
    """The memory after so many tokens, from time to time."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    samples = []
    began = time.monotonic()
    for number in range(1, count + 1):
        token = _fetch(connection, target)
        _use(connection, target, token)
        if number % (count // SAMPLES) == 0:
            samples.append((number, memory_mib(target.pid)))
            rate = number / (time.monotonic() - began)
            print(f"{number:>7,} tokens  {samples[-1][1]:>6.1f} MiB  {rate:>5.0f}/s", flush=True)
    connection.close()
    return samples


def _fetch(connection: http.client.HTTPConnection, target: Target) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": target.client_id,
        "client_secret": target.secret,
        "scope": "https://api.security.microsoft.com/.default",
    }
    connection.request("POST", f"/{target.tenant}/oauth2/v2.0/token", urlencode(form))
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return str(json.loads(answer.read())["access_token"])


def _use(connection: http.client.HTTPConnection, target: Target, token: str) -> None:
    connection.request(
        "GET", f"/api/incidents/{target.incident}", headers={"Authorization": f"Bearer {token}"}
    )
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    answer.read()


if __name__ == "__main__":
    main()
