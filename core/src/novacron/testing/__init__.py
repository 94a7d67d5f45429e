"""The tools for testing a driver: `pip install novacron[testing]`.

A complete test module:

    import pytest
    from novacron import VMSpec, connect
    from novacron.testing import Target
    from novacron.testing.conformance import *

    @pytest.fixture(scope="session")
    def novacron_target():
        with connect("acme://lab") as host:
            yield Target(host, new_vm=lambda name: VMSpec(name=name, memory="128MiB"))

`pytest` then runs all tests of the contract against that host. Tests of mandatory operations are never skipped. A test of an optional
operation is skipped if the driver does not offer it, or if it raises UnsupportedOperationError and is named in `limits` of the
capabilities; `pytest -rs` shows the reasons. All VMs of the suite are named `conform-...` and are deleted afterwards.

To run only a part, import its class (`from novacron.testing.conformance import TestSnapshots`). To extend a class, derive from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.testing.target import Target

pytest.register_assert_rewrite("novacron.testing.conformance")  # before its modules are imported: failures then show values

__getattr__, __dir__ = lazy_names(__name__, {"target": "Target"})

__all__ = ["Target"]
