"""Writes `docs/virt-install.md` from `options.toml`: each option of virt-install and virt-xml, and how NovaCron says it.

Run: `python tests/corpus/virt_install_options.py`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "virt-install.md"

HEAD = """# From virt-install to NovaCron

This page lists each option of virt-install and virt-xml (version 4.1) with the field or command of NovaCron for the same purpose, or the
reason why there is none. `VMSpec.memory` is the field `memory` of a VM, on the command line `novacron vm create web1 --memory 2GiB` or in a
file for `--file`; fields such as `DiskSpec.bus` belong to its disks (`--disk size=20GiB,bus=scsi`).

What NovaCron can't say can still be used: `novacron vm import` defines a VM from any libvirt definition, for example from the output of
`virt-install --print-xml`. NovaCron reads such VMs completely, and changes only what is asked.

The page is generated from `tests/corpus/options.toml`, and `tests/corpus/test_options.py` compares it with the specs and commands.
"""


def options() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the options by section."""
    return tomllib.loads((FOLDER / "options.toml").read_text())


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for section, found in options().items():
        parts.append(
            f"\n## {section[:1].upper()}{section[1:]}\n\n| option | NovaCron | not supported, and why |\n|---|---|---|\n"
        )
        for name, said in found.items():
            ours = ", ".join(f"`{each}`" for each in said.get("ours", []))
            parts.append(f"| `{name}` | {ours or '-'} | {said.get('why', '')} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
