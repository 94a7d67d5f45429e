"""What Windows has not is not needed to import the library, the command line, the shell and `top`."""

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys, types
for missing in ("fcntl", "grp", "posix_ipc", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"):
    sys.modules[missing] = None
# the picture library chooses its own module for Windows by the platform
posix = types.ModuleType("textual_image._posix")
posix.capture_mode = posix.get_tiocgwinsz = posix.read = None
sys.modules["textual_image._posix"] = posix
import novacron, novacron_shell, novacron_vmware
for package in (novacron, novacron_shell, novacron_vmware):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            print(module.name)
"""


def test_everything_but_kvm_and_the_lab_is_imported_without_modules_that_only_unix_has():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {
        "novacron.images.download",
        "novacron_shell.repl.shell",
        "novacron_shell.top.app",
        "novacron_vmware.plugin",
    } <= imported
