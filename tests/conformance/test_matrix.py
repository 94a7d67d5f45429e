"""The table of operations in the documentation is what the code says."""

from pathlib import Path

from novacron.plugins.matrix import installed_providers, lines

TABLE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_table_of_operations_is_made_from_the_code():
    assert TABLE.read_text() == "\n".join(lines(installed_providers())) + "\n", (
        "make it again: python -m novacron.plugins.matrix >docs/operations.md"
    )


def test_every_driver_of_ours_says_what_it_is_made_of():
    assert all(p.areas() for p in installed_providers())
