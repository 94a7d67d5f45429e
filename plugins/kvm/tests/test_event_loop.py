"""libvirt's event loop."""

import subprocess
import sys

SCRIPT = """
import atexit, threading
def tell(): print(sorted(t.name for t in threading.enumerate() if t.name.startswith("novacron")))
atexit.register(tell)
import novacron
novacron.connect("test:///default").vms.list()
tell()
"""


def test_its_thread_ends_before_the_interpreter():
    """Otherwise the thread is in libvirt while the libraries of libvirt are taken down."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    running, at_exit = done.stdout.splitlines()
    assert "novacron-libvirt-events" in running
    assert "novacron-libvirt-events" not in at_exit
