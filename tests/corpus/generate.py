"""Runs virt-install, virt-xml or virt-clone for each command line of `commands.txt` and writes what it prints to `definitions.xml`.

Needs root and the Debian packages virtinst and osinfo-db, which `CORPUS=yes . ./bootstrap.sh` installs. A lab host stands for the
machine; nothing is created there but the files that the command lines name, which are removed at the end.
Run: `python tests/corpus/generate.py`, or `tox -e corpus -- --generate`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

BASE = (
    "--memory 1024 --vcpus 2 --network network=default,model=virtio --graphics vnc --sound ich9 --watchdog default --rng /dev/urandom "
    "--channel unix,target.type=virtio,name=org.qemu.guest_agent.0 --disk {folder}/a.qcow2,format=qcow2,bus=virtio "
    "--disk {folder}/a.iso,device=cdrom,bus=sata"
)
"""What virt-xml changes and virt-clone copies."""
PLACE = "/corpus"
"""The folder that command lines name. A folder of the lab's shared storage takes its place; the definitions have this name again."""
FILES = ("a.qcow2", "a.iso", "kept.qcow2", "other.iso", "second.raw", "third.qcow2")


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


def program(line: str, number: int, uri: str, folder: str, base: str) -> list[str]:
    """Return the program of a line with its arguments."""
    name, _, rest = line.partition(" ")
    if name not in ("virt-xml", "virt-clone"):
        return arguments(line, number, uri)
    words = [name, "--connect", uri, "--print-xml", *shlex.split(rest.replace(PLACE + "/", folder + "/"))]
    return [*words, "--original-xml", base, "--check", "all=off"] if name == "virt-clone" else words


@contextmanager
def base_definition(uri: str, folder: Path) -> Iterator[Path]:
    """Give the definition of BASE as a file, with the files that the command lines name beside it."""
    folder.mkdir()
    try:
        for name in FILES:
            format_ = "qcow2" if name.endswith("qcow2") else "raw"
            subprocess.run(["qemu-img", "create", "-q", "-f", format_, folder / name, "1M"], check=True)
        done = subprocess.run(
            arguments(BASE.format(folder=folder), 0, uri), capture_output=True, text=True, check=True, timeout=120
        )
        file = folder / "base.xml"
        file.write_text(done.stdout)
        yield file
    finally:
        shutil.rmtree(folder)


def generate(uri: str, folder: Path, lines: list[str]) -> tuple[etree._Element, list[str]]:
    """Return all definitions, and the lines that their programs refused with the reason."""
    with base_definition(uri, folder) as base:
        return _generated(uri, folder, base, lines)


def _generated(uri: str, folder: Path, base: Path, lines: list[str]) -> tuple[etree._Element, list[str]]:
    root, refused = etree.Element("corpus"), []
    for number, line in enumerate(lines, 1):
        words = program(line, number, uri, str(folder), str(base))
        given = base.read_text() if words[0] == "virt-xml" else ""
        done = subprocess.run(words, input=given, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            refused.append(f"{line}: {done.stderr.strip().splitlines()[-1:]}")
            continue
        case = etree.SubElement(root, "case", command=line)
        case.append(etree.fromstring(done.stdout.replace(str(folder), PLACE)))
        case.tail = "\n"
    return root, refused


def main() -> None:
    """Write the definitions, and print the lines that were refused."""
    from novacron_lab import Lab

    version = subprocess.run(["virt-install", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    lab = Lab.up(hosts=1, name=f"corpus-{os.getpid()}", temporary=True)
    try:
        root, refused = generate(lab.hosts[0].uri, lab.shared / "corpus", command_lines())
    finally:
        lab.down()
    root.set("generator", f"virt-install {version}")
    etree.ElementTree(root).write(DEFINITIONS, encoding="utf-8", xml_declaration=True)
    print("\n".join(refused), file=sys.stderr)
    print(f"{len(root)} definitions, {len(refused)} refused")


if __name__ == "__main__":
    main()
