"""The named statements and the migrations of both databases, in `.sql` files."""
