"""The cost of checking an RS256 signature by itself, on the servers' core."""

import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from time import process_time

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bench.callers import trust_of
from bench.processes import SERVER_CORE, pinned
from bench.results import ROOT
from bench.stores import Store


def measure_signature_check(tokens: Path, store: Store) -> float:
    """Microseconds of CPU for one check, by the library that Vigie uses too."""
    key = store.folder / "public-key.pem"
    key.write_bytes(trust_of(store).public_key)
    command = pinned(SERVER_CORE, [sys.executable, "-m", "bench.signature", tokens, key])
    completed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    cpu_us: float = json.loads(completed.stdout)
    return cpu_us


def _main(tokens: Path, key_file: Path) -> None:
    key = load_pem_public_key(key_file.read_bytes())
    assert isinstance(key, RSAPublicKey)
    signed = [_signed(token) for token in tokens.read_text(encoding="ascii").split()]
    began_seconds = process_time()
    for signature, text in signed:
        key.verify(signature, text, PKCS1v15(), SHA256())
    print(json.dumps((process_time() - began_seconds) / len(signed) * 1e6))


def _signed(token: str) -> tuple[bytes, bytes]:
    text, _, signature = token.rpartition(".")
    return urlsafe_b64decode(signature + "=" * (-len(signature) % 4)), text.encode()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
