"""The prompt, the toolbar and the search in the history."""

import asyncio
import json
import sqlite3
import threading

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

import novacron
from novacron.dispatch.dispatcher import Dispatcher
from novacron.store.activity import Activity
from novacron_shell.repl.config import ShellConfig
from novacron_shell.repl.history_search import LONGEST, HistorySearch
from novacron_shell.repl.inventory import CONNECTING
from novacron_shell.repl.shell import Shell
from novacron_shell.repl.themes import Code, use_theme
from novacron_shell.repl.toolbar import ActivityWatch, Prompt, Toolbar, health, place
from novacron_shell.repl.watching import ProgressPolicy


@pytest.fixture
def typing(session, tmp_path):
    """A function that types keys into a shell, and returns the line that is read."""
    history = tmp_path / "history"
    history.write_text("".join(f"\n# then\n+{line}\n" for line in ("vms", 'vms.where(tag="web")', ":vm list", "host.info()")))

    def typed(keys):
        with create_pipe_input() as terminal, create_app_session(input=terminal, output=DummyOutput()):
            shell = Shell(session.shell, Toolbar(session.shell, Activity), str(history), ProgressPolicy(session.shell.jobs))
            terminal.send_text(keys)
            return shell.read()

    return typed


def test_ctrl_r_finds_a_line_by_some_of_its_letters(typing):
    assert typing("\x12vwt\r\r") == 'vms.where(tag="web")'
    assert typing("hinf\x12\r\r") == "host.info()"


@pytest.mark.parametrize("keys", ["\x12hinf\r\r", "\x1bOR \r\r"], ids=["search", "browser"])
def test_what_is_looked_for_before_the_history_is_loaded_is_found(typing, monkeypatch, keys):
    load, choose, opened = FileHistory.load_history_strings, Shell._choose, threading.Event()

    def late(history):
        assert opened.wait(60)
        yield from load(history)

    def chosen(shell, screen):
        opened.set()
        choose(shell, screen)

    monkeypatch.setattr(FileHistory, "load_history_strings", late)
    monkeypatch.setattr(Shell, "_choose", chosen)
    assert typing(keys) == "host.info()"


def test_ctrl_r_can_be_cancelled_and_keeps_what_was_typed(typing):
    for cancel in ("\x07", "\x03"):
        assert typing(f"1 + 1\x12vwt{cancel} + 1\r") == "1 + 1 + 1"
    assert typing("1 + 1\x12\x15nothing like it\r + 1\r") == "1 + 1 + 1"


def test_the_search_prefers_exact_text_and_late_lines_and_skips_long_ones():
    search = HistorySearch(["x" * (LONGEST + 1), "w_e_b", "vms['web2']", "vms['web1']", "vms['web2']", "(web.*)"])
    assert search.matches("web")[-1] == "w_e_b"
    assert search.matches("vmsweb")[:2] == ["vms['web2']", "vms['web1']"]
    assert search.matches("") == ["w_e_b", "vms['web2']", "vms['web1']", "(web.*)"]
    assert search.chosen("vms['web1']") == "vms['web1']"
    assert search.chosen("b.*)") == "(web.*)"
    assert search.chosen("zz") is None


@pytest.mark.parametrize(
    ("states", "said"),
    [({}, "connected"), ({"kvm2": CONNECTING}, "connecting"), ({"kvm2": "no route", "kvm3": CONNECTING}, "unreachable")],
    ids=["connected", "connecting", "unreachable"],
)
def test_the_prompt_shows_the_host_and_whether_the_connections_work(session, states, said):
    session.shell.vms.unreachable = states
    assert health(session.shell) == said
    text = "".join(part[1] for part in Prompt(session.shell).in_prompt())
    assert text.startswith(f"{session.host.name} ")
    assert text.endswith(" novacron> ")
    assert len(text) == len(f"{session.host.name} ● novacron> ")


def test_the_prompt_names_the_host_before_it_is_connected_and_never_more_of_its_address(session):
    session.shell.hosts._open = {}
    for options, name in (
        ((), "fleet"),
        (("--host", "kvm1"), "kvm1"),
        (("-c", "qemu+ssh://root@kvm7:2222/system?keyfile=/k"), "kvm7"),
        (("-c", "qemu:///system"), "qemu"),
        (("--host", "evil\x1b[2J" + "x" * 99), "evil\\x1b[2Jxxxxxxxxxxxxx"),
    ):
        session.shell.started_for = options
        assert place(session.shell)[:24] == name
        assert health(session.shell) == ("connected" if not options else "connecting")


def test_the_toolbar_counts_alerts_runs_and_jobs(session):
    session.shell.jobs.begin("migrate web1", "kvm1", None)
    text = "".join(part[1] for part in Toolbar(session.shell, lambda: Activity(runs=2, alerts=1)).text())
    assert "  1 alert  2 runs  1 job  " in text
    assert "alert" not in "".join(part[1] for part in Toolbar(session.shell, Activity).text())


def test_activity_is_read_in_another_thread_and_a_reading_that_hangs_is_the_only_one():
    asked, release = threading.Semaphore(0), threading.Event()

    def read():
        asked.release()
        release.wait(60)
        return Activity(runs=threading.current_thread() is not threading.main_thread())

    watch = ActivityWatch(read)
    assert watch() == Activity()
    assert asked.acquire(timeout=60)
    assert watch() == Activity()
    assert not asked.acquire(blocking=False)
    release.set()
    for thread in threading.enumerate():
        if thread.name == "novacron-activity":
            thread.join(60)
    assert watch() == Activity(runs=1)


def test_no_key_calls_a_driver_in_the_thread_that_reads_the_keys(session, typing, monkeypatch):
    """Completion, signatures, toolbar, prompt, history and menu: what they need was read in other threads."""
    called, real = [], Dispatcher.invoke

    def invoke(self, operation, *arguments, **options):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return real(self, operation, *arguments, **options)
        called.append(operation)
        raise AssertionError(f"{operation} in the thread that reads the keys")

    monkeypatch.setattr(Dispatcher, "invoke", invoke)
    host = f'hosts["{session.host.name}"]'
    texts = (
        'vms["vm-0',
        f"{host}.",
        f'{host}.vms["',
        "vms['vm-00001'].snapshots.",
        "host.vms.create(name=",
        "vms['vm-00001'].migrate(to=",
    )
    for text in (*texts, ":vm start ", ":snapshot list vm-00001 ", "vms.where(", "host.pools["):
        assert typing(f"{text}\t\t\x12\x07\x1bOR\x03\x1bOQ\x1bOQ\x1b[A\x1b[B\x01\x0b7\r") == "7"
    assert called == []


def test_activity_is_counted_from_the_database_with_and_without_sqlalchemy(tmp_path):
    from novacron.store.quick import is_private

    with novacron.Site(tmp_path) as site:
        assert site.activity() == Activity(0, 0)
        assert site.fleet.runs.list() == []  # makes the tables
        file = tmp_path / "novacron.db" if (tmp_path / "novacron.db").exists() else next(tmp_path.glob("*.db"))
        columns = "(id, name, flow, targets, hosts, code, status, fence, created_at, ended_at)"
        with sqlite3.connect(file) as database:
            for number, ended in enumerate((None, None, 1.0)):
                values = (f"r{number}", "n", "{}", "[]", "{}", "{}", "queued", 0, 0.0, ended)
                database.execute(f"INSERT INTO runs {columns} VALUES ({','.join('?' * 10)})", values)
            for number, state in enumerate(("firing", "pending", "resolved")):
                data = json.dumps({"alert": {"state": state}})
                database.execute("INSERT INTO alert_states VALUES (?, ?)", (str(number), data))
        assert is_private(file)
        assert site.activity() == Activity(runs=2, alerts=1)


def test_code_is_readable_on_a_light_and_on_a_dark_background(session, tmp_path):
    """On white no colour is white or bright; the theme of the shell changes the input and the output."""
    drawn = {}
    for theme in ("light", "dark"):
        console = Console(force_terminal=True, color_system="standard", width=60)
        use_theme(console, theme)
        with console.capture() as captured:
            console.print(Code("<domain type='kvm'><name>web1</name></domain>", "xml"))
        drawn[theme] = captured.get()
        session.shell.config = ShellConfig(theme=theme)
        with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
            shell = Shell(
                session.shell, Toolbar(session.shell, Activity), str(tmp_path / "h"), ProgressPolicy(session.shell.jobs)
            )
        assert (shell.min_brightness, shell.max_brightness) == ((0.0, 0.5) if theme == "light" else (0.5, 1.0))
    assert drawn["light"] != drawn["dark"]
    assert not any(f"\x1b[9{colour}m" in drawn["light"] or f"\x1b[1;9{colour}m" in drawn["light"] for colour in range(8))
