"""The table of versions is held against libvirt's own description of its API, by following the calls of each operation."""

import ast
import re
from functools import cache
from pathlib import Path

import libvirt
import pytest
from lxml import etree

import novacron_kvm
from novacron import connect, errors
from novacron.plugins.validation import implementations
from novacron_kvm import versions
from novacron_kvm.plugin import areas

PACKAGE = Path(novacron_kvm.__file__).parent
API = Path("/usr/share/libvirt/api/libvirt-api.xml")


@cache
def since():
    """When libvirt got each of its functions and constants, as it says itself."""
    named = ((e.get("name"), e.get("version")) for e in etree.parse(str(API)).iter("function", "enum", "macro"))
    return {name: versions.version_number(version) for name, version in named if version}


@cache
def methods():
    """When libvirt got what is behind each method of the Python binding; of two of one name the older."""
    found, name = {}, None
    for line in Path(libvirt.__file__).read_text().splitlines():
        if begun := re.match(r"\s+def (\w+)\(self", line):
            name = begun[1]
        for function in re.findall(r"libvirtmod\.(vir\w+)", line):
            if name and function in since():
                found[name] = min(since()[function], found.get(name, since()[function]))
    return found


class Module:
    """A module's functions and what its names mean."""

    def __init__(self, path):
        self.functions, self.names = {}, {}
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                self.functions[None, node.name] = node
            elif isinstance(node, ast.ClassDef):
                self.functions |= {(node.name, f.name): f for f in node.body if isinstance(f, ast.FunctionDef)}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("novacron_kvm"):
                self.names |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}


@cache
def modules():
    return {".".join(("novacron_kvm", *p.relative_to(PACKAGE).with_suffix("").parts)): Module(p) for p in PACKAGE.rglob("*.py")}


def used(module, owner, name, seen):
    """Yield what a function uses of libvirt, and all that it calls in this package."""
    function = modules()[module].functions.get((owner, name)) if module in modules() else None  # core's own know no libvirt
    if function is None or (module, owner, name) in seen:
        return
    seen.add((module, owner, name))
    meant = modules()[module].names
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            where, what = meant.get(node.id, (module, node.id))
            if where in modules():
                yield from used(where, None, what, seen)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "libvirt":
            yield node.attr, since().get(node.attr, 0)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield from used(module, owner, node.attr, seen)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in meant:
            yield from used(".".join(meant[node.value.id]), None, node.attr, seen)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, methods().get(node.func.attr, 0)


@pytest.mark.parametrize("area", areas(), ids=lambda area: area.__name__)
def test_each_operation_names_the_version_of_the_newest_thing_that_it_uses(area):
    for operation, method in implementations(object.__new__(area)):
        uses = used(method.__func__.__module__, area.__name__, method.__name__, set())
        newest = max((use for use in uses if use[0] not in versions.OPTIONAL), key=lambda use: use[1], default=("", 0))
        needed = max(newest[1], versions.version_number(versions.MINIMUM))
        said = versions.LATER.get(operation, versions.MINIMUM)
        assert versions.version_text(needed) == said, f"{operation} uses {newest[0]}"


def test_the_description_of_the_api_is_read():
    """A libvirt that describes itself differently must not make the table look right."""
    assert since()["VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED"] == versions.version_number(versions.MINIMUM)
    assert methods()["authorizedSSHKeysSet"] == versions.version_number("6.10.0")
    assert any(
        name == "authorizedSSHKeysSet"
        for name, _ in used("novacron_kvm.operations.guest", "KVMGuest", "guest_ssh_keys_set", set())
    )


def test_an_older_libvirt_is_refused_and_a_middling_one_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(libvirt.virConnect, "getLibVersion", lambda self: 5_010_000)
    with pytest.raises(errors.UnsupportedOperationError) as caught:
        connect("test:///default")
    assert "5.10.0" in str(caught.value)
    assert versions.MINIMUM in caught.value.hint
    monkeypatch.setattr(libvirt.virConnect, "getLibVersion", lambda self: 6_009_000)
    with connect("test:///default") as host:
        assert host.capabilities().limits["guest_ssh_keys_set"] == "needs libvirt 6.10.0"
        assert "guest_exec" not in host.capabilities().limits


def test_versions_count_as_libvirt_does():
    assert [versions.version_number(text) for text in ("9.0.0", "7.7.0", "6.10.5")] == [9_000_000, 7_007_000, 6_010_005]
    assert [versions.version_text(number) for number in (9_000_000, 7_007_000, 6_010_005)] == ["9.0.0", "7.7.0", "6.10.5"]


def test_the_oldest_libvirt_that_works_is_taken_and_an_older_one_refused_by_name():
    oldest = versions.version_number(versions.MINIMUM)
    versions.refuse_old(oldest, "kvm1")
    with pytest.raises(errors.UnsupportedOperationError) as caught:
        versions.refuse_old(oldest - 1, "kvm1")
    assert caught.value.host == "kvm1"
    assert versions.version_text(oldest - 1) in str(caught.value)
    assert versions.MINIMUM in caught.value.hint


def test_an_operation_is_there_from_the_version_on_that_it_needs():
    assert versions.versions() == {"": versions.MINIMUM, **versions.LATER}
    for name, needed in versions.LATER.items():
        assert name not in versions.too_old(versions.version_number(needed))
        assert versions.too_old(versions.version_number(needed) - 1)[name] == f"needs libvirt {needed}"
