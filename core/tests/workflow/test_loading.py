"""Workflows are loaded by two threads at once: by the prompt of a shell, for instance, and by what opens its hosts."""

import subprocess
import sys

SCRIPT = """
import importlib.abc, sys, threading, time
from novacron import fleet  # what every session has loaded

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "novacron.workflow":
            begun.set()
            time.sleep(0.5)

def load_the_names():
    try:
        from novacron import workflow
        workflow.steps
    except BaseException as error:
        failed.append(error)

begun, failed = threading.Event(), []
sys.meta_path.insert(0, Slow())
other = threading.Thread(target=load_the_names)
other.start()
begun.wait(60)
from novacron.workflow.kinds.registry import StepKinds
other.join()
sys.exit(str(failed) if failed else 0)
"""


def test_two_threads_that_load_workflows_do_not_wait_for_each_other():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
