"""What the two databases must hear differently in the statements of a list."""

from typing import Protocol

from vigie.core.conditions import Property
from vigie.core.queries import Order


class Dialect(Protocol):
    """How one database is told along which index to read, and in which order."""

    join: str
    """How the incidents are joined to their page, so that the page is the outer loop."""

    def index(self, hint: str) -> str:
        """The index that a statement names, where it can."""

    def aside(self, property_: Property, column: str) -> str:
        """A column as an expression, that no index is taken for."""

    def directed(self, column: str, term: Order, *, may_be_null: bool = True) -> str:
        """A term of an order: nobody comes before everybody."""

    def page_order(self, order: str) -> str:
        """What stands behind a join whose outer loop is in this order already."""


class SqliteDialect:
    """Indexes are named, and the order of the outer loop stays."""

    join = "CROSS JOIN"

    def index(self, hint: str) -> str:
        """The index that a statement names."""
        return hint

    def aside(self, _property: Property, column: str) -> str:
        """SQLite takes no index for an expression."""
        return f"+{column}"

    def directed(self, column: str, term: Order, *, may_be_null: bool = True) -> str:  # noqa: ARG002
        """NULL comes first by itself."""
        return f"{column} DESC" if term.is_descending else column

    def page_order(self, _order: str) -> str:
        """Nothing: sorting here again would move whole documents."""
        return ""


class PostgresDialect:
    """The planner finds the index by itself: by the order that is asked for, and what is not set aside."""

    join = "JOIN"

    def index(self, _hint: str) -> str:
        """Nothing: no index can be named."""
        return ""

    def aside(self, property_: Property, column: str) -> str:
        """An expression that belongs to no index."""
        is_time = property_ in (Property.LAST_UPDATE_TIME, Property.CREATED_TIME)
        return f"({column} + 0)" if is_time else f"({column} || '')"

    def directed(self, column: str, term: Order, *, may_be_null: bool = True) -> str:
        """NULL would come last by itself; said only where there may be one, for indexes are without it."""
        directed = f"{column} DESC" if term.is_descending else column
        if term.property is not Property.ASSIGNED_TO or not may_be_null:
            return directed
        return f"{directed} NULLS {'LAST' if term.is_descending else 'FIRST'}"

    def page_order(self, order: str) -> str:
        """The order, or none is promised; the planner sees that there is nothing left to sort."""
        return f" ORDER BY {order}"


SQLITE: Dialect = SqliteDialect()
POSTGRES: Dialect = PostgresDialect()
