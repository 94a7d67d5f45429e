"""Reads the checksum files of distributions, checks their signatures, and checks files against them."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from novacron.errors import ImageError, InvalidSpecError, SpecProblem
from novacron.secrets import environment_without_secrets

ALGORITHMS = {64: "sha256", 128: "sha512"}
"""The algorithm of a checksum, by its number of hexadecimal digits. MD5 and SHA-1 can be forged and are not accepted."""

CHUNK = 1024 * 1024
_GNU = re.compile(r"^([0-9a-fA-F]{32,128})\s+[* ]?(?:\./)?(\S.*)$")
_BSD = re.compile(r"^SHA(?:256|512) ?\((?:\./)?(.+)\) ?= ?([0-9a-fA-F]{64,128})$")


def algorithm_of(checksum: str) -> str:
    """Return the name of a checksum's algorithm for `hashlib`.

    Raises:
        InvalidSpecError: not a SHA-256 or SHA-512 in hexadecimal.

    Example:
        >>> algorithm_of("0" * 64)
        'sha256'
    """
    if not re.fullmatch(r"[0-9a-fA-F]+", checksum) or len(checksum) not in ALGORITHMS:
        problem = SpecProblem("checksum", checksum[:140], "a SHA-256 or SHA-512 checksum in hexadecimal")
        raise InvalidSpecError("invalid checksum", problems=[problem], outcome="not_sent")
    return ALGORITHMS[len(checksum)]


def find_checksum(text: str, file: str) -> str | None:
    """Return a file's checksum from the text of a checksum file; the strongest one when there are several.

    It reads the forms of `sha256sum` ("HEX  NAME") and of BSD and Fedora ("SHA256 (NAME) = HEX"), and a file that holds one checksum alone.

    Example:
        >>> find_checksum("SHA256 (a.qcow2) = " + "0" * 64, "a.qcow2") == "0" * 64
        True
    """
    found = []
    lines = [line.strip() for line in text.splitlines()]
    for line in lines:
        if match := _BSD.match(line):
            name, checksum = match.groups()
        elif match := _GNU.match(line):
            checksum, name = match.groups()
        else:
            continue
        if name.strip() == file and len(checksum) in ALGORITHMS:
            found.append(checksum.lower())
    alone = [line for line in lines if line]
    if len(alone) == 1 and re.fullmatch(r"[0-9a-fA-F]+", alone[0]) and len(alone[0]) in ALGORITHMS:
        found.append(alone[0].lower())
    return max(found, key=len, default=None)


def check_file(path: Path, expected: str, going: Callable[[int], None] = lambda _: None) -> None:
    """Compare a file with its checksum.

    Args:
        going: called with the number of bytes read so far; may raise to stop.

    Raises:
        ImageError: the file is not what the checksum says.
    """
    digest, done = hashlib.new(algorithm_of(expected)), 0
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            done += len(piece)
            going(done)
    if digest.hexdigest() != expected.lower():
        raise ImageError(
            f"{path.name} does not have the expected checksum: {digest.name} is {digest.hexdigest()}, expected {expected.lower()}",
            hint="the download may be damaged or the image was replaced meanwhile; pull it again",
        )


def check_signature(checksums: bytes, signature: bytes | None, keyring: Path) -> bytes:
    """Check the signature of a checksum file with `gpgv`; return the text that was signed.

    Args:
        checksums: the checksum file.
        signature: its detached signature; None when the checksum file is itself signed ("inline").
        keyring: the file with the keys that are trusted for it.

    Raises:
        ImageError: not signed by one of the keys, or `gpgv` or the keyring is missing.
    """
    program = shutil.which("gpgv")
    if program is None or not keyring.is_file():
        missing = "the program gpgv" if program is None else f"the keyring {keyring}"
        raise ImageError(
            f"the signature can't be checked: {missing} is missing", hint="install it, or pull with verify=False (--no-verify)"
        )
    with tempfile.TemporaryDirectory(prefix="novacron-signature-") as folder:
        data, detached, signed = Path(folder) / "data", Path(folder) / "signature", Path(folder) / "signed"
        data.write_bytes(checksums)
        command = [program, "--keyring", str(keyring.resolve())]
        if signature is None:
            command += ["--output", str(signed), str(data)]
        else:
            detached.write_bytes(signature)
            command += [str(detached), str(data)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=30, check=False, env=environment_without_secrets())
        except subprocess.TimeoutExpired:
            raise ImageError("checking the signature took more than 30 s") from None
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()
            raise ImageError(
                f"the signature of the checksum file is not valid: {last[-1] if last else 'gpgv gave no reason'}",
                hint="do not use the image; the server or the connection may be compromised",
            )
        return checksums if signature is not None else signed.read_bytes()


__all__ = ["ALGORITHMS", "algorithm_of", "check_file", "check_signature", "find_checksum"]
