"""Completion as functions of the text and of what is known: no terminal, no I/O. `suggestions.suggest` is the entry."""
