"""The state database: what is NovaCron's alone. SQLite in the state directory, or any URL in `NOVACRON_DATABASE`."""
