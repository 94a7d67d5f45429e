"""The state database: SQLite in the state directory, or the URL in `NOVACRON_DATABASE`."""
