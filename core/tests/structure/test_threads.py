"""Many calls at once go through `novacron.threads.fan_out`, and one call with a deadline through `within`. Other threads have a reason."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = [ROOT / folder for folder in ("core/src", "plugins/kvm/src", "plugins/vmware/src", "shell/src", "lab/src")]
STARTS = ("Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "ThreadPool", "Pool")

ALLOWED = {
    "novacron.threads": "the one way",
    # they work as long as their owner lives, and nobody waits for a result
    "novacron.drivers.sim.state.broadcast": "delivers events",
    "novacron.workflow.run.membership": "sends the heartbeat of a process that runs workflows",
    "novacron_kvm.event_loop": "is libvirt's event loop",
    "novacron_kvm.last_error": "releases libvirt's objects of threads that have ended",
    "novacron_kvm.operations.console": "reads a console",
    "novacron_kvm.operations.events": "connects again after the connection is lost",
    "novacron_vmware.keepalive": "keeps a session alive",
    "novacron_vmware.operations.events": "delivers events",
    "novacron_shell.repl.catalogue": "reads the names for completion",
    "novacron_shell.repl.interrupts": "listens for Ctrl-C",
    "novacron_shell.repl.inventory": "follows the VMs of the hosts",
    "novacron_shell.repl.watching": "draws progress",
    "novacron_shell.terminal_console": "prints what a console sends",
    "novacron_shell.top.reading": "reads one host again and again",
    "novacron_shell.web_viewer": "serves a browser",
    # they begin a job or a run, whose own future carries the result
    "novacron.workflow.run.durable": "conducts a run",
    "novacron.workflow.run.engine": "conducts a run without a database",
    "novacron_kvm.operations.migration": "libvirt's call of a migration, beside the thread that follows its progress",
    "novacron_kvm.pool": "opens a connection, which several callers with deadlines of their own may wait for",
    # they look at a call that blocks, until the block ends
    "novacron_kvm.jobs.domain_jobs": "reports the progress of libvirt's job",
    "novacron_kvm.storage.volume_files": "reports the progress of a copy",
    # pools: on Ctrl-C they wait until what has begun is undone or cancelled, which `fan_out` does not
    "novacron.workflow.run.interpreter": "runs branches of a flow, each of which is undone in its own thread; a timer ends a step",
    "novacron_kvm.inventory.full": "reads definitions by threads that keep their connection from one batch to the next",
    "novacron_shell.bulk": "does one thing to many VMs, and cancels the jobs on Ctrl-C",
    # for tests
    "novacron.testing.conformance.concurrency": "reads and changes at once",
    "novacron.testing.marked": "looks at all processes",
    "novacron.testing.served": "serves a simulated host to other processes",
    "novacron_shell.testing": "ends a shell that hangs",
    "novacron_lab.bmc": "a power button needs time",
    "novacron_lab.lab": "starts the hosts of a lab",
}
"""The modules that start threads by themselves, and what for."""


def starts_threads(source: str) -> bool:
    """Return whether a module starts a thread by itself."""
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in STARTS for node in ast.walk(ast.parse(source))
    )


def test_only_known_modules_start_threads():
    starting = {
        ".".join(file.relative_to(folder).with_suffix("").parts)
        for folder in SOURCES
        for file in folder.rglob("*.py")
        if any(f"{name}(" in (text := file.read_text()) for name in STARTS) and starts_threads(text)
    }
    assert sorted(starting - {*ALLOWED}) == [], "use fan_out, within or in_thread of novacron.threads"
    assert sorted({*ALLOWED} - starting) == [], "it starts no thread any more"


def test_a_module_that_starts_a_thread_is_found():
    assert starts_threads("import threading\nthreading.Thread(target=print).start()\n")
    assert starts_threads("with ThreadPoolExecutor(4) as pool: pass\n")
    assert not starts_threads("from novacron.threads import in_thread\nin_thread(print, 'x')\n")
