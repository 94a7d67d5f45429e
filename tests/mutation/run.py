"""Measures how many small changes of the source the tests notice: `tox -e mutation`.

    python tests/mutation/run.py [NAME...]      # all of MODULES by default; NAME is a part of a module's path

mutmut changes one expression at a time (a comparison turned, a call dropped, a constant changed) and runs the tests that reach it. A
change that no test notices has survived. Works in a temporary copy. Takes hours for all modules, so that it is not a part of CI.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
GOAL = 0.85
"""The part of the changes that tests have to notice, in each module."""


class Target(NamedTuple):
    """A module and the tests that are run against its changes, below the folder of a distribution."""

    distribution: str
    module: str
    tests: tuple[str, ...]


MODULES = (
    Target("core", "src/novacron/units.py", ("tests/test_units.py",)),
    Target("core", "src/novacron/redaction.py", ("tests/test_redaction.py",)),
    Target("core", "src/novacron/workflow/retention.py", ("tests/workflow/test_retention.py",)),
    Target("core", "src/novacron/errors.py", ("tests/dispatch/test_dispatch.py", "tests/structure/test_error_tree.py")),
    Target("core", "src/novacron/specs/spec.py", ("tests/specs/test_specs.py",)),
    Target("core", "src/novacron/specs/addresses.py", ("tests/specs/test_addresses.py", "tests/specs/test_specs.py")),
    Target("core", "src/novacron/specs/networks.py", ("tests/specs/test_specs.py",)),
    Target("core", "src/novacron/specs/disks.py", ("tests/specs/test_specs.py",)),
    Target("core", "src/novacron/specs/filters.py", ("tests/specs/test_specs.py",)),
    Target("core", "src/novacron/text.py", ("tests/test_text.py",)),
    Target("core", "src/novacron/workflow/paths.py", ("tests/workflow/test_paths.py",)),
    Target("core", "src/novacron/fleets/demand.py", ("tests/fleets/test_demand.py",)),
    Target("core", "src/novacron/fleets/limits.py", ("tests/fleets/test_demand.py",)),
    Target("plugins/kvm", "src/novacron_kvm/errors.py", ("tests/test_errors.py",)),
    Target("plugins/kvm", "src/novacron_kvm/versions.py", ("tests/test_versions.py",)),
    Target("plugins/kvm", "src/novacron_kvm/statuses.py", ("tests/test_statuses.py",)),
    Target("plugins/kvm", "src/novacron_kvm/last_error.py", ("tests/test_last_error.py",)),
    Target("plugins/kvm", "src/novacron_kvm/xml/networks.py", ("tests/xml/test_networks.py",)),
    Target("plugins/kvm", "src/novacron_kvm/xml/parsing.py", ("tests/xml/test_parsing.py",)),
    Target("plugins/kvm", "src/novacron_kvm/xml/storage.py", ("tests/xml/test_storage.py",)),
)
PYTEST = """[pytest]
addopts = --import-mode=importlib -p no:cacheprovider
markers =
    benchmark
    lab
    packaging
    slow
"""


def measure(target: Target, scratch: Path) -> Counter[str]:
    """Return how many changes of a module ended in each way: "killed" and "timeout" were noticed, others not."""
    work = scratch / Path(target.module).stem
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / target.distribution / folder, work / folder, ignore=ignored)
    tests = "".join(f"\n    {test}" for test in target.tests)
    (work / "setup.cfg").write_text(
        f"[mutmut]\nsource_paths=src\nonly_mutate={target.module}\npytest_add_cli_args_test_selection={tests}\n"
    )
    (work / "pytest.ini").write_text(PYTEST)
    done = subprocess.run(["mutmut", "run"], cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mutmut failed for {target.module}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    listed = subprocess.run(["mutmut", "results", "--all", "true"], cwd=work, capture_output=True, text=True, check=True).stdout
    outcomes = [line.split(": ") for line in listed.splitlines() if "__mutmut_" in line]
    for mutant, outcome in outcomes:
        if outcome not in ("killed", "timeout"):
            change = subprocess.run(
                ["mutmut", "show", mutant.strip()], cwd=work, capture_output=True, text=True, check=False
            ).stdout
            lines = [line for line in change.splitlines() if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))]
            print(f"  {outcome}: {mutant.strip()}", *lines, sep="\n    ")
    return Counter(outcome for _, outcome in outcomes)


def main(names: list[str]) -> int:
    """Print each survivor, then the score of each module. Return 1 if one is below the goal."""
    chosen = [t for t in MODULES if not names or any(name in t.module for name in names)]
    rows, good = [], True
    with tempfile.TemporaryDirectory(prefix="novacron-mutation-") as scratch:
        for target in chosen:
            print(target.module, flush=True)
            counts = measure(target, Path(scratch))
            noticed, total = counts["killed"] + counts["timeout"], counts.total()
            good &= noticed >= GOAL * total
            rows.append(f"{noticed / max(total, 1):6.1%}  {noticed:4} of {total:4}  {target.module}")
            print(rows[-1], flush=True)
    print("\n".join(rows))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
