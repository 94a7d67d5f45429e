"""Runs virt-install for each command line of `commands.txt` and writes what it prints to `definitions.xml`.

Needs root and the Debian packages virtinst and osinfo-db. A lab host stands for the machine; nothing is created there.
Run: `python tests/corpus/generate.py`, or `tox -e corpus -- --generate`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from lxml import etree

FOLDER = Path(__file__).parent
COMMANDS, DEFINITIONS = FOLDER / "commands.txt", FOLDER / "definitions.xml"
DEFAULTS = {
    "--memory": ["256"],
    "--disk": ["none"],
    "--network": ["none"],
    "--osinfo": ["detect=off,require=off"],
    "--graphics": ["none"],
}
"""What is added to a command line that does not say it, so that virt-install asks nothing of the machine."""


def command_lines() -> list[str]:
    """Return the command lines, without comments."""
    return [line for line in COMMANDS.read_text().splitlines() if line and not line.startswith("#")]


def arguments(line: str, number: int, uri: str) -> list[str]:
    """Return virt-install's arguments for a line."""
    given = shlex.split(line)
    added = [word for option, value in DEFAULTS.items() if option not in given for word in (option, *value)]
    fixed = [
        "--connect",
        uri,
        "--name",
        f"corpus-{number:03}",
        "--import",
        "--print-xml",
        "--check",
        "all=off",
        "--noautoconsole",
    ]
    return ["virt-install", *fixed, *given, *added]


def generate(uri: str) -> tuple[etree._Element, list[str]]:
    """Return all definitions, and the lines that virt-install refused with its reason."""
    root, refused = etree.Element("corpus"), []
    for number, line in enumerate(command_lines(), 1):
        done = subprocess.run(arguments(line, number, uri), capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            refused.append(f"{line}: {done.stderr.strip().splitlines()[-1:]}")
            continue
        case = etree.SubElement(root, "case", command=line)
        case.append(etree.fromstring(done.stdout))
        case.tail = "\n"
    return root, refused


def main() -> None:
    """Write the definitions, and print the lines that were refused."""
    from novacron_lab import Lab

    version = subprocess.run(["virt-install", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    lab = Lab.up(hosts=1, name=f"corpus-{os.getpid()}", temporary=True)
    try:
        root, refused = generate(lab.hosts[0].uri)
    finally:
        lab.down()
    root.set("generator", f"virt-install {version}")
    etree.ElementTree(root).write(DEFINITIONS, encoding="utf-8", xml_declaration=True)
    print("\n".join(refused), file=sys.stderr)
    print(f"{len(root)} definitions, {len(refused)} refused")


if __name__ == "__main__":
    main()
