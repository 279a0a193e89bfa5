"""Tokens by the hundred: once all that may be are remembered, nothing grows. `bench/soak.py` takes longer."""

import gc
from pathlib import Path

from tests.support.builders import an_incident
from tests.support.foreign_issuers import TrustingHouse, foreign_issuer, trusting
from tests.support.house import READ_ALL

REMEMBERED = 20
# So many that one thing left behind by each stands out from what a busy process holds for a while.
TOKENS = 400


def test_tokens_issued_and_used_keep_no_memory_once_the_cache_is_full(tmp_path: Path) -> None:
    with (
        foreign_issuer() as issuer,
        TrustingHouse(tmp_path, trusting(issuer), token_cache_size=REMEMBERED) as trusted,
    ):
        application, secret = trusted.house.add_application(READ_ALL)
        ours = trusted.house.takes(an_incident())
        theirs = trusted.house.takes(an_incident(), tenant=trusted.tenant)

        def use(count: int) -> int:
            for number in range(count):
                own = trusted.house.fetch_token(application, secret)
                foreign = issuer.token(issuer.claims(jti=str(number)))
                assert [trusted.get(ours, own).status, trusted.get(theirs, foreign).status] == [200, 200]
            gc.collect()
            return len(gc.get_objects())

        use(2 * REMEMBERED)
        grown = [use(TOKENS) for _ in range(3)]

    assert grown[-1] - grown[0] < TOKENS
