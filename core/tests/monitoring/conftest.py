"""What the tests of alerts share: an HTTP server that is notified, rules that notify it, and rounds of values."""

import http.server
import json
import threading

import pytest

from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey


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
