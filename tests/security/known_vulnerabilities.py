"""Looks for known vulnerabilities of the locked dependencies in a local copy of an advisory database.

`tox -e audit` asks PyPI. Where no registry answers, clone https://github.com/pypa/advisory-database and run

    python tests/security/known_vulnerabilities.py FOLDER

The result is only as new as the copy; the date of its newest advisory is printed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

LOCK = Path(__file__).parents[2] / "uv.lock"


def locked() -> list[tuple[str, str]]:
    """Return the name and version of each locked package that comes from a registry."""
    packages = tomllib.loads(LOCK.read_text())["package"]
    return [(canonicalize_name(p["name"]), p["version"]) for p in packages if "registry" in p.get("source", {})]


def advisories(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield the advisories of files in the format of OSV that are not withdrawn."""
    for path in files:
        advisory = yaml.safe_load(path.read_text())
        if isinstance(advisory, dict) and "affected" in advisory and not advisory.get("withdrawn"):
            yield advisory


def affects(affected: dict[str, Any], version: str) -> bool:
    """Return whether one entry `affected` of an advisory covers a version."""
    if version in affected.get("versions", ()):
        return True
    ranges = [each["events"] for each in affected.get("ranges", ()) if each["type"] == "ECOSYSTEM"]
    return any(_within(events, Version(version)) for events in ranges)


def _within(events: list[dict[str, str]], version: Version) -> bool:
    found = False
    for event in events:
        for kind, text in event.items():
            try:
                bound = Version(str(text))
            except InvalidVersion:
                continue
            if kind == "introduced" and version >= bound:
                found = True
            elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
                found = False
    return found


def main(folder: Path) -> int:
    """Print the vulnerable packages; return 1 if there are any, 2 if the folder has no advisories."""
    packages, found, files = locked(), list[str](), [*folder.rglob("*.yaml")]
    names = {name for name, _ in packages}
    dates = (re.search(r"^modified: [\"']?(\d{4}-\d\d-\d\d)", path.read_text(), re.MULTILINE) for path in files)
    newest = max((date[1] for date in dates if date), default="no date")
    for advisory in advisories(path for path in files if canonicalize_name(path.parent.name) in names):
        for affected in advisory["affected"]:
            name = canonicalize_name(affected["package"]["name"])
            if name in names:
                found += [f"{n} {v}: {advisory['id']}" for n, v in packages if n == name and affects(affected, v)]
    print(f"{len(packages)} locked packages, {len(files)} advisories, the newest of {newest}: {len(found)} found")
    print("\n".join(sorted(set(found))))
    return 2 if not files else bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
