"""The row of the change feed: a page of it must cost its page, however many changes there are."""

from collections.abc import Sequence
from random import Random

from bench.driver import Bench, take_turns
from bench.in_process import Databases, Work, on_both
from bench.processes import BenchError
from vigie.config.settings import Settings
from vigie.runtime.installation import Installation, opened
from vigie.storage.visibility import encode_labels

CHANGES = "change feed"
FEW, MANY = 10_000, 1_000_000

_PAGE = 1_000
_AT = 10**17

# One text for both databases, but for how they write bytes.
_FILL = """
WITH RECURSIVE counted (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE number < {count})
INSERT INTO change (tenant_id, number, at, kind, incident_id, alert_id, actor, request_id,
                    visible_before, visible_after, alert_visible, is_of_head)
SELECT {tenant_id}, number, {at} + number, 'updated', number % 100000 + 1, NULL, 'bench', 'request-1',
       {labels}, {labels}, NULL, 1
  FROM counted;
INSERT INTO latest_change (tenant_id, number, first_number, last_update_at)
VALUES ({tenant_id}, {count}, 1, {at} + {count});
"""


def changes(bench: Bench) -> None:
    """A thousand changes after any number, among few and among many."""
    on_both(bench, CHANGES, lambda bench, databases: measure_changes(bench, databases, (FEW, MANY)))


def among(count: int) -> str:
    """The contender that has so many changes."""
    return f"1,000 changes among {count:,}"


def measure_changes(bench: Bench, databases: Databases, counts: Sequence[int]) -> None:
    """The row, with a database for each count."""
    turns = {
        among(count): databases.turn(
            CHANGES, among(count), _page_of(*_filled(databases, count), count), seconds=bench.seconds
        )
        for count in counts
    }
    take_turns(bench, f"{CHANGES}{databases.suffix}", turns)


def _filled(databases: Databases, count: int) -> tuple[Installation, int]:
    settings = databases.new()
    tenant_id = databases.runner.run(_new_tenant(settings))
    labels = databases.bytes_text(encode_labels(frozenset({"", "#14", "#15"})) or b"")
    databases.run_sql(settings, _FILL.format(tenant_id=tenant_id, count=count, labels=labels, at=_AT))
    databases.analyze(settings)
    return databases.open(settings), tenant_id


async def _new_tenant(settings: Settings) -> int:
    async with opened(settings, create=True) as installation:
        return (await installation.directory.add_tenant("contoso", guid=None, domain=None)).tenant_id


def _page_of(installation: Installation, tenant_id: int, count: int) -> Work:
    async def page(rng: Random) -> None:
        after = rng.randrange(count - _PAGE + 1)
        found = await installation.change_feed.changes_after(tenant_id, after, _PAGE)
        if len(found) != _PAGE:
            raise BenchError(f"{len(found)} changes came after {after}, where {_PAGE} are due")

    return page
