"""The prompt appears before the hosts are open; a host that hangs or fails delays nobody but itself."""

import itertools
import threading

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

import novacron
from novacron.errors import AuthenticationError, HostConnectionError
from novacron_shell.options import Settings
from novacron_shell.repl import inventory
from novacron_shell.repl import opening as module
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.inventory import CONNECTING, Inventory, OpenHosts
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.opening import Opening
from novacron_shell.repl.shell import Shell
from novacron_shell.repl.toolbar import Toolbar
from novacron_shell.repl.watching import ProgressPolicy

NAMES = itertools.count()


@pytest.fixture
def registered():
    names = [f"opening-{next(NAMES)}" for _ in range(3)]
    for name in names:
        novacron.fleet().add(name, f"sim://{name}?vms=1&prefix={name}-")
    yield names
    for name in names:
        novacron.fleet().remove(name)


@pytest.fixture
def opened():
    """A function that returns a session and its `Opening`, which has not begun."""
    made = []

    def make(settings):
        hosts = OpenHosts()
        shell = Environment({}, Console(), hosts, Inventory(hosts), JobBook())
        made.append(Opening(shell, settings, ProgressPolicy(shell.jobs)))
        return shell, made[-1]

    yield make
    for each in made:
        each._shell.close()
        if each._registered:
            from novacron.site import default_site

            default_site().plugins.unregister("shell")


def test_a_host_that_hangs_at_the_start_delays_no_other_and_returns_by_itself(registered, opened, monkeypatch):
    first, hung, third = registered
    halted, back = threading.Event(), threading.Event()
    monkeypatch.setattr(module, "GRACE", 0.0)
    monkeypatch.setattr(inventory, "PATIENCE", 60.0)
    real = type(novacron.fleet().hosts).__getitem__

    def find(hosts, name):
        if name == hung:
            halted.wait(60)
        return real(hosts, name)

    monkeypatch.setattr(type(novacron.fleet().hosts), "__getitem__", find)
    shell, opening = opened(Settings())
    answered = threading.Event()
    shell.vms._on_return = lambda host: answered.set() if len(shell.hosts) == 2 else back.set() if host.name == hung else None
    opening.begin()
    opening.ready.result(60)
    assert answered.wait(60)
    assert set(shell.vms) == {f"{first}-00001", f"{third}-00001"}
    assert shell.vms.unreachable == {hung: CONNECTING}
    assert f"connecting: {hung}" in "".join(part[1] for part in Toolbar(shell).text())
    with pytest.raises(novacron.NovaCronError, match=f"no answer from {hung}"):
        shell.vms["nope"]
    halted.set()
    assert back.wait(60)
    assert f"{hung}-00001" in shell.vms
    assert shell.vms.unreachable == {}


def test_a_named_host_that_cannot_be_opened_ends_the_prompt_with_its_error(opened, tmp_path, monkeypatch):
    def refuse(self):
        raise HostConnectionError("no route to host")

    monkeypatch.setattr(Settings, "host", refuse)
    shell, opening = opened(Settings("sim://refused"))
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        prompt = Shell(shell, Toolbar(shell), str(tmp_path / "history"), ProgressPolicy(shell.jobs), opening)
        prompt.run()
    assert "no route" in str(opening.error)
    assert not opening.repeatable()


def test_a_line_that_was_typed_before_the_host_failed_ends_the_shell(opened, tmp_path, monkeypatch):
    typed = threading.Event()

    def refuse(self):
        typed.wait(60)
        raise HostConnectionError("no route to host")

    monkeypatch.setattr(Settings, "host", refuse)
    shell, opening = opened(Settings("sim://refused"))
    shell.vms.refresh_soon = lambda: None
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        prompt = Shell(shell, Toolbar(shell), str(tmp_path / "history"), ProgressPolicy(shell.jobs), opening)
        opened_before = prompt._opened

        def waiting():
            typed.set()
            opened_before()

        prompt._opened = waiting
        keys.send_text("1 + 1\r")
        with pytest.raises(SystemExit):
            prompt.run()


def test_a_password_is_never_asked_for_while_the_prompt_is_on_the_screen(opened, monkeypatch):
    asked = []

    def connect(uri, **options):
        asked.append(options.get("password"))
        raise AuthenticationError("no password for it", details={"option": "password"})

    monkeypatch.setattr(novacron, "connect", connect)
    _, opening = opened(Settings("sim://secret"))
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)})())
    opening.begin()
    with pytest.raises(AuthenticationError):
        opening.ready.result(60)
    assert asked == [None]
    assert opening.repeatable()


def test_a_host_that_answers_after_the_deadline_is_not_asked_twice_at_the_same_time(monkeypatch):
    name = f"opening-{next(NAMES)}"
    hosts = OpenHosts()
    host = hosts.add(novacron.connect(f"sim://{name}?vms=1"))
    vms = Inventory(hosts)
    asked, late = [], threading.Event()
    listed = host.vms.list

    def slow():
        asked.append(1)
        late.wait(60)
        return listed()

    monkeypatch.setattr(inventory, "PATIENCE", 0.05)
    monkeypatch.setattr(host.vms, "list", slow)
    answered = threading.Event()
    monkeypatch.setattr(vms, "_gather", lambda: (Inventory._gather(vms), answered.set() if vms._pages else None))
    vms.refresh()
    assert list(vms.unreachable) == [name]
    vms.refresh()
    assert asked == [1]
    late.set()
    assert answered.wait(60)
    assert list(vms) == ["vm-00001"]
    hosts.close()
