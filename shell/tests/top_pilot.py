"""`novacron top` on simulated hosts, driven by Textual's pilot."""

import asyncio
import itertools
from contextlib import contextmanager

import novacron
from novacron_shell.top.app import Top
from novacron_shell.top.model import Group
from novacron_shell.top.reading import Reader
from novacron_shell.top.table import VMTable

WORLDS = itertools.count()


@contextmanager
def two_hosts():
    """Two simulated hosts of four VMs each, whose names no other test has."""
    names = [f"top-{next(WORLDS)}" for _ in range(2)]
    made = [novacron.connect(f"sim://{name}?vms=4&prefix={name}-") for name in names]
    yield made
    for host in made:
        host.close()


def driven(hosts, act, *, view=None, size=(120, 30), **options):
    """Run the app, let `act` drive it, and return the app."""

    async def main():
        reader = Reader(hosts, novacron.fleet().ask, interval=0.1, **options)
        app = Top(reader, view)
        reader.on_change(app.changed)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: all(host.age_seconds is not None for host in reader.hosts()))
            app.redraw()
            await act(app, pilot)
        return app

    return asyncio.run(main())


async def until(pilot, condition):
    async with asyncio.timeout(60):
        while not condition():
            await pilot.pause(0.02)


def shown(app):
    """The names in the table, from the top; titles of groups in angle brackets."""
    return [f"<{line.title}>" if isinstance(line, Group) else line.name for line in app.query_one(VMTable)._lines]


def screen_text(app):
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
