"""The operations, one module per area."""
