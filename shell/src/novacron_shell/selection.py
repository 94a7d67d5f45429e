"""Chooses VMs: by name, pattern, tag, host or status, from the whole fleet or one host.

| selector | chooses |
|---|---|
| `web1`, a UUID, `kvm1/web1` | one VM |
| `web-*`, `web[12]` | VMs whose name matches. A VM with exactly this name wins over the pattern. |
| `tag:TAG`, `host:HOST`, `status:STATUS` | VMs with that tag, on that host, in that status |
| `@GROUP` | VMs on the nodes of that group of the fleet |
| `-` | the names that standard input holds, separated by blanks or newlines |
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from novacron.errors import HostNotFoundError, InvalidSpecError, SpecProblem, VMNotFoundError

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron_shell.settings import Settings

KINDS = ("tag", "host", "status")
GROUP = "@"
FEW = 3
"""Names up to this number are looked up one by one; more are found in a listing."""


def select(settings: Settings, words: Sequence[str], *, full: bool = False) -> list[VMHandle]:
    """Return the VMs that selectors choose, each once, in the order of the selectors.

    Args:
        settings: the hosts.
        words: the selectors.
        full: read all fields of the VMs, such as tags and NICs.

    Raises:
        VMNotFoundError: A selector chooses no VM.
        InvalidSpecError: No such status.
    """
    asked = list(_words(words))
    listed: list[VMHandle] | None = None
    if len(asked) > FEW or any(map(is_selector, asked)):
        detail: Literal["summary", "full"] = "full" if full or any(word.startswith("tag:") for word in asked) else "summary"
        listed = _listing(settings, asked, detail)
    found: dict[tuple[str, str], VMHandle] = {}
    for word in asked:
        for vm in _chosen(settings, word, listed):
            found[vm.host.name, vm.id] = vm
    return list(found.values())


def is_selector(word: str) -> bool:
    """Whether a word may choose several VMs.

    Example:
        >>> [is_selector(word) for word in ("web1", "web-*", "tag:web", "a,b", "@prod", "-")]
        [False, True, True, True, True, True]
    """
    kind, colon, _ = word.partition(":")
    return word == "-" or word.startswith(GROUP) or bool(set(word) & set("*?[,")) or bool(colon and kind in KINDS)


def _words(words: Iterable[str]) -> Iterable[str]:
    for word in words:
        if word == "-":
            yield from sys.stdin.read().split()
        else:
            yield word


def _listing(settings: Settings, asked: Sequence[str], detail: Literal["summary", "full"]) -> list[VMHandle]:
    """Return all VMs of the hosts that can matter.

    Raises:
        HostNotFoundError: only hosts are asked for, and one of them does not exist. A VM may be named like the selector of a host.
    """
    unknown: HostNotFoundError | None = None
    if all(word.startswith("host:") for word in asked):
        try:
            hosts = [settings.open(word.partition(":")[2]) for word in asked]
            return [vm for host in hosts for vm in host.vms.list(detail=detail)]
        except HostNotFoundError as error:
            unknown = error
    found = [vm for page in settings.ask(lambda host: list(host.vms.list(detail=detail))) for vm in page]
    if unknown is not None and not any(vm.name in asked for vm in found):
        raise unknown
    return found


def _chosen(settings: Settings, word: str, listed: list[VMHandle] | None) -> list[VMHandle]:
    if listed is not None:
        exact = [vm for vm in listed if word in (vm.name, vm.id)]
        if len(exact) == 1:
            return exact
        if not exact and "," in word:
            return [vm for part in filter(None, map(str.strip, word.split(","))) for vm in _chosen(settings, part, listed)]
        if not exact and is_selector(word):
            return _matching(word, listed)
    return [settings.vm(word)]


def _matching(word: str, listed: list[VMHandle]) -> list[VMHandle]:
    kind, colon, value = word.partition(":")
    if word.startswith(GROUP):
        nodes = _nodes(word.removeprefix(GROUP))
        some = [vm for vm in listed if vm.host.name in nodes and nodes[vm.host.name] & {None, vm.record.node}]
    elif colon and kind in KINDS:
        some = [vm for vm in listed if _has(vm, kind, value)]
    else:
        some = [vm for vm in listed if fnmatch.fnmatchcase(vm.name, word)]
    if not some:
        raise VMNotFoundError(
            _nothing(word),
            resource=word,
            hint="a name, a pattern such as 'web-*', tag:TAG, host:HOST, status:STATUS or @GROUP",
        )
    return some


def _nothing(word: str) -> str:
    """Return the message for a selector that chooses no VM."""
    kind, colon, value = word.partition(":")
    if word.startswith(GROUP):
        return f"no VM is on a node of the group {word.removeprefix(GROUP)!r}"
    if colon and kind in KINDS:
        return {"tag": f"no VM has the tag {value!r}", "host": f"no VM is on {value!r}", "status": f"no VM is {value}"}[kind]
    return f"no name of a VM matches {word!r}"


def _nodes(group: str) -> dict[str, set[str | None]]:
    """Return the names of the nodes of a group by host; None among them stands for all nodes of the host.

    Raises:
        NotFoundError: the fleet has no such group.
    """
    import difflib

    from novacron import fleet
    from novacron.errors import NotFoundError

    every = fleet().nodes.list()
    groups = sorted({node.group for node in every if node.group})
    if group not in groups:
        near = difflib.get_close_matches(group, groups, n=1)
        known = f"did you mean {GROUP}{near[0]}?" if near else f"there are: {', '.join(groups) or 'none'}"
        raise NotFoundError(
            f"no node belongs to a group {group!r}",
            resource=group,
            hint=f"{known}; `novacron node set NODE --group {group}` adds one",
        )
    alone = {
        host: len([node for node in every if host in (node.host, *node.hosts)]) == 1
        for node in every
        for host in (node.host, *node.hosts)
    }
    found: dict[str, set[str | None]] = {}
    for node in every:
        if node.group == group:
            for host in (node.host, *node.hosts):
                found.setdefault(host, set()).add(None if alone[host] else node.name)
    return found


def _has(vm: VMHandle, kind: str, value: str) -> bool:
    if kind == "tag":
        return value in (vm.record.tags or ())
    if kind == "host":
        return vm.host.name == value
    from novacron.records.vm import Status

    known: Any = Status.__args__  # type: ignore[attr-defined]
    if value not in known:
        raise InvalidSpecError("no such status", problems=[SpecProblem("status", value, "one of " + ", ".join(known))])
    return bool(vm.status == value)


__all__ = ["is_selector", "select"]
