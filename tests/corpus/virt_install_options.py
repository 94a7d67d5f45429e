"""Writes `docs/virt-install.md`: the options of virt-install and virt-xml (`options.toml`), and their sub-options (`suboptions.toml`).

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

The first tables list the options, the last ones their sub-options, such as `cache` of `--disk cache=none`; `N` in a name is a number.

The page is generated from `tests/corpus/options.toml` and `suboptions.toml`. `tests/corpus/test_options.py` compares it with the specs and
commands, and with what the installed virt-install lists.
"""


def options() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the options by section."""
    return tomllib.loads((FOLDER / "options.toml").read_text())


def suboptions() -> list[tuple[list[str], dict[str, list[str] | str]]]:
    """Return for some options together: patterns of names of sub-options, each with fields and commands, or with a reason."""
    tables = tomllib.loads((FOLDER / "suboptions.toml").read_text())
    return [(names.split(), found) for names, found in tables.items()]


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for section, found in options().items():
        parts.append(
            f"\n## {section[:1].upper()}{section[1:]}\n\n| option | NovaCron | not supported, and why |\n|---|---|---|\n"
        )
        for name, said in found.items():
            parts.append(f"| `{name}` | {_code(said.get('ours', [])) or '-'} | {said.get('why', '')} |\n")
    parts.append("\n## Sub-options\n")
    for names, table in suboptions():
        title = "every option" if names == ["every"] else _code(names)
        parts.append(f"\nSub-options of {title}:\n\n| sub-options | NovaCron | not supported, and why |\n|---|---|---|\n")
        for patterns, said in table.items():
            ours, why = (_code(said), "") if isinstance(said, list) else ("-", said)
            parts.append(f"| {_code(patterns.split())} | {ours} | {why} |\n")
    return "".join(parts)


def _code(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page())
