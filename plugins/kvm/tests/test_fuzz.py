"""Reading domain XML ends with a NovaCronError or a record, whatever it is given. The soak tries 10,000 inputs."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novacron.errors import NovaCronError
from novacron_kvm.xml.reading import fields

pytestmark = pytest.mark.timeout(6000 if os.environ.get("NOVACRON_SOAK") else 300)
MANY = settings(
    max_examples=10_000 if os.environ.get("NOVACRON_SOAK") else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
DOMAIN = """<domain type='kvm'><name>web1</name><memory unit='KiB'>65536</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os>
<metadata><vm xmlns='https://novacron.org/xmlns/vm/1'>{"tags": ["a"], "made": []}</vm></metadata><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a'/><target dev='vda' bus='virtio'/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><vlan><tag id='5'/></vlan><mtu size='1400'/>
<bandwidth><inbound average='10'/></bandwidth></interface></devices></domain>"""


@given(
    st.builds(
        lambda at, cut, harm: DOMAIN[: at % len(DOMAIN)] + harm + DOMAIN[at % len(DOMAIN) + cut :],
        st.integers(0, 10**6),
        st.integers(0, 80),
        st.text(max_size=20),
    )
    | st.text(max_size=200)
)
@MANY
def test_definitions(text):
    try:
        fields(text)
    except NovaCronError:
        pass


@given(
    st.sampled_from(["65536", "'5'", "1400", "'10'", '"a"', "vda", "52:54:00:00:00:01"]),
    st.text(max_size=30) | st.integers().map(str),
)
@MANY
def test_values_in_definitions(old, new):
    quote = old[0] if old[0] in "'\"" else ""
    safe = new.translate({ord(c): None for c in "<&'\""})
    try:
        fields(DOMAIN.replace(old, f"{quote}{safe}{quote}"))
    except NovaCronError:
        pass
