"""The table of kinds of faults names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROWS = [line for line in (ROOT / "tests" / "cases.md").read_text().splitlines() if line.startswith("| ") and "::" in line]


def test_each_kind_of_fault_has_inputs_and_tests_that_exist():
    missing = []
    for row in ROWS:
        kind, tried, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert kind, row
        assert tried, row
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named, row
        missing += [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert not missing


def test_no_kind_stands_twice():
    kinds = [row.split(" | ")[0] for row in ROWS]
    assert len(kinds) == len({*kinds})
    assert len(kinds) > 40
