"""The dialects of the two databases: where the statements of a list have to differ.

Both planners left to themselves take another index now and then, and sort or read a whole tenant. SQLite is told
the index by name. PostgreSQL cannot be told: what must not be searched by is written as an expression, and the
order is that of the index.
"""

from collections.abc import Sequence
from typing import Protocol

from vigie.core.conditions import Property
from vigie.core.queries import Order


class Dialect(Protocol):
    """The parts of a statement that decide which index a database reads, and in which order."""

    join: str
    """How the incidents are joined to their page, so that the page is the outer loop."""

    merged_rows_max: int
    """How many rows may be skipped by merging them; to count more of them costs less."""

    fence: str
    """The end of a query in whose rows the conditions of the one around it are not tested earlier."""

    def index(self, hint: str) -> str:
        """The index that a statement names, where it can."""

    def unindexed(self, property_: Property, column: str) -> str:
        """A column as an expression that no index serves."""

    def unindexed_number(self, column: str) -> str:
        """A column of numbers as such an expression."""

    def directed(self, column: str, term: Order, *, may_be_null: bool = True) -> str:
        """A term of an order: unassigned incidents come before all assigned ones."""

    def page_order(self, order: str) -> str:
        """The order of what is in this order already."""

    def numbers(self, values: Sequence[int]) -> object:
        """Numbers as one value of a statement."""

    def is_any_of(self, column: str, numbers: str) -> str:
        """The condition that a column is among numbers; `numbers` is how the statement names them."""


class SqliteDialect:
    """Indexes are named, and the order of the outer loop stays."""

    join = "CROSS JOIN"
    merged_rows_max = 1_000
    fence = " LIMIT -1"

    def index(self, hint: str) -> str:
        """The index that a statement names."""
        return hint

    def unindexed(self, _property: Property, column: str) -> str:
        """SQLite takes no index for an expression."""
        return f"+{column}"

    def unindexed_number(self, column: str) -> str:
        """As any other."""
        return f"+{column}"

    def directed(self, column: str, term: Order, *, may_be_null: bool = True) -> str:  # noqa: ARG002
        """NULL comes first by itself."""
        return f"{column} DESC" if term.is_descending else column

    def page_order(self, _order: str) -> str:
        """Nothing: sorting here again would move whole documents."""
        return ""

    def numbers(self, values: Sequence[int]) -> object:
        """A list in JSON."""
        return str(list(values))

    def is_any_of(self, column: str, numbers: str) -> str:
        """One text, however many numbers there are."""
        return f"{column} IN (SELECT value FROM json_each({numbers}))"


class PostgresDialect:
    """The planner finds the index by itself: by the order of the list, and the columns that are not expressions."""

    join = "JOIN"
    # It merges 10,000 in the time that it takes to plan two statements.
    merged_rows_max = 100_000
    fence = " OFFSET 0"

    def index(self, _hint: str) -> str:
        """Nothing: no index can be named."""
        return ""

    def unindexed(self, property_: Property, column: str) -> str:
        """An expression that belongs to no index."""
        is_time = property_ in (Property.LAST_UPDATE_TIME, Property.CREATED_TIME)
        return self.unindexed_number(column) if is_time else f"({column} || '')"

    def unindexed_number(self, column: str) -> str:
        """A sum."""
        return f"({column} + 0)"

    def directed(self, column: str, term: Order, *, may_be_null: bool = True) -> str:
        """NULL would come last by itself. Written only where there may be one, for the indexes are without it."""
        directed = f"{column} DESC" if term.is_descending else column
        if term.property is not Property.ASSIGNED_TO or not may_be_null:
            return directed
        return f"{directed} NULLS {'LAST' if term.is_descending else 'FIRST'}"

    def page_order(self, order: str) -> str:
        """The order, as none is promised without it; the planner sees that there is nothing left to sort."""
        return f" ORDER BY {order}"

    def numbers(self, values: Sequence[int]) -> object:
        """A list."""
        return list(values)

    def is_any_of(self, column: str, numbers: str) -> str:
        """Any of an array, which an index can be searched by."""
        return f"{column} = ANY({numbers})"


SQLITE: Dialect = SqliteDialect()
POSTGRES: Dialect = PostgresDialect()
