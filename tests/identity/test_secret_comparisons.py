"""Secrets are compared in constant time or found by their hash: held over the whole of the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import vigie

PROGRAM = Path(vigie.__file__).parent
SECRET = re.compile(r"secret|sha256|hash|verifier|challenge|digest|password|handle", re.IGNORECASE)

# Nothing of these is a secret that somebody guesses at. This may only get shorter.
NO_SECRETS = {
    # Everybody knows those of the demonstration.
    (
        "synthetic/sample_tenant.py",
        "ClientSecret(sha256=hash_secret(client.secret), expires_at=None) in kept",
    ),
    ("cli/secret_files.py", "secret == each.secret"),
    ("cli/passwords.py", "password != again"),
    ("identity/sign_in/authorization_requests.py", "fields.get('code_challenge_method') != 'S256'"),
    # The device groups of a reader, in what was opened with a key.
    ("api/vigie/places.py", "cursor.exposure != digest_of(reader.exposure)"),
    # Moments.
    ("identity/sign_in/service.py", "kept.changed_at == who.password_since"),
    ("storage/directory/credentials.py", "each.sha256 == certificate.sha256"),
    ("storage/directory/credentials.py", "digits in (certificate.sha256.hex(), certificate.sha1.hex())"),
}


def comparisons() -> Iterator[tuple[str, str]]:
    """Every comparison by value that names something secret; whether it is None is no comparison of it."""
    for source in PROGRAM.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and _compares_values(node) and SECRET.search(ast.unparse(node)):
                yield str(source.relative_to(PROGRAM)), ast.unparse(node)


def _compares_values(node: ast.Compare) -> bool:
    operators = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
    return any(isinstance(operator, operators) for operator in node.ops)


def test_no_secret_is_compared_letter_by_letter() -> None:
    assert set(comparisons()) == NO_SECRETS
