"""The part of a tenant that a list may show: the label sets that make incidents visible to its exposure."""

import msgspec

from vigie.core.access import Exposure
from vigie.storage.database import Snapshot, Statement
from vigie.storage.listing.dialect import Dialect
from vigie.storage.listing.filter_sql import BindParameters
from vigie.storage.visibility import labels_of

# To name more costs more than a page does. Where there are more, each row's set is looked up.
_NAMED_SETS_MAX = 2_000


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is visible of a tenant: the incidents of these label sets, by their numbers; nothing unless it is said.

    `set_ids` is None where the sets that have one of the `labels` are too many to be named.
    """

    labels: tuple[str, ...] = ()
    set_ids: tuple[int, ...] | None = ()
    is_whole_tenant: bool = False

    def conditions(
        self, bound: BindParameters, dialect: Dialect, tenant: str, table: str, *, is_searched: bool
    ) -> list[str]:
        """The condition that the rows of a table, or of a part of it, are visible; none for the whole tenant.

        They are looked up by their sets where that `is_searched`.
        """
        column = f"{table}.visibility_id"
        if self.is_whole_tenant:
            return []
        if self.set_ids is not None:
            column = column if is_searched else dialect.unindexed_number(column)
            return [dialect.is_any_of(column, bound.name(dialect.numbers(self.set_ids)))]
        names = ", ".join([bound.name(label) for label in self.labels])
        # A value, not EXISTS: PostgreSQL would make a join of that, and begin it at the wrong end.
        return [
            f"(SELECT 1 FROM visibility_label AS known WHERE known.tenant_id = {tenant}"
            f" AND known.label IN ({names}) AND known.visibility_id = {column} LIMIT 1) IS NOT NULL"
        ]


WHOLE = Scope(is_whole_tenant=True)


async def read_scope(snapshot: Snapshot, tenant_id: int, exposure: Exposure) -> Scope:
    """The scope of an exposure, as of the moment of the lists that are read with it."""
    if exposure.whole_tenant:
        return WHOLE
    labels = labels_of(exposure)
    found = await snapshot.numbers(visible_sets(tenant_id, labels))
    return Scope(labels=labels, set_ids=tuple(found) if len(found) <= _NAMED_SETS_MAX else None)


def visible_sets(tenant_id: int, labels: tuple[str, ...]) -> Statement:
    """The numbers of the sets that have any of these labels, or one more of them than can be named."""
    bound = BindParameters()
    names = ", ".join([bound.name(label) for label in labels])
    return Statement(
        f"SELECT DISTINCT visibility_id FROM visibility_label WHERE tenant_id = {bound.name(tenant_id)}"
        f" AND label IN ({names}) ORDER BY visibility_id LIMIT {bound.name(_NAMED_SETS_MAX + 1)}",
        bound.values,
        is_short=True,
    )
