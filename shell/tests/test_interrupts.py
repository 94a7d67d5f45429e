"""Ctrl-C while an operation runs, and operations in the background."""

import os
import re
import signal

import pytest

from novacron.jobs import Job
from novacron_shell.repl.interrupts import DetachedError, Interrupts
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.toolbar import Toolbar
from novacron_shell.repl.watching import ProgressPolicy


@pytest.fixture
def running(monkeypatch):
    book = JobBook()
    progress = ProgressPolicy(book)
    paused = progress._paused
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)})())
    job = Job("vm_migrate", "web1")

    def interrupted(answer):
        asked = []

        def ask(question):
            asked.append((question, paused.is_set()))
            if isinstance(answer, BaseException):
                raise answer
            return answer

        with Interrupts(book, progress, ask).offered():
            book.begin("migrate web1", "kvm1", job)
            os.kill(os.getpid(), signal.SIGINT)
        return asked

    return interrupted, book, job, paused


def test_enter_continues(running):
    interrupted, _, job, paused = running
    ((question, was_paused),) = interrupted("")
    assert "migrate web1" in question
    assert was_paused
    assert not paused.is_set()
    assert not job.cancel_asked


@pytest.mark.parametrize("answer", ["c", KeyboardInterrupt(), EOFError()])
def test_cancel_is_the_interrupt_that_operations_know(running, answer):
    with pytest.raises(KeyboardInterrupt):
        running[0](answer)


def test_detaching_leaves_the_job_running(running):
    interrupted, book, job, _ = running
    with pytest.raises(DetachedError) as detached:
        interrupted("d")
    assert [each.title for each in detached.value.jobs] == ["migrate web1"]
    assert book.running
    assert not job.cancel_asked


def test_without_an_operation_ctrl_c_interrupts_at_once_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupts(JobBook(), ProgressPolicy(JobBook())).offered():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_running_jobs_have_lines_with_bar_amount_and_time_left(session):
    book = session.shell.jobs
    for number in range(6):
        job = Job("vm_migrate", f"web{number}")
        job.report("copying", 0.5, transferred_bytes=2**30, total_bytes=2**31, remaining_seconds=30)
        book.begin(f"migrate web{number}\x1b", "kvm1", job)
    toolbar = Toolbar(session.shell)
    text = "".join(part[1] for part in toolbar.jobs())
    assert len(text.splitlines()) == 4
    assert re.search(r"━ 1: migrate web0\\x1b 50% copying 1 GiB of 2 GiB, 30.* left", text)
    assert "2 more jobs" in "".join(part[1] for part in toolbar.text())
