"""Completion in the shell: functions of the text and of what is known, without a terminal."""

import ast
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

import novacron
from novacron import specs
from novacron_shell.repl.completer import ShellCompleter, names_of
from novacron_shell.repl.completion import isolation
from novacron_shell.repl.completion.isolation import IsolatedCompleter
from novacron_shell.repl.completion.names import MOST, Names
from novacron_shell.repl.completion.scanning import scan
from novacron_shell.repl.completion.suggestions import suggest

KNOWN = Names(
    vms={"web1": "running on kvm1", "web2": "stopped on kvm2", "kvm1/db": "", "kvm2/db": "", "it's": ""},
    on_host={"kvm1": ["web1", "db"], "kvm2": ["web2", "db"]},
    hosts={"kvm1": "qemu+ssh://root@kvm1/system", "kvm2": "sim://kvm2"},
    pools={"kvm1": ["default", "fast"], "kvm2": ["default"]},
    networks={"kvm1": ["lan"], "kvm2": ["lan", "dmz"]},
    images={"kvm1": ["debian-13"]},
    templates={"kvm1": ["base"]},
    filters={"kvm1": ["clean-traffic"]},
    flows={"patch": "command: str", "backup": ""},
    steps={"start": "", "snapshot": "name: str"},
    python={
        "VMSpec": novacron.VMSpec,
        "DiskSpec": novacron.DiskSpec,
        "VMQuery": novacron.VMQuery,
        "connect": novacron.connect,
        "steps": __import__("novacron.workflow").workflow.steps,
    },
)


def texts(text, names=KNOWN):
    return [each.text for each in suggest(text, names)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('vms["we', ['web1"]', 'web2"]']),
        ("vms['", ["web1']", "web2']", "kvm1/db']", "kvm2/db']", "it\\'s']"]),
        ('x = vms["web1"].name + vms["WEB2', ['web2"]']),
        ('hosts["kvm1"].vms["', ['web1"]', 'db"]']),
        ('hosts["', ['kvm1"]', 'kvm2"]']),
        ('fleet().hosts["kvm2', ['kvm2"]']),
        ('host.pools["f', ['fast"]', 'default"]']),
        ('hosts["kvm2"].pools["', ['default"]']),
        ('host.networks["d', ['dmz"]']),
        ('vms["web1"].migrate(to="', ['kvm1"', 'kvm2"']),
        ('vms["web1"].migrate("kvm2', ['kvm2"']),
        ("vm.migrate(live=True, to='kvm1", ["kvm1'"]),
        ('vms["web1"].migrate_storage("fas', ['fast"']),
        ('NICSpec(network="l', ['lan"']),
        ('create(nics=[NICSpec(network="dm', ['dmz"']),
        ('DiskSpec(source="image:', ['image:debian-13"', 'image:"']),
        ('DiskSpec(size="1GiB", pool="de', ['default"']),
        ('connect("qemu+ssh://root@k', ['qemu+ssh://root@kvm1/system"']),
        ('templates.deploy("b', ['base"']),
        ('flows["pa', ['patch"]']),
        ("flows.pa", ["patch"]),
        ("steps.sna", ["snapshot"]),
        ("\"vms['we", []),
        ("# vms['we", []),
        ('print("we', []),
        ("vms['''we", ["web1''']", "web2''']"]),
    ],
)
def test_names_are_suggested_where_they_belong(text, found):
    assert texts(text) == found


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("VMSpec(", ["name=", "memory=", "firmware=", "disks="]),
        ("VMSpec(name='a', fir", ["firmware="]),
        ("VMSpec(firmware=", ["'bios'", "'uefi'"]),
        ('VMSpec(firmware="u', ['uefi"']),
        ("lab.vms.create(nam", ["name="]),
        ("lab.vms.create(start=", ["True", "False"]),
        ('vms["web1"].update(desc', ["description="]),
        ("lab.vms.list(", ["status=", "sort=", "detail="]),
        ('lab.vms.list(status="sto', ['stopped"']),
        ("lab.vms.list(sort=", ["'memory'"]),
        ("lab.vms.list(detail='f", ["full'"]),
        ("fleet().vms.list(sta", ["status="]),
        ("lab.pools.create(ty", ["type="]),
        ("lab.networks.create(type='", ["nat'"]),
        ('vms["web1"].snapshots.create("x", mem', ["memory="]),
        ('vms["web1"].disks.attach(bu', ["bus="]),
        ('vms["web1"].nics["x"].update(link', ["link_up="]),
        ('vms["web1"].migrate(sto', ["storage="]),
        ("steps.migrate(to=", ["'kvm1'", "'kvm2'"]),
        ("steps.shutdown(otherwise=", ["'fail'", "'stop'"]),
        ("VMQuery(det", ["detail="]),
    ],
)
def test_arguments_and_their_values_are_suggested(text, some):
    found = texts(text)
    assert [each for each in some if each not in found] == []


def test_an_argument_that_is_given_or_under_way_is_not_suggested_again():
    assert "name=" not in texts("VMSpec(name='a', ")
    assert texts("VMSpec(name='a' + ") == []
    assert texts("len(") == []


def test_every_field_of_every_spec_is_suggested():
    """A field that is new is suggested by itself, for it is read from the specs."""
    for name in specs.__all__:
        cls = getattr(specs, name)
        if hasattr(cls, "model_fields") and name in (
            "VMSpec",
            "DiskSpec",
            "NICSpec",
            "NetworkSpec",
            "StoragePoolSpec",
            "SnapshotSpec",
            "VolumeSpec",
        ):
            names = Names(python={name: cls})
            assert {f"{field}=" for field in cls.model_fields} <= set(texts(f"{name}(", names)), name


@given(st.text(alphabet="vms['\"]().,=# \nab\\f:{}", max_size=40))
def test_no_text_makes_completion_fail(text):
    suggest(text, KNOWN)
    place = scan(text)
    assert place.start + len(place.typed) == len(text) or place.comment


def test_nothing_of_the_user_is_called():
    """A name that is an object with side effects is not touched."""

    class Bomb:
        def __getattr__(self, name):
            raise AssertionError("touched")

    assert texts("bomb.vms.create(", Names(python={"bomb": Bomb()})) != []
    assert texts("bomb.other(", Names(python={"bomb": Bomb()})) == []


def completed(session, text, after=""):
    completer = ShellCompleter(session.shell, session.interpreter.commands)
    document = Document(text + after, len(text))
    return [each.text for each in completer.get_completions(document, CompleteEvent(completion_requested=True))]


def test_the_prompt_completes_live_names_and_python(session):
    session.shell.catalogue.refresh()
    assert completed(session, 'vms["vm-00001') == ['vm-00001"]']
    assert completed(session, 'vms["vm-00001', '"]') == ["vm-00001"]
    assert completed(session, "host.networks['") == [f"{name}']" for name in sorted(n.name for n in session.host.networks)]
    assert "migrate" in completed(session, 'vms["vm-00001"].mig') or "migrate" in completed(session, "host.vms['vm-00001'].mig")
    assert "start=" in completed(session, "host.vms.create(st")
    assert completed(session, 'vms["/etc/hos') == []
    assert "ts" in completed(session, 'open("/etc/hos') or "/etc/hosts" in "".join(completed(session, 'open("/etc/hos'))
    assert completed(session, ":network show ") != []
    assert session.host.name in completed(session, ":vm list --host ")


def test_a_completion_runs_nothing_and_holds_no_control_characters(session, monkeypatch):
    """Other tools may give a VM any name."""
    session.host.vms.create(name="kept")
    session.shell.vms.refresh()
    vm = session.shell.vms["kept"]
    names = ['kept"]; boom() #', "kept\\", "kept{boom()}", "kept\u202e", "kept\x1b]0;x\x07", "kept\nx"]
    monkeypatch.setattr(type(session.shell.vms), "items", lambda self: [(name, vm) for name in names])
    for begin in ('vms["kept', "vms['kept", 'vms[f"kept', 'vms["""kept'):
        offered = completed(session, begin)
        assert len(offered) == (2 if begin.startswith("vms[f") else 3)
        for each in offered:
            expression = ast.parse(begin.removesuffix("kept") + each, mode="eval").body
            assert isinstance(expression, ast.Subscript), each
            assert not [node for node in ast.walk(expression) if isinstance(node, ast.Call)], each


def test_a_vm_that_appears_is_completed(session):
    session.host.vms.create(name="brand-new")
    session.shell.vms.refresh()
    assert completed(session, 'vms["brand') == ['brand-new"]']
    assert "brand-new" in names_of(session.shell).vms


def test_a_completer_that_raises_or_hangs_costs_its_own_suggestions(session, monkeypatch):
    monkeypatch.setattr(isolation, "PATIENCE", 0.05)
    said, hang = [], threading.Event()
    session.shell.completers += [
        IsolatedCompleter("raises", lambda text: 1 / 0, said.append),
        IsolatedCompleter("hangs", lambda text: hang.wait(30), said.append),
        IsolatedCompleter("works", lambda text: ["from-a-plugin"], said.append),
    ]
    for _ in range(5):
        assert "from-a-plugin" in completed(session, "x = fro")
    hang.set()
    assert [line.split(" is ")[0] for line in said] == ["the completer raises"]
    assert "ZeroDivisionError" in said[0]


def test_a_completer_that_answers_again_stays_switched_on():
    answers = iter([None, None, ["a"], None, None, ["b"]])
    completer = IsolatedCompleter("moody", lambda text: next(answers))
    assert [completer.ask("") for _ in range(6)] == [[], [], ["a"], [], [], ["b"]]


def test_no_more_is_offered_than_a_menu_can_show():
    many = Names(vms={f"vm-{number:05}": "" for number in range(5000)})
    assert len(texts('vms["', many)) == MOST
    assert texts('vms["vm-04999', many) == ['vm-04999"]']
