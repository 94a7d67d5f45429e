"""Everything that the API returns has a display in the shell and in a notebook."""

import importlib
import inspect
import io
import os
import pkgutil
import re
import threading
from collections.abc import Mapping
from enum import Enum
from typing import Protocol

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

import novacron
from novacron import records
from novacron.display import html_card, html_table
from novacron.errors import VMNotFoundError
from novacron.plotting import Plot
from novacron.records.record import Record
from novacron.records.series import Series
from novacron.workflow import steps
from novacron_shell.repl.display import Displays
from novacron_shell.repl.pipes import Selection, each
from novacron_shell.repl.sparklines import sparkline
from novacron_shell.repl.waiting import Watch

HOSTILE = "\x1b]0;owned\x07[red]<b>"
RAW = re.compile(r"0x[0-9a-f]{6}|\bb'|\bb\"|\w\((?:\w+=)|\x1b|\x07|frozenset|\{'")
"""What no display contains: addresses, bytes literals, reprs of structs, control characters, reprs of dictionaries."""
DISPLAYS = Displays()


def said(value, width=200):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    DISPLAYS.show(value, console)
    return console.file.getvalue()


def record_classes():
    """Every record of the public API and of the modules in `records`."""
    for module in pkgutil.iter_modules(records.__path__, "novacron.records."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, Record) and found is not Record and found.__module__ == module.name:
                yield found


def made(kind, depth=0):
    """A value of a type, with a hostile text wherever text is allowed."""
    from msgspec import inspect as types

    if isinstance(kind, types.StrType):
        return HOSTILE
    if isinstance(kind, types.BytesType):
        return HOSTILE.encode()
    if isinstance(kind, types.LiteralType):
        return kind.values[0]
    if isinstance(kind, (types.IntType, types.FloatType)):
        return 3
    if isinstance(kind, types.BoolType):
        return True
    if isinstance(kind, types.UnionType):
        return made(next(each for each in kind.types if not isinstance(each, types.NoneType)), depth)
    if isinstance(kind, types.VarTupleType):
        return (made(kind.item_type, depth),) * 2
    if isinstance(kind, types.TupleType):
        return tuple(made(each, depth) for each in kind.item_types)
    if isinstance(kind, (types.FrozenSetType, types.SetType)):
        return frozenset({made(kind.item_type, depth)})
    if isinstance(kind, types.ListType):
        return [made(kind.item_type, depth)]
    if isinstance(kind, types.DictType):
        return {"key": made(kind.value_type, depth)}
    if isinstance(kind, types.StructType):
        return record(kind.cls, depth + 1) if depth < 2 else None
    return HOSTILE


def record(cls, depth=0):
    from msgspec import inspect as types

    if cls is records.Page:
        return cls(items=(record(records.Ping),), total=1)
    info = types.type_info(cls)
    return cls(**{field.name: made(field.type, depth) for field in info.fields})


@pytest.mark.parametrize("cls", sorted(record_classes(), key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__)
def test_every_record_has_a_card_and_a_table_that_nothing_can_disturb(cls):
    one = record(cls)
    for shown in (said(one), said([one, one]), said((one,)), said({"x": one})):
        assert shown.strip()
        assert not RAW.search(shown), RAW.search(shown)
    for page in (html_card(one), html_table([one]), one._repr_html_()):
        assert page.startswith(("<table>", "<em>"))
        assert "<b>" not in page
        assert "\x1b" not in page


@pytest.fixture(scope="module")
def host():
    with novacron.connect("sim://displays?vms=4") as host:
        vm = host.vms["vm-00001"]
        vm.snapshots.create("base")
        vm.snapshots.create("patched", description="after the patch")
        yield host


HANDLES = {
    "alerts": lambda host: novacron.fleet().alerts,
    "fence devices": lambda host: novacron.fleet().fencing,
    "failovers": lambda host: novacron.fleet().failover,
    "maintenance": lambda host: novacron.fleet().maintenance,
    "metrics of the fleet": lambda host: novacron.fleet().metrics,
    "metrics of a vm": lambda host: host.vms["vm-00001"].metrics,
    "native operations": lambda host: host.native,
    "ssh": lambda host: host.vms["vm-00001"].ssh,
    "site": lambda host: __import__("novacron.site").site.default_site(),
    "host": lambda host: host,
    "vm": lambda host: host.vms["vm-00001"],
    "vms": lambda host: host.vms,
    "page": lambda host: host.vms.list(limit=2),
    "list of vms": lambda host: list(host.vms),
    "mapping of vms": lambda host: {vm.name: vm for vm in host.vms},
    "disks": lambda host: host.vms["vm-00001"].disks,
    "disk": lambda host: next(iter(host.vms["vm-00001"].disks)),
    "nics": lambda host: host.vms["vm-00001"].nics,
    "nic": lambda host: next(iter(host.vms["vm-00001"].nics)),
    "guest": lambda host: host.vms["vm-00001"].guest,
    "guest of a stopped vm": lambda host: host.vms["vm-00003"].guest,
    "executed": lambda host: host.vms["vm-00001"].guest.exec("echo", "\x1b[2Jhello"),
    "resources": lambda host: host.vms["vm-00001"].resources,
    "snapshots": lambda host: host.vms["vm-00001"].snapshots,
    "snapshot": lambda host: next(iter(host.vms["vm-00001"].snapshots)),
    "pools": lambda host: host.pools,
    "networks": lambda host: host.networks,
    "filters": lambda host: host.filters,
    "templates": lambda host: host.templates,
    "images": lambda host: host.images,
    "capabilities": lambda host: host.capabilities(),
    "export": lambda host: host.vms["vm-00001"].export(),
    "metrics": lambda host: host.vms["vm-00001"].metrics(),
    "screenshot": lambda host: host.vms["vm-00001"].screenshot(),
    "events": lambda host: host.events(timeout=0.01),
    "each": lambda host: host.vms.list().each,
    "results of each": lambda host: host.vms.list().each.refresh(),
    "fleet": lambda host: novacron.fleet(),
    "fleet vms": lambda host: novacron.fleet().vms,
    "fleet hosts": lambda host: novacron.fleet().hosts,
    "settings": lambda host: novacron.fleet().settings,
    "runs": lambda host: novacron.fleet().runs,
    "run": lambda host: steps.snapshot("by-run").run(host.vms["vm-00002"]),
    "run record": lambda host: novacron.fleet().runs.list()[0],
    "schedules": lambda host: novacron.fleet().schedules,
    "plan": lambda host: steps.snapshot("planned").plan(host.vms["vm-00002"]),
    "workflow": lambda host: steps.start() >> steps.snapshot("after"),
    "flows": lambda host: __import__("novacron.workflow").workflow.FLOWS,
    "flow": lambda host: __import__("novacron.workflow").workflow.FLOWS.patch,
    "spec": lambda host: novacron.VMSpec(name="web1", memory="1GiB", disks=[novacron.DiskSpec(size="1GiB")]),
    "job": lambda host: host.submit("vm_create", spec=novacron.VMSpec(name=f"job-{len(host.vms)}")),
    "plot": lambda host: Plot([Series(metric="load", labels={"host": HOSTILE}, points=((0.0, 1.0), (60.0, 3.0)))], HOSTILE),
    "empty plot": lambda host: Plot([], HOSTILE),
    "selection": lambda host: Selection(list(host.vms), {"kvm9": HOSTILE}),
    "outcomes": lambda host: Selection([host.vms["vm-00001"]], {"kvm9": HOSTILE}) | each(lambda vm: HOSTILE),
    "action": lambda host: each(len),
    "watch": lambda host: Watch(Console(), DISPLAYS),
    "error": lambda host: VMNotFoundError("no VM named 'x'", hint="see \x1b[2J"),
}


@pytest.mark.parametrize("name", HANDLES)
def test_every_handle_has_a_display(host, name):
    value = HANDLES[name](host)
    if name == "job":
        value.result(60)
    shown = said(value)
    assert shown.strip()
    assert not RAW.search(shown), shown


def handle_classes():
    for folder in ("handles", "fleets"):
        package = importlib.import_module(f"novacron.{folder}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if found.__module__ == module.name and not found.__name__.startswith("_") and not issubclass(found, Protocol):
                    yield found


def test_no_class_of_handles_and_fleets_shows_the_address_of_an_object():
    """A class without a repr, a display, a record or items is shown by its name."""
    from novacron_shell.repl.drawings import DRAWERS

    bare = [
        cls
        for cls in handle_classes()
        if cls.__repr__ is object.__repr__
        and not issubclass(cls, (msgspec.Struct, BaseException, tuple))
        and cls.__qualname__ not in DRAWERS
        and not hasattr(cls, "__iter__")
    ]
    for cls in bare:
        shown = said(object.__new__(cls))
        assert cls.__name__ in shown
        assert not RAW.search(shown), shown


def all_classes():
    """The public classes of NovaCron, by name. Those of drivers and of the contract are not what a user holds."""
    found = {}
    for module in pkgutil.walk_packages(novacron.__path__, "novacron."):
        if module.name.startswith(("novacron.hookspecs", "novacron.drivers", "novacron.testing")):
            continue
        for name, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if cls.__module__ == module.name and not name.startswith("_"):
                found.setdefault(name, set()).add(cls)
    return found


def returned(cls):
    """The names in the types of a class's public attributes, and in what its public methods return."""
    annotations = [
        str(kind) for each in cls.__mro__ for name, kind in vars(each).get("__annotations__", {}).items() if name[0] != "_"
    ]
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if (not name.startswith("_") or name in ("__getitem__", "__iter__", "__call__")) and inspect.isfunction(function):
            annotations.append(str(function.__annotations__.get("return")))
    return {word for text in annotations for word in re.findall(r"[A-Za-z]\w*", text)}


def reachable_classes():
    """The classes that `novacron` exports, handles and records, and all that their attributes and methods return."""
    known, found = all_classes(), set()
    waiting = [cls for name in novacron.__all__ for cls in known.get(name, ())]
    packages = tuple(f"novacron.{name}." for name in ("handles", "records"))
    waiting += [cls for group in known.values() for cls in group if cls.__module__.startswith(packages)]
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            waiting += [each for name in returned(cls) for each in known.get(name, ())]
    return found


PARTS = {
    "AlertStorage",
    "ApplicationPlugins",
    "Collector",
    "Compaction",
    "Driver",
    "DriverProvider",
    "DurableEngine",
    "Entry",
    "FailoverController",
    "FleetView",
    "Layout",
    "Location",
    "MetricStorage",
    "Notifier",
    "Placer",
    "Planner",
    "StepKind",
    "StepKinds",
}
"""Parts of services, of the workflow engine and of the placement, which their owners make: nobody has one at the prompt."""


def has_display(cls):
    """Whether values of a class are drawn by more than their repr."""
    from novacron_shell.repl.drawings import DRAWERS

    return (
        issubclass(cls, (msgspec.Struct, BaseException, Mapping))
        or any(each.__qualname__ in DRAWERS and each.__module__.startswith("novacron") for each in cls.__mro__)
        or hasattr(cls, "__iter__")
        or hasattr(cls, "record")
        or "record" in inspect.signature(cls).parameters
    )


def test_every_class_that_a_user_can_hold_has_a_display():
    without = {cls.__name__ for cls in reachable_classes() if not has_display(cls) and not issubclass(cls, Enum)}
    assert without == PARTS


def test_an_object_without_a_display_is_shown_without_its_address():
    class Thing:
        pass

    assert "0x" not in said(Thing())
    assert "\\x1b[2J" in said(type("Evil", (), {"__repr__": lambda self: "\x1b[2J"})())


@pytest.mark.parametrize("shown", ["vm", "nics"])
def test_a_vm_of_a_list_shows_all_of_it_and_its_addresses(host, shown):
    """A listing reads few fields. A card without the others would say that the VM has no disks and no addresses."""
    vm = next(each for each in host.vms.list() if each.name == "vm-00001")
    assert vm.record.nics is None
    record = vm.host.invoke("vm_get", vm=vm.id)
    (addresses,) = {nic.addresses for nic in record.nics}
    text = said(vm if shown == "vm" else vm.nics)
    assert addresses
    assert all(address in text for address in addresses)
    assert shown == "nics" or all(disk.source in text for disk in record.disks)


def test_a_vm_whose_host_does_not_answer_shows_what_was_read(host, monkeypatch):
    """The display waits a few seconds at most, and says why fields are missing."""
    vm = next(each for each in host.vms.list() if each.name == "vm-00001")
    ended = threading.Event()
    monkeypatch.setattr("novacron_shell.repl.drawings.CARD_SECONDS", 0.01)
    monkeypatch.setattr("novacron.handles.addresses.whole_record", lambda *_, **__: ended.wait())
    try:
        text = said(vm)
    finally:
        ended.set()
    assert vm.id in text
    assert "did not tell all of vm-00001" in text


def test_a_host_shows_each_value_once(host):
    """What it is and what it uses are two records that share fields."""
    names = [line.split()[0] for line in said(host).splitlines() if line[:1].strip()]
    assert "memory_free_bytes" in names
    assert len(names) == len(set(names))


def test_snapshots_are_a_tree(host):
    shown = said(host.vms["vm-00001"].snapshots)
    assert re.search(r"base.*\n.*└── patched ● current.*after the patch", shown)


def test_snapshots_whose_parents_form_a_ring_are_shown_once(host):
    from types import SimpleNamespace

    from novacron_shell.repl.drawings import snapshots

    ring = [
        records.Snapshot(name=name, vm="v", host="h", created_at="t", status="stopped", parent=parent)
        for name, parent in (("a", "b"), ("b", "a"), ("c", "gone"))
    ]
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(snapshots([SimpleNamespace(record=each) for each in ring]))
    assert [console.file.getvalue().count(f"── {name} ") for name in "abc"] == [1, 1, 1]


def test_a_run_shows_its_steps_and_why_one_failed(host):
    run = (steps.snapshot("fine") >> steps.start() >> steps.migrate(to="nowhere")).run(host.vms["vm-00002"])
    for value in (run, novacron.fleet().runs[run.id]):
        shown = said(value)
        assert re.search(r"✘ migrate to nowhere +failed", shown), shown
        assert "no host named 'nowhere'" in shown


def test_output_of_a_guest_is_text_and_says_its_exit_code():
    shown = said(records.ExecResult(exit_status=3, stdout=b"one\ntwo\n", stderr=b"bad \xff"))
    assert shown.splitlines()[:2] == ["one", "two"]
    assert "exit code 3" in shown


def test_results_with_errors_are_one_line_each(host):
    shown = said([host.vms["vm-00001"], VMNotFoundError("gone"), None])
    assert "VMNotFoundError: gone" in shown
    assert "<VM vm-00001" in shown


def test_stored_metrics_have_curves():
    some = [records.VMUsage(vm="v", host="h", at=str(n), seconds=1.0, cpus=float(n)) for n in range(8)]
    assert "▁▂▃▄▅▆▇█" in said(some)
    assert sparkline([None, None]) == "  "


def test_a_long_listing_goes_through_a_pager_and_a_short_one_does_not(monkeypatch):
    import click

    paged = []
    monkeypatch.setattr(click, "echo_via_pager", lambda text, **_: paged.append(text))
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    many = [records.MACClash(mac=f"52:54:00:00:00:{n:02x}", vms=("a", "b")) for n in range(40)]
    DISPLAYS.show(many[:5], console)
    assert (paged, console.file.getvalue().count("52:54")) == ([], 5)
    DISPLAYS.show(many, console)
    assert paged[0].count("52:54") == 40


@pytest.mark.parametrize(("pager", "escapes"), [(None, True), ("less", False)])
def test_the_pager_is_given_escapes_only_if_it_shows_them(tmp_path, monkeypatch, pager, escapes):
    """`less` shows them as "ESC[1m" unless it has the option -R. A person's own options for it stay as they are."""
    program, seen = tmp_path / "less", tmp_path / "seen"
    program.write_text(f'#!/bin/sh\n{{ echo "LESS=$LESS"; cat; }} > {seen}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("PAGER", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LESS", "" if pager is None else "-F")
    monkeypatch.setattr("click._termui_impl.isatty", lambda _: True)
    console = Console(file=io.StringIO(), width=80, height=10, force_terminal=True, color_system="standard")
    DISPLAYS.show([records.MACClash(mac=f"52:54:00:00:00:{n:02x}", vms=("a", "b")) for n in range(40)], console)
    text = seen.read_text()
    assert text.count("52:54") == 40
    assert ("\x1b[" in text) == escapes
    assert text.startswith("LESS=-R\n" if escapes else "LESS=-F\n")


def test_a_listing_of_thousands_has_a_line_for_each_with_colours_and_is_cut_at_the_edge():
    from novacron_shell.repl.display import table

    rows = [(f"vm-{number:05}", "running" if number % 2 else "stopped", "名前\x1b[2J\nnext", "x" * 40) for number in range(5000)]
    for width, colours in ((40, None), (120, "truecolor")):
        console = Console(file=io.StringIO(), width=width, color_system=colours, force_terminal=True)
        console.print(table(("name", "status", "description", "id"), rows), end="")
        heading, *lines = console.file.getvalue().splitlines()
        assert "name" in heading
        assert len(lines) == 5000
        assert all(name in line for (name, *_), line in zip(rows, lines, strict=True))
        assert "\x1b[2J" not in console.file.getvalue()
        assert ("\x1b[32m" in lines[1]) is (colours is not None)
        if colours is None:
            assert max(cell_len(line) for line in lines) <= width
        else:
            assert lines[0].rstrip().endswith("x" * 40)


def test_a_narrow_terminal_shows_every_name(host):
    shown = said(host.vms, width=40)
    assert max(map(len, shown.splitlines())) <= 40
    for number in range(1, 5):
        assert f"vm-0000{number}" in shown.replace("\n", "")


def test_collections_and_handles_have_a_display_in_notebooks(host):
    vm = host.vms["vm-00001"]
    for value in (
        host.vms,
        host.vms.list(),
        vm,
        vm.disks,
        next(iter(vm.disks)),
        vm.nics,
        vm.snapshots,
        host.pools,
        novacron.fleet().vms,
    ):
        assert "<table>" in value._repr_html_() or value._repr_html_() == "<em>nothing found</em>"


def test_a_plot_fills_the_width_and_names_its_curves():
    curves = [
        Series(metric="cpu", labels={"vm": "6b1f", "name": f"web{n}"}, points=((0.0, n), (3600.0, n * 1e3))) for n in range(1, 11)
    ]
    shown = said(Plot(curves, "cpu"), width=100)
    assert max(map(len, shown.splitlines())) == 100
    assert "10k" in shown  # the highest curve, with the scale of the values
    assert "name=web10" in shown
    assert "and 2 more series" in shown
    assert "01:00" in shown


@pytest.mark.parametrize(("data", "shown"), [(None, True), (b"no picture", False), (b"\x89PNG\r\n\x1a\n" + b"x" * 50, False)])
def test_a_screenshot_is_a_picture_in_a_terminal_and_a_line_elsewhere(host, data, shown):
    picture = host.vms["vm-00001"].screenshot()
    picture = picture if data is None else msgspec.structs.replace(picture, data=data)
    assert said(picture).startswith("picture of ")
    console = Console(file=io.StringIO(), width=100, color_system="truecolor", force_terminal=True)
    console.print(DISPLAYS.draw(picture))
    assert ("\x1b[" in console.file.getvalue()) is shown
    assert "picture of " in console.file.getvalue()
