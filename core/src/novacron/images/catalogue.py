"""The catalogue of images: a name such as "debian-13", and where its file and its checksums are.

The built-in entries are data in `catalogue.toml`. A user adds to them, or replaces them, with files of the same form: every `*.toml`
in `novacron/images.d` of the user's configuration directory, and the files named in `NOVACRON_IMAGES` (separated as in `PATH`).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from novacron.errors import ImageNotFoundError, InvalidSpecError, SpecProblem, either
from novacron.records.record import Record
from novacron.redaction import described
from novacron.urls import problem_of, scheme_of

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
"""What an image may be called: the same as a volume."""

SCHEMES = ("https", "http", "file")
FIELDS = frozenset({"title", "url", "checksums", "checksum", "signature", "keyring", "user", "arch"})


class ImageSource(Record, frozen=True):
    """Where an image comes from, for one architecture.

    Attributes:
        name: the name in the catalogue; for a URL or a file, its last part without the ending.
        url: where the image is: https, http or file.
        checksums: the URL of the distribution's checksum file, None when there is none.
        checksum: the expected SHA-256 or SHA-512 in hexadecimal, None when it is looked up in `checksums`.
        signature: the URL of the checksum file's detached signature, or "inline" when the checksum file is itself signed.
        keyring: the file with the public keys of the distribution (on this machine), None when signatures are not checked.
        user: who may log in to a VM of this image.
        arch: the architecture, as in `host.info().arch`.
    """

    name: str
    url: str
    title: str = ""
    checksums: str | None = None
    checksum: str | None = None
    signature: str | None = None
    keyring: str | None = None
    user: str | None = None
    arch: str = "x86_64"


def catalogue(arch: str = "x86_64", *, extra: Iterable[Path] | None = None) -> Mapping[str, ImageSource]:
    """Return the images that are known for an architecture, by name, sorted.

    Args:
        arch: "x86_64", "aarch64", ...
        extra: further catalogue files; the user's own (see the module) when None. Later files win.

    Raises:
        InvalidSpecError: a file is not a catalogue; every bad entry is named.

    Example:
        >>> catalogue("aarch64", extra=())["debian-13"].url.rpartition("-")[2]
        'arm64.qcow2'
    """
    entries = _read("the built-in catalogue", files("novacron.images").joinpath("catalogue.toml").read_text("utf-8"))
    for path in user_files() if extra is None else extra:
        entries |= _read(str(path), _text(path))
    known = {name: _source(name, fields, arch) for name, fields in entries.items()}
    return MappingProxyType({name: source for name, source in sorted(known.items()) if source is not None})


def find_source(reference: str, arch: str = "x86_64", *, extra: Iterable[Path] | None = None) -> ImageSource:
    """Return what a catalogue name, a URL or a file's path means.

    Raises:
        ImageNotFoundError: no such name in the catalogue; the hint has similar names.
        InvalidSpecError: a URL that is not http, https or file, or one with a password in it.

    Example:
        >>> find_source("https://images.example.org/my-image.qcow2").name
        'my-image'
    """
    if "://" in reference:
        url = _checked_url(reference, "image")
        return ImageSource(name=_name_of(url), url=url)
    path = Path(reference).expanduser()
    if os.sep in reference or path.is_file():
        return ImageSource(name=_name_of(path.name), url=path.absolute().as_uri())
    known = catalogue(arch, extra=extra)
    if reference in known:
        return known[reference]
    near = difflib.get_close_matches(reference, known, n=3)
    hint = (
        f"did you mean {either(near)}?"
        if near
        else "`novacron image list --available` shows the catalogue; a URL or a file works too"
    )
    raise ImageNotFoundError(
        f"no image {reference!r} for {arch} in the catalogue", resource=reference, hint=hint, outcome="not_sent"
    )


def user_files() -> list[Path]:
    """Return the user's own catalogue files, in the order in which they are read."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "novacron" / "images.d"
    named = [Path(each) for each in os.environ.get("NOVACRON_IMAGES", "").split(os.pathsep) if each]
    return [*sorted(config.glob("*.toml")), *named]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidSpecError(
            "invalid image catalogue", problems=[SpecProblem(str(path), str(reason), "a TOML file that can be read")]
        ) from None


def _read(where: str, text: str) -> dict[str, dict[str, Any]]:
    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpecError("invalid image catalogue", problems=[SpecProblem(where, str(error), "TOML")]) from None
    problems = [problem for name, fields in entries.items() for problem in _problems(f"{where}: {name}", name, fields)]
    if problems:
        raise InvalidSpecError("invalid image catalogue", problems=problems, outcome="not_sent")
    return entries


def _problems(path: str, name: str, fields: Any) -> list[SpecProblem]:
    """Return what is wrong with an entry."""
    if not isinstance(fields, dict):
        return [SpecProblem(path, described(fields), "a table with at least `url`")]
    found = [] if NAME.fullmatch(name) else [SpecProblem(path, name, f"a name that matches {NAME.pattern}")]
    found += [SpecProblem(f"{path}.{key}", "unknown", f"one of {', '.join(sorted(FIELDS))}") for key in fields.keys() - FIELDS]
    found += [
        SpecProblem(f"{path}.{key}", described(value), "text")
        for key, value in fields.items()
        if key != "arch" and key in FIELDS and not isinstance(value, str)
    ]
    arches = fields.get("arch", {})
    if not isinstance(arches, dict) or not all(isinstance(value, str) for value in arches.values()):
        found.append(SpecProblem(f"{path}.arch", described(arches), "a table from architecture to its name in the URL"))
    if not isinstance(fields.get("url"), str):
        found.append(SpecProblem(f"{path}.url", "missing", "the image's URL"))
    return found


def _source(name: str, fields: dict[str, Any], arch: str) -> ImageSource | None:
    arches = fields.get("arch", {})
    if arches and arch not in arches:
        return None
    filled = {k: v.replace("{arch}", arches.get(arch, arch)) for k, v in fields.items() if k != "arch"}
    for key in ("url", "checksums", "signature"):
        if key in filled and filled[key] != "inline":
            _checked_url(filled[key], f"{name}.{key}")
    return ImageSource(name=name, arch=arch, **filled)


def _checked_url(url: str, field: str) -> str:
    if problem := problem_of(url, SCHEMES, secrets_in_query=True):
        raise InvalidSpecError("invalid URL", problems=[SpecProblem(field, scheme_of(url), problem)])
    return url


def _name_of(reference: str) -> str:
    """Return the name that an image gets from its file's name."""
    last = urlsplit(reference).path.rpartition("/")[2] if "://" in reference else reference
    stem = re.sub(r"(\.(qcow2?|img|raw|iso|vmdk|vhdx?|vdi))?(\.(xz|gz|bz2))?$", "", last) or "image"
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", stem).lstrip(".+-")[:128] or "image"


__all__ = ["FIELDS", "ImageSource", "catalogue", "find_source", "user_files"]
