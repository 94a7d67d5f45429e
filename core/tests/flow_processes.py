"""Forks processes that run flows, and can be killed: begun once, so that each of them starts in milliseconds.

Reads a JSON list on each line of its standard input: what to do and its arguments; answers with the new process's number.
"""

import json
import os
import signal
import sys
import traceback

import dbos  # noqa: F401 - loaded before the forks
import sqlalchemy  # noqa: F401

import novacron
import novacron.workflow.durable
from novacron.drivers.sim.plugin import areas
from novacron.plugins.discovery import register_driver
from novacron.specs import VMSpec
from novacron.testing.served import provider
from novacron.workflow import Workflow


def run(uris, vm, flow):
    hosts = {name: novacron.connect(uri, name=name) for name, uri in uris.items()}
    next(iter(hosts.values())).vms[vm]
    Workflow.from_dict(flow).run(next(iter(hosts.values())).vms[vm], hosts=hosts)


def recover():
    for begun in novacron.fleet().runs.recover():
        begun.exception()


def work(concurrency):
    from novacron.workflow.worker import work as forever

    forever(concurrency=concurrency)


if __name__ == "__main__":
    register_driver(provider())
    areas()
    VMSpec(name="x", memory="64MiB")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        pid = os.fork()
        if not pid:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            status = 1
            try:
                globals()[what](*arguments)
                status = 0
            except BaseException:  # noqa: BLE001 - it would end the one that forks
                traceback.print_exc()
            finally:
                os._exit(status)
        print(pid, flush=True)
