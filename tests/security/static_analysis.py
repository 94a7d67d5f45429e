"""Runs bandit over the product; each exception has to say why: `python tests/security/static_analysis.py`, a part of `tox -e lint`.

Ruff applies the same rules under the numbers S101 to S7xx. A line that is excepted for ruff (`# noqa: S310 - reason`) is excepted for
bandit's B310; what only bandit reports takes `# nosec B604 - reason`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("core/src", "plugins/kvm/src", "plugins/vmware/src", "shell/src", "lab/src")
SKIPPED = {
    "B404": "programs are run, as argument lists",
    "B603": "programs are run, as argument lists",
    "B607": "programs are found on PATH: distributions put them in different folders",
}
TESTING = "core/src/novacron/testing/"
"""The conformance suite consists of tests, so that it asserts."""
EXCEPTION = re.compile(r"# (?:noqa: [A-Z0-9, ]*\bS(?P<rule>\d{3})|nosec B(?P<own>\d{3}))[A-Z0-9, ]*(?P<reason> - \S.*)?$")


def unexplained() -> list[str]:
    """Return the findings that no explained exception covers, and the exceptions without an explanation."""
    words = ["bandit", "-q", "-r", *SOURCES, "-f", "json", "--skip", ",".join(SKIPPED), "--ignore-nosec"]
    findings = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout)["results"]
    return [
        f"{f['filename']}:{f['line_number']}: {f['test_id']} {f['issue_text']}"
        for f in findings
        if not (f["filename"].startswith(TESTING) and f["test_id"] == "B101")
        and not _explained(ROOT / f["filename"], f["line_range"], f["test_id"].removeprefix("B"))
    ]


def _explained(file: Path, lines: list[int], rule: str) -> bool:
    text = file.read_text().splitlines()
    found = (EXCEPTION.search(text[number - 1]) for number in lines)
    return any(match and match["reason"] and rule in (match["rule"], match["own"]) for match in found)


if __name__ == "__main__":
    problems = unexplained()
    print("\n".join(problems) or "no finding of bandit without an explained exception")
    sys.exit(bool(problems))
