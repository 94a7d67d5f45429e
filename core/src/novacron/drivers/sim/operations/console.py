"""A serial console that echoes its input, and a display of one colour."""

from __future__ import annotations

import struct
import threading
import time
import zlib

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.machine import SimVM
from novacron.errors import BusyError, InvalidStateError
from novacron.keys import linux_codes
from novacron.records.guest import ConsoleEndpoint, Screenshot
from novacron.records.vm import VM

WIDTH, HEIGHT = 64, 48
_COLOURS = {"running": (32, 96, 64), "suspended": (96, 96, 32)}


class EchoConsole:
    """An open serial console. Its output is its input."""

    def __init__(self, vm: SimVM) -> None:
        self._vm = vm
        self._data = bytearray()
        self._changed = threading.Condition()
        self.closed = False

    def read(self, timeout: float) -> bytes:
        """Return the bytes that arrive within `timeout` seconds; empty if there are none."""
        until = time.monotonic() + timeout
        with self._changed:
            while not self._data and not self.closed and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            data = bytes(self._data)
            self._data.clear()
            return data

    def write(self, data: bytes) -> None:
        """Send input. Raises InvalidStateError if the console is closed or the VM does not run."""
        with self._changed:
            if self.closed or not self._vm.active:
                raise InvalidStateError(
                    f"the console of {self._vm.name!r} is closed", resource=self._vm.name, hint="open it again"
                )
            self._data += data
            self._changed.notify_all()

    def close(self) -> None:
        """Release the console. A waiting read returns."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class SimConsole(Area):
    """Consoles and displays."""

    @simulated
    def console_open(self, vm: str, force: bool) -> EchoConsole:
        """Open the serial console."""
        with self.world.lock:
            sim_vm = self.world.find(vm)
            self._check_active(sim_vm, "open the console of")
            holder = self.world.consoles.get(sim_vm.id)
            if holder is not None and not holder.closed:
                if not force:
                    raise BusyError(
                        f"the console of {sim_vm.name!r} is open already",
                        resource=sim_vm.name,
                        hint="force=True (--force) takes it",
                    )
                holder.close()
            console = self.world.consoles[sim_vm.id] = EchoConsole(sim_vm)
            return console

    @simulated
    def console_screenshot(self, vm: str) -> Screenshot:
        """Return an image in the colour of the VM's status."""
        with self.world.lock:
            sim_vm = self.look(vm)
            self._check_active(sim_vm, "take a picture of")
            return Screenshot(
                vm=sim_vm.id, mime_type="image/png", data=_png(WIDTH, HEIGHT, _COLOURS.get(sim_vm.status, (64, 64, 64)))
            )

    @simulated
    def console_send_keys(self, vm: str, keys: tuple[str, ...]) -> VM:
        """Accept the keys. The guest does nothing with them."""
        linux_codes(keys)
        with self.world.lock:
            sim_vm = self.look(vm)
            if sim_vm.status != "running":
                raise InvalidStateError.of_status("press keys of", sim_vm.name, sim_vm.status, ("running",))
            return self.record(sim_vm)

    @simulated
    def console_endpoint(self, vm: str) -> ConsoleEndpoint:
        """Return the address of the display, or of the serial console of a VM without a display. Nothing listens there."""
        with self.world.lock:
            sim_vm = self.look(vm)
            self._check_active(sim_vm, "reach the display of")
            if sim_vm.display is None:
                return ConsoleEndpoint(vm=sim_vm.id, kind="serial", path=f"/sim/console/{sim_vm.name}")
            from novacron.specs.devices import DisplaySpec

            asked = DisplaySpec(**sim_vm.display)
            port = asked.port or 5900 + zlib.crc32(sim_vm.id.encode()) % 1000
            return ConsoleEndpoint(vm=sim_vm.id, kind=asked.type, address=asked.listen, port=port)

    def _check_active(self, vm: SimVM, action: str) -> None:
        if not vm.active:
            raise InvalidStateError(f"can't {action} {vm.name!r}: it is {vm.status}", resource=vm.name, hint="start it first")


def _png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Return a PNG of one colour (https://www.w3.org/TR/png/: 8 bits per sample, RGB, no filter)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


__all__ = ["EchoConsole", "SimConsole"]
