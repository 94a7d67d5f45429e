"""A damaged `lab.json` is no lab: whatever is in it, nothing but None comes back."""

import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from novacron_lab.host import LabHost
from novacron_lab.lab import read_stored

HOST = dict.fromkeys(LabHost.__struct_fields__, "x")
GOOD = {"subnet": 3, "hosts": [HOST], "owner": ""}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["subnet", "hosts", "owner", *HOST]), inner, max_size=6)
    ),
    max_leaves=20,
)
MANY = settings(max_examples=10_000 if os.environ.get("NOVACRON_SOAK") else 100, deadline=None)


def test_a_good_file_is_read():
    stored = read_stored(json.dumps(GOOD).encode())
    assert (stored.subnet, len(stored.hosts), stored.owner) == (3, 1, "")


@MANY
@given(JSON | st.binary(max_size=100) | st.dictionaries(st.sampled_from([*GOOD]), JSON, max_size=3).map(lambda harm: GOOD | harm))
def test_a_damaged_file_is_none_or_whole(content):
    stored = read_stored(content if isinstance(content, bytes) else json.dumps(content).encode())
    if stored is not None:
        assert isinstance(stored.subnet, int)
        assert all(
            isinstance(getattr(host, name), (str, type(None))) for host in stored.hosts for name in LabHost.__struct_fields__
        )
