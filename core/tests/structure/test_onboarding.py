"""The map for newcomers names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAP = ROOT / "docs" / "onboarding.md"


def named_paths() -> list[str]:
    """Return the paths that the page links to, and those it names in its tables."""
    text = MAP.read_text()
    links = re.findall(r"\]\((?!http)([^)]+)\)", text)
    named = re.findall(r"`((?:core|plugins|shell|lab|tests|docs)/[^`]*)`", text)
    return sorted({str((MAP.parent / link).resolve().relative_to(ROOT)) for link in links} | set(named))


@pytest.mark.parametrize("path", named_paths())
def test_every_path_of_the_map_exists(path):
    assert (ROOT / path).exists()


def test_the_map_has_a_reading_order_of_eight_files():
    order = MAP.read_text().partition("## Reading order")[2].partition("## ")[0]
    assert re.findall(r"^(\d)\.", order, re.MULTILINE) == list("12345678")
