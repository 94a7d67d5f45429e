"""What a driver's author needs to prove the driver: `pip install novacron[testing]`.

A test module of yours, whole:

    import pytest
    from novacron import VMSpec, connect
    from novacron.testing import Target
    from novacron.testing.conformance import *

    @pytest.fixture(scope="session")
    def novacron_target():
        with connect("acme://lab") as host:
            yield Target(host, new_vm=lambda name: VMSpec(name=name, memory="128MiB"))

`pytest` then runs every promise of the contract against that host, each by its name. A mandatory operation can't be skipped; a test
of an optional one is skipped exactly when the driver does not offer it, or refuses it with UnsupportedOperationError and has named it
in its capabilities' `limits`; `pytest -rs` shows the reasons. All VMs that the suite makes are named `conform-...` and are deleted
again.

To run a part only, import its class (`from novacron.testing.conformance import TestSnapshots`); to extend one, derive from it.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("novacron.testing.conformance")  # before its modules are imported: failures then show values

from novacron.testing.target import Target  # noqa: E402

__all__ = ["Target"]
