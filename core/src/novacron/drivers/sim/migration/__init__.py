"""Modules for the migration area: pre-checks and the simulated memory transfer."""
