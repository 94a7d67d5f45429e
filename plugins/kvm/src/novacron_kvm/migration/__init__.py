"""Pre-checks of a migration, what is sent besides memory, storage migration, and reconciliation of both hosts."""
