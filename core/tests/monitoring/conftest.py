"""What the tests of monitoring share: a site with a running host, an HTTP server that is notified, rules, and rounds of values."""

import http.server
import itertools
import json
import threading
import zlib

import pytest

from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
from novacron.records.series import Sample
from novacron.site import Site


@pytest.fixture
def site(tmp_path):
    """A site with an empty state directory."""
    with Site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def add_host(site, request):
    """Adds a simulated host to the fleet and returns its handle. No other test has a host of that name.

    Args of the returned function:
        vms: how many VMs the host has.
        running: whether all of them run. By default every fourth one is stopped.
        options: more of the host's URI, such as "&prefix=web-".
    """
    numbers = itertools.count()

    def added(vms=3, *, running=False, options=""):
        name = f"monitored-{zlib.crc32(request.node.nodeid.encode()):08x}-{next(numbers)}"
        site.fleet.add(name, f"sim://{name}?vms={vms}{options}")
        host = site.fleet.hosts[name]
        world = host.dispatcher.driver.native.world
        for vm in list(world.all()) if running else ():
            world.set_status(vm, "running", "booted")
        return host

    return added


class Load:
    """A source with one metric."""

    name, value = "load", 10.0

    def definitions(self):
        return ()

    def collect(self):
        return [Sample(metric="load", value=self.value, labels={"app": "a"})]


@pytest.fixture
def load():
    return Load()


class Receiver:
    """An HTTP server that remembers what it was sent, and answers as it is told."""

    def __init__(self):
        self.received, self.status, self.hang = [], [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.status.pop(0) if outer.status else 200
                if status == "hang":
                    outer.hang.wait(30)
                    status = 500
                if status == 200:
                    outer.received.append((self.headers["Idempotency-Key"], self.headers.get("Authorization"), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


QUICK = {"group_wait": "0s", "group_interval": "0s", "repeat_interval": "1h"}


def _told_by(url, rules=(), **sink):
    """Return a file of rules whose notifications go to a webhook at once."""
    return {
        "rules": [
            {"alert": "High", "expr": "load > 90", "annotations": {"summary": "{{ $labels.app }} is at {{ $value }}"}},
            *rules,
        ],
        "receivers": [{"name": "hook", "sinks": [{"type": "webhook", "url": url, **sink}]}],
        "route": {"receiver": "hook", **QUICK},
    }


def _rounds(notifier, *values, start=1000.0, app="a", deadline=60.0):
    layouts = Layouts()
    for number, value in enumerate(values):
        at = start + 60 * number
        one = Measured("custom", app, "", (("app", app),), layouts.of([SeriesKey("load")]), [value])
        notifier.take(Round(at, [one]))
        notifier.deliver_now(at, deadline=deadline)


@pytest.fixture
def told_by():
    """Return a function that returns a file of rules whose notifications go to a URL."""
    return _told_by


@pytest.fixture
def rounds():
    """Return a function that gives a notifier one value of the metric `load` a minute, and delivers after each."""
    return _rounds
