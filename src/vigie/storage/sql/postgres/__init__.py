"""What PostgreSQL alone is asked, or asked in other words than SQLite, and its migrations."""
