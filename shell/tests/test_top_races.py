"""`novacron top` when things happen at once: hosts that hang, keys pressed twice, screens that close meanwhile."""

import sys
import threading
from pathlib import Path

import pytest
from textual import events

from novacron_shell.top import actions, detail
from novacron_shell.top.app import Top
from novacron_shell.top.detail import Detail
from novacron_shell.top.dialogs import Confirm

sys.path.insert(0, str(Path(__file__).parent))
from top_pilot import driven, shown, two_hosts, until


@pytest.fixture
def hosts():
    with two_hosts() as made:
        yield made


def test_a_host_that_hangs_delays_no_other(hosts, monkeypatch):
    hung, alive = hosts
    released = threading.Event()

    async def act(app, pilot):
        monkeypatch.setattr(hung.vms, "list", lambda **_: released.wait(60))
        alive.vms.create(name="made-meanwhile")
        await until(pilot, lambda: "made-meanwhile" in shown(app))
        released.set()

    driven(hosts, act)


def test_what_is_still_to_be_drawn_while_the_screen_closes_does_no_harm(hosts):
    """Timers and threads go on for a moment while Textual removes the widgets one by one."""

    async def act(app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        screen = app.screen
        await screen.query("*").remove()
        screen._show("VM", "late")
        app.pop_screen()
        await pilot.pause()
        screen._show("VM", "later")
        for name in ("#host-lines", "#message", "#vms"):
            await app.query_one(name).remove()
            app._draw_hosts()
            app.redraw()
            app.say("late")

    app = driven(hosts, act)
    app.changed()
    app._redraw_if_changed()
    app._draw_hosts()


def press_at_once(app, *keys):
    """Send keys as a fast typist or a paste does: the second one arrives before the first one has had its effect."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


def test_a_key_that_is_pressed_twice_closes_one_screen_and_only_once(hosts):
    async def act(app, pilot):
        press_at_once(app, "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, Detail) and app.screen.is_mounted)
        assert len(app.screen_stack) == 2
        press_at_once(app, "right", "escape", "escape", "right")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.pause()
        assert app.is_running

    driven(hosts, act)


def test_a_question_is_asked_once_and_answered_once(hosts, monkeypatch):
    done = []
    monkeypatch.setattr(Top, "_do", lambda app, vm, action, argument=None: done.append((action.title, argument)))

    async def act(app, pilot):
        press_at_once(app, "x", "x", "s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.pause()
        assert len(app.screen_stack) == 2
        press_at_once(app, "y", "y", "enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        press_at_once(app, "m", "enter", "enter")
        await until(pilot, lambda: len(done) == 2)
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert [title for title, _ in done] == ["Stop", "Migrate"]

    driven(hosts, act)


def test_the_screen_closes_while_a_host_hangs_and_what_ends_later_does_no_harm(hosts, monkeypatch):
    """A thread that waits for a host must neither keep the process nor fail when it returns."""
    halted, ended = threading.Event(), []

    def hang(vm, _):
        halted.wait(60)
        ended.append("action")

    def read(vm):
        halted.wait(60)
        ended.append("tab")

    monkeypatch.setitem(actions.ACTIONS, "stop", actions.ACTIONS["stop"]._replace(work=hang))
    monkeypatch.setitem(detail.PARTS, "VM", read)
    said = []

    async def act(app, pilot):
        await pilot.press("x")
        await pilot.press("y")
        await until(pilot, lambda: app._working)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail) and app.screen.is_mounted)

    app = driven(hosts, act)
    assert ended == []
    app.wait_for_actions(lambda text: (said.append(text), halted.set()))
    assert "action" in ended
    assert "stop" in said[0]
    app.wait_for_actions(said.append)
    assert len(said) == 1
