"""Threads that use a type for the first time at once get its values, and do not end the process."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from novacron.conversion import convert, decode

THREADS = """
import sys, threading
import msgspec
from novacron.conversion import convert, decode

sys.setswitchinterval(1e-6)

def types():
    inner = msgspec.defstruct("Inner", [(f"f{n}", int, 0) for n in range(20)], namespace={"__module__": "__main__"})
    return msgspec.defstruct("Outer", [("inner", inner), ("more", list[inner], [])], namespace={"__module__": "__main__"})

def use(barrier, kind, way):
    barrier.wait()
    found.append(USES[way % 2](kind))

USES = [lambda kind: CONVERT({"inner": {"f1": 1}}, kind), lambda kind: DECODE(b'{"inner": {"f1": 1}}', kind)]
for _ in range(ROUNDS):
    kind, barrier, found = types(), threading.Barrier(6), []
    threads = [threading.Thread(target=use, args=(barrier, kind, way)) for way in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.inner.f1 for each in found] == [1] * 6
"""


def test_many_threads_use_a_type_at_once():
    program = THREADS.replace("CONVERT", "convert").replace("DECODE", "decode").replace("ROUNDS", "150")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_does_not_fit_is_refused():
    with pytest.raises(msgspec.ValidationError):
        convert({"a": "1"}, dict[str, int])
    assert convert({"a": "1"}, dict[str, int], strict=False) == {"a": 1}
    with pytest.raises(msgspec.DecodeError):
        decode("{", dict[str, int])


def test_nothing_else_gives_msgspec_a_type():
    """A function of msgspec that takes a type may end the process when two threads call it."""
    found = []
    for name in ("novacron", "novacron_kvm", "novacron_vmware", "novacron_shell", "novacron_lab"):
        package = pytest.importorskip(name)
        for path in Path(package.__path__[0]).rglob("*.py"):
            source = path.read_text()
            for node in ast.walk(ast.parse(source)) if "msgspec" in source else ():
                call = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if re.fullmatch(r"msgspec\.((json|msgpack|toml|yaml)\.)?(convert|decode|Decoder)", call):
                    found.append(path.name)
    assert set(found) == {"conversion.py"}
