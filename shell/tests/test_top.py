"""`novacron top`: live hosts and VMs, driven by Textual's pilot on simulated hosts."""

import json
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.widgets import HelpPanel, Input, OptionList, SelectionList, Static

from novacron.errors import HostConnectionError
from novacron_shell.cli import cli
from novacron_shell.top import actions, detail
from novacron_shell.top.detail import Detail
from novacron_shell.top.dialogs import Choose, Confirm
from novacron_shell.top.model import COLUMNS, View, VMState
from novacron_shell.top.table import VMTable

sys.path.insert(0, str(Path(__file__).parent))
from top_pilot import driven, screen_text, shown, two_hosts, until


@pytest.fixture
def hosts():
    with two_hosts() as made:
        yield made


def test_vms_of_all_hosts_are_shown_sorted_filtered_grouped_and_with_chosen_columns(hosts):
    first, second = (host.name for host in hosts)

    async def act(app, pilot):
        assert len(shown(app)) == 8
        app.change(View(sort="name"))
        assert shown(app)[0] == f"{first}-00001"
        await pilot.press("r")
        assert shown(app)[0] == f"{second}-00004"
        await pilot.press("slash", *"00003")
        assert sorted(shown(app)) == [f"{first}-00003", f"{second}-00003"]
        await pilot.press("enter")
        assert app.focused.id == "vms"
        await pilot.press("escape")
        assert len(shown(app)) == 8
        await pilot.press("g")
        assert (shown(app)[0], shown(app)[5]) == (f"<{first}>", f"<{second}>")
        await pilot.press("c")
        await pilot.pause()
        chosen = app.screen.query_one(SelectionList)
        chosen.deselect_all()
        chosen.select("name")
        chosen.select("memory")
        await pilot.press("enter")
        assert app.view.columns == ("name", "memory")
        await pilot.pause()
        assert "STATUS" not in screen_text(app)

    driven(hosts, act)


def test_tags_are_read_when_they_are_needed(hosts):
    hosts[0].vms[f"{hosts[0].name}-00001"].update(tags=["chosen"])

    async def act(app, pilot):
        app.change(View(filter="tag:chosen"))
        await until(pilot, lambda: shown(app) == [f"{hosts[0].name}-00001"])
        app.change(View(group="tag"))
        assert "<chosen>" in shown(app)

    driven(hosts, act)


def test_a_key_shows_all_keys_and_hides_them_and_is_text_in_the_filter(hosts):
    async def act(app, pilot):
        for key in ("question_mark", "f1"):
            await pilot.press(key)
            await until(pilot, lambda: app.screen.query(HelpPanel))
            await pilot.press(key)
            await until(pilot, lambda: not app.screen.query(HelpPanel))
        await pilot.press("slash", "question_mark")
        await until(pilot, lambda: app.view.filter == "?")
        assert not app.screen.query(HelpPanel)

    driven(hosts, act)


def test_what_changes_elsewhere_is_seen(hosts):
    async def act(app, pilot):
        hosts[1].vms.create(name="made-elsewhere")
        await until(pilot, lambda: "made-elsewhere" in shown(app))

    driven(hosts, act)


@pytest.mark.parametrize(("key", "before", "after"), [("x", "running", "stopped"), ("s", "stopped", "running")])
def test_an_action_asks_first_and_no_is_the_default(hosts, key, before, after):
    host = hosts[0]
    vm = next(vm for vm in host.vms if vm.status == before)

    async def act(app, pilot):
        app.change(View(filter=vm.name))
        for answer in ("n", "enter", "escape"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, Confirm)
            assert vm.name in app.screen.question
            await pilot.press(answer)
            await pilot.pause()
        assert vm.refresh().status == before
        await pilot.press(key)
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: vm.refresh().status == after)
        await until(pilot, lambda: app.query_one(VMTable).selected.status == after)

    driven(hosts, act)


def test_an_action_is_asked_once_for_all_marked_vms(hosts):
    """Marks stay when the filter changes, and are gone after the action; what is not marked is not touched, the cursor's VM neither."""
    host = hosts[0]
    chosen = sorted((vm for vm in host.vms if vm.status == "running"), key=lambda vm: vm.name)[:2]
    others = {vm.name: vm.status for each in hosts for vm in each.vms if vm.name not in {one.name for one in chosen}}

    async def act(app, pilot):
        table = app.query_one(VMTable)
        for vm in chosen:
            app.change(View(filter=f"host:{host.name} {vm.name}"))
            await pilot.press("space")
        assert table.marked == {(host.name, vm.id) for vm in chosen}
        app.change(View(sort="name", reverse=True))
        await pilot.press("x")
        await pilot.pause()
        assert app.screen.question == f"Stop 2 VMs: {chosen[0].name}, {chosen[1].name}?"
        await pilot.press("y")
        await until(pilot, lambda: all(vm.refresh().status == "stopped" for vm in chosen))
        await until(pilot, lambda: "done" in str(app.query_one("#message").content))
        assert not table.marked
        await pilot.press("a")
        assert len(table.marked) == len(others) + 2
        await pilot.press("a")
        assert not table.marked
        app.change(View(group="host"))
        await pilot.press("home", "space", "x")
        await pilot.pause()
        assert f"{len(host.vms)} VMs" in app.screen.question
        await pilot.press("n")
        await pilot.pause()
        await pilot.press("escape")
        assert not table.marked

    driven(hosts, act)
    assert {vm.name: vm.status for each in hosts for vm in each.vms if vm.name in others} == others


def test_marked_vms_of_which_one_fails_are_done_but_for_that_one(hosts):
    host = hosts[0]
    running = next(vm for vm in host.vms if vm.status == "running")
    stopped = next(vm for vm in host.vms if vm.status == "stopped")

    async def act(app, pilot):
        app.query_one(VMTable).marked = {(host.name, running.id), (host.name, stopped.id)}
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("y")
        message = app.query_one("#message")
        await until(pilot, lambda: f"{stopped.name}: " in str(message.content) and "possible when" in str(message.content))
        assert running.refresh().status == "stopped"

    driven(hosts, act)


def test_a_vm_is_migrated_to_the_host_that_is_chosen_and_a_snapshot_is_made(hosts):
    source, destination = hosts
    vm = next(vm for vm in source.vms if vm.status == "running")

    async def act(app, pilot):
        app.change(View(filter=vm.name))
        await pilot.press("n")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: len(vm.snapshots) == 1)
        vm.snapshots[next(iter(vm.snapshots)).name].delete()
        await pilot.press("m")
        await pilot.pause()
        assert isinstance(app.screen, Choose)
        assert [str(option.prompt) for option in app.screen.query_one(OptionList).options] == [destination.name]
        await pilot.press("enter")
        await until(pilot, lambda: destination.vms.get(vm.name) is not None and source.vms.get(vm.name) is None)

    driven(hosts, act)


def test_an_action_that_fails_says_why(hosts):
    async def act(app, pilot):
        name = f"{hosts[0].name}-00001"
        app.change(View(filter=name))
        hosts[0].vms[name].stop()
        await until(pilot, lambda: app.query_one(VMTable).selected.status == "stopped")
        await pilot.press("d")
        await pilot.pause()
        await pilot.press("y")
        message = app.query_one("#message", Static)
        await until(pilot, lambda: "shut down" in str(message.content) and "..." not in str(message.content))
        assert "done" in str(message.content) or "stopped" in str(message.content)

    driven(hosts, act)


def test_a_vm_is_opened_with_all_its_parts_and_its_events(hosts):
    vm = hosts[0].vms[f"{hosts[0].name}-00001"]
    vm.snapshots.create("before")

    async def act(app, pilot):
        app.change(View(filter=vm.name))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail) and app.screen.is_mounted)
        detail = app.screen

        def text(part):
            from rich.console import Console

            console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
            console.print(detail.query_one(f"#{part}-text", Static).content)
            return console.export_text()

        await until(pilot, lambda: "before" in text("snapshots") and "vda" in text("disks") and "memory" in text("vm"))
        await until(pilot, lambda: detail._post._resources)
        threading.Thread(target=vm.suspend).start()
        await until(pilot, lambda: "suspended" in text("events"))
        await pilot.press("right")
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, Detail)

    driven(hosts, act)


def test_a_dead_host_is_grey_with_its_age_delays_no_other_and_comes_back(hosts, monkeypatch):
    dead, alive = hosts
    real = dead.vms.list

    async def act(app, pilot):
        monkeypatch.setattr(dead.vms, "list", lambda **_: (_ for _ in ()).throw(HostConnectionError("no route to host")))
        await until(pilot, lambda: any(vm.stale for vm in app.reader.vms()))
        alive.vms.create(name="made-meanwhile")
        await until(pilot, lambda: "made-meanwhile" in shown(app))
        assert len(shown(app)) == 9
        (state,) = [host for host in app.reader.hosts() if host.name == dead.name]
        assert "no route to host" in state.error
        app.change(View(filter=f"host:{dead.name}"))
        await pilot.press("x")
        assert "does not answer" in str(app.query_one("#message", Static).content)
        monkeypatch.setattr(dead.vms, "list", real)
        await until(pilot, lambda: not any(vm.stale for vm in app.reader.vms()))

    driven(hosts, act)


def test_the_mouse_moves_sorts_and_opens(hosts):
    async def act(app, pilot):
        app.change(View(sort="name"))
        await pilot.click(VMTable, offset=(3, 3))
        assert app.query_one(VMTable).selected.name == shown(app)[2]
        await pilot.click(VMTable, offset=(1, 0))
        await pilot.pause()
        assert (app.view.sort, app.view.reverse) == ("name", True)
        await pilot.click(VMTable, offset=(3, 2), times=2)
        await until(pilot, lambda: isinstance(app.screen, Detail))

    driven(hosts, act)


@pytest.mark.parametrize("size", [(40, 10), (20, 6), (200, 60)])
def test_any_size_of_the_terminal_works_also_when_it_changes(hosts, size):
    async def act(app, pilot):
        await pilot.resize_terminal(*size)
        await pilot.press("end", "home", "pagedown", "pageup", "down", "up")
        await pilot.resize_terminal(120, 30)
        await pilot.pause()
        assert hosts[0].name in screen_text(app)

    driven(hosts, act, size=size)


def test_a_defect_of_a_driver_is_a_message_and_ends_no_screen(hosts, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("in the driver")

    monkeypatch.setitem(actions.ACTIONS, "stop", actions.ACTIONS["stop"]._replace(work=fail))
    monkeypatch.setitem(detail.PARTS, "VM", fail)

    async def act(app, pilot):
        await pilot.press("x")
        await pilot.press("y")
        await until(pilot, lambda: "in the driver" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail) and "in the driver" in screen_text(app))

    driven(hosts, act)


def test_names_of_others_do_not_reach_the_terminal(hosts):
    hosts[0].vms.create(name="plain")
    evil = VMState(host="h\x1b]0;x\x07", id="1", name="e\x1b[2Jvil[red]", status="running", tags=("t\x1b",))

    async def act(app, pilot):
        table = app.query_one(VMTable)
        app.reader.stop()
        table.show([evil], View(columns=tuple(COLUMNS)))
        await pilot.pause()
        text = "".join(segment.text for y in range(3) for segment in table.render_line(y))
        assert "\x1b" not in text
        assert "e\\x1b[2Jvil[red]" in text

    driven(hosts, act)


def test_once_prints_the_state_as_a_table_and_as_json(hosts):
    base = ["-c", hosts[0].uri, "top", "--once"]
    done = CliRunner().invoke(cli, [*base, "-o", "json", "--sort", "name", "00001"])
    assert done.exit_code == 0, done.output
    state = json.loads(done.stdout)
    assert [host["vms"] for host in state["hosts"]] == [4]
    assert [vm["name"] for vm in state["vms"]] == [f"{hosts[0].name}-00001"]
    assert state["vms"][0]["cpus"] is not None
    heads, values = (line.split() for line in CliRunner().invoke(cli, base).stdout.splitlines()[:2])
    assert heads[1] == "CPU%"
    assert values[1].isdigit()
    done = CliRunner().invoke(cli, [*base, "--columns", "name,cpu", "-o", "csv"])
    assert done.stdout.splitlines()[0] == "name,cpu"


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--sort", "x"], "no such column"), (["--columns", "name,x"], "no such column"), ([], "no terminal")]
)
def test_bad_arguments_are_refused(hosts, arguments, said):
    done = CliRunner().invoke(cli, ["-c", hosts[0].uri, "top", *arguments])
    assert done.exit_code != 0
    assert said in done.output or said in str(done.exception)


def test_only_top_imports_textual():
    import subprocess
    import sys

    modules = "novacron_shell.main, novacron_shell.cli, novacron_shell.repl.session, novacron_shell.repl.shell"
    code = f"import sys, {modules}; print('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_input_of_the_filter_is_no_action(hosts):
    async def act(app, pilot):
        await pilot.press("slash", "x", "s", "q")
        assert app.query_one("#filter", Input).value == "xsq"
        assert not isinstance(app.screen, Confirm)

    driven(hosts, act)


def test_the_screen_of_a_vm_is_a_picture_that_can_be_saved_and_its_console_opens(hosts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = []
    (running,) = [vm for vm in hosts[0].vms.list() if vm.name.endswith("00001")]

    async def act(app, pilot):
        monkeypatch.setattr(app, "open_console", opened.append)
        app.change(View(filter=running.name))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail) and app.screen.is_mounted)
        screen = app.screen
        assert screen._screenshot is None  # read only when it is shown
        screen._tabs.active = "screen"
        await until(pilot, lambda: screen._picture.image is not None)
        await until(pilot, lambda: screen._picture.size.width > 10 and screen._picture.size.height > 3)
        await pilot.press("w")
        await until(pilot, lambda: any(tmp_path.iterdir()))
        await pilot.press("t")

    driven(hosts, act)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(running.name)
    assert file.read_bytes() == running.screenshot().data
    assert [vm.name for vm in opened] == [running.name]
