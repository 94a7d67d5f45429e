"""A failover controller as a process of its own, which a test can kill and halt: python failover_controller.py STATE_DIRECTORY

It is less patient than the command `novacron fleet failover run`, so that a test with many histories ends.
"""

import sys
import threading

from novacron import Site
from novacron.fleets.fencing.agents import FenceAgents
from novacron.fleets.fencing.fencer import Fencer


def main(state: str) -> None:
    with Site(state) as site:
        agents = FenceAgents(lambda: site.plugins.hook)
        fencer = Fencer(agents, site.secrets.get, site.fleet.hosts, timeout=4, patience=8, pause=0.3)
        controller = site.fleet.failover.controller(fencer=fencer, interval=0.5, timeout=4)
        controller.run(threading.Event(), say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    main(sys.argv[1])
