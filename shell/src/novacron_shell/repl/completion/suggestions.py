"""Suggests how to continue a line of Python: names of resources, arguments of calls and their values.

`suggest` is a function of the text and of what is known; what it does not know, ptpython's own completion adds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from novacron_shell.repl.completion.arguments import arguments_of
from novacron_shell.repl.completion.names import Names, Suggestion, matching
from novacron_shell.repl.completion.scanning import Place, scan

KEYED = ("vms", "hosts", "pools", "networks", "images", "templates", "filters", "flows")
"""Collections whose keys are names: `vms["web1"]`."""
ARGUMENTS: Mapping[str, str] = {
    "to": "hosts",
    "host": "hosts",
    "network": "networks",
    "pool": "pools",
    "destination_pool": "pools",
    "image": "images",
    "template": "templates",
    "filter": "filters",
    "vm": "vms",
}
"""Name of an argument to the kind of resource that it names."""
FIRST: Mapping[str, str] = {
    "migrate": "hosts",
    "migrate_storage": "pools",
    "evacuate": "hosts",
    "deploy": "templates",
    "volumes": "pools",
    "leases": "networks",
    "remove": "hosts",
}
"""Name of a method to the kind of resource that its first argument names."""
SCHEMES = ("qemu:///system", "qemu+ssh://root@HOST/system", "vsphere://USER@VCENTER", "sim://NAME")
PATHS = ("open", "Path", "load", "import_appliance", "export_appliance", "upload", "download", "run_path")
"""Functions whose first argument is a file: there, completion of paths belongs."""


def suggest(text: str, names: Names) -> list[Suggestion]:
    """Return suggestions for the end of a text, best first.

    Args:
        text: Python, up to the cursor.
        names: what is known.

    Example:
        >>> names = Names(vms={"web1": "running", "web2": "", "db": ""}, networks={"kvm1": ["lan"]})
        >>> [each.text for each in suggest('vms["we', names)], [each.text for each in suggest("x.create(network='", names)]
        (['web1"]', 'web2"]'], ["lan'"])
    """
    place = scan(text)
    if place.comment:
        return []
    if place.quote is not None:
        return _in_string(place, names)
    return [*_attributes(text, place, names), *_in_call(text, place, names)]


def belongs_to_path(text: str) -> bool:
    """Whether the open string at the end of a text is the place of a file name.

    Example:
        >>> belongs_to_path('open("/et'), belongs_to_path('vms["/et'), belongs_to_path('create(serial_log="/var')
        (True, False, True)
    """
    place = scan(text)
    if place.quote is None or place.inner is None:
        return False
    name = place.inner.owner.rpartition(".")[2]
    paths = ("file", "path", "serial_log", "kernel", "initrd", "iso", "log", "folder")
    return place.keyword in paths or (place.keyword is None and name in PATHS and place.inner.position == 0)


def _in_string(place: Place, names: Names) -> list[Suggestion]:
    inner = place.inner
    if inner is None:
        return []
    last = inner.owner.rpartition(".")[2].rpartition("]")[2]
    end = str(place.quote)
    if inner.kind == "[":
        known = names.of(last, _host_of(inner.owner, names)) if last in KEYED else {}
        return _quoted(known, place, end + "]")
    if inner.kind != "(":
        return []
    if last == "connect" and place.keyword is None and inner.position == 0:
        uris = {uri: name for name, uri in names.hosts.items() if uri}
        return _quoted({**uris, **dict.fromkeys(SCHEMES, "")}, place, end)
    if place.keyword == "source":
        return _quoted(
            {f"image:{name}": about for name, about in names.of("images").items()} | {"image:": "an image"}, place, end
        )
    kind = ARGUMENTS.get(place.keyword or "") or (FIRST.get(last) if place.keyword is None and inner.position == 0 else None)
    if kind:
        return _quoted(names.of(kind, _host_of(inner.owner, names) if kind != "hosts" else None), place, end)
    values = arguments_of(inner.owner, names).get(place.keyword or "", ())
    return _quoted({value[1:-1]: "" for value in values if value[:1] in "'\""}, place, end)


def _quoted(known: Mapping[str, str], place: Place, end: str) -> list[Suggestion]:
    """Return names as the rest of the open string. In an f-string, a name with a brace would be code."""
    quote = (place.quote or "'")[0]
    return [
        Suggestion(name.replace("\\", "\\\\").replace(quote, f"\\{quote}") + end, len(place.typed), name, about)
        for name, about in matching(known, place.typed)
        if "f" not in place.prefix or "{" not in name
    ]


def _host_of(owner: str, names: Names) -> str | None:
    """Return the host that an expression such as `hosts["kvm1"].vms` or `kvm1.networks` belongs to."""
    if match := re.search(r"hosts\[['\"]([^'\"]+)['\"]\]", owner):
        return match[1]
    if match := re.match(r"connect\(|vms\[['\"]", owner):
        return None
    value = names.python.get(owner.partition(".")[0]) if "." in owner else None
    return getattr(value, "name", None) if type(value).__name__ == "HostHandle" else None


def _attributes(text: str, place: Place, names: Names) -> Iterable[Suggestion]:
    """Suggest flows after `flows.` and steps after `steps.`, with their parameters."""
    match = re.search(r"\b(flows|steps)\.$", text[: place.start])
    if match:
        for name, about in matching(names.of(match[1]), place.typed):
            yield Suggestion(name, len(place.typed), name, about)


def _in_call(text: str, place: Place, names: Names) -> Iterable[Suggestion]:
    """Suggest names of arguments that are not given yet, or values of the argument that is being typed."""
    inner = place.inner
    if inner is None or inner.kind != "(" or text[: place.start].endswith("."):
        return
    known = arguments_of(inner.owner, names)
    if place.keyword is None:
        if text[inner.argument : place.start].strip():
            return
        free = {f"{name}=": " | ".join(values) for name, values in known.items() if name not in inner.given}
        found = [(name, about) for name, about in matching(free, place.typed) if name.lower().startswith(place.typed.lower())]
        yield from (Suggestion(name, len(place.typed), name, about) for name, about in found)
        return
    values = dict.fromkeys(known.get(place.keyword, ()), "")
    if kind := ARGUMENTS.get(place.keyword):
        values |= {
            repr(name): about for name, about in names.of(kind, _host_of(inner.owner, names) if kind != "hosts" else None).items()
        }
    elif place.keyword == "source":
        values |= {f"'image:{name}'": about for name, about in names.of("images").items()}
    yield from (Suggestion(name, len(place.typed), name, about) for name, about in matching(values, place.typed))


__all__ = ["belongs_to_path", "suggest"]
