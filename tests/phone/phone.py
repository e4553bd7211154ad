"""A phone in software: Android's shell and tools, adb, and trouble on demand.

``adb connect`` to ``Phone.serial`` works with any adb; commands run on this computer's processor.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.phone.adbd import Adbd, Service
from tests.phone.benchmark_model import Behaviour
from tests.phone.link import Link
from tests.phone.ports import free_port
from tests.phone.shell import Shell
from tests.phone.state import State
from tests.phone.sync import Sync
from tests.phone.userland import Userland, why_not

# No delayed_ack, sendrecv_v2 or abb: this side does not have them.
_FEATURES = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir"
_POLL_S = 0.005


class Phone:
    """One phone; ``with Phone(folder) as phone:`` starts and stops it.

    Args:
        folder: An empty folder for its files; they are removed by whoever made it.
        model: ``ro.product.model``.
        serial_number: ``ro.serialno``.
        abi: ``ro.product.cpu.abi``; programs of this computer run whatever it says.
        build: ``ro.build.fingerprint``.
        port: Loopback port of its adbd; 0 takes a free one.
        disk_bytes: Size of ``/data``; it is kept in memory.
        authorised: Whether it accepts the computer's key; may be changed at any time.
        orphans: Whether commands live on when their connection is lost, until they write, as on a
            real phone; else they are killed with it.

    Attributes:
        serial: What adb calls it.
        userland: Its files and processes.
        state: What it says of itself; the methods ``set_...`` change it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        model: str = "Test Phone",
        serial_number: str = "SIM0001",
        abi: str = "x86_64",
        build: str = "mnaslat/test/phone:14/AB1/1:user/release-keys",
        port: int = 0,
        disk_bytes: int = 256 * 1024 * 1024,
        authorised: bool = True,
        orphans: bool = False,
    ) -> None:
        self._orphans = orphans
        self.userland = Userland(folder, disk_bytes=disk_bytes)
        self.state = State(self.userland, _properties(model, serial_number, abi, build))
        self._adbd = Adbd(port or free_port(), self._banner, self._service)
        self._adbd.authorised = authorised
        self.serial = f"127.0.0.1:{self._adbd.port}"
        self._link = Link()
        self._behaviour: dict[str, Any] = {}
        self._stopped = threading.Event()
        self._helpers: list[threading.Thread] = []
        self.set_property = self.state.set_property
        self.set_battery = self.state.set_battery
        self.set_thermal_status = self.state.set_thermal_status
        self.set_zone = self.state.set_zone
        self.set_max_clock = self.state.set_max_clock
        self.set_screen = self.state.set_screen
        self.set_load = self.state.set_load

    @staticmethod
    def missing() -> str:
        """Why this computer cannot play a phone; empty if it can."""
        return why_not()

    def start(self) -> None:
        """Switch it on and plug it in; raises ``RuntimeError`` if this computer cannot."""
        self.state.write_all()
        self.set_benchmark()
        self.userland.start()
        self._stopped.clear()
        self.plug_in()

    def stop(self) -> None:
        """Leave nothing running and nothing mounted."""
        self._stopped.set()
        self._adbd.unplug()
        for helper in self._helpers:
            if helper is not threading.current_thread():
                helper.join()
        if self.userland.is_on:
            self.userland.kill_all()  # ends the threads that serve the commands
        self._adbd.stop()
        self.userland.stop()

    def __enter__(self) -> "Phone":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # --- the cable

    def unplug(self) -> None:
        """Cut all connections and refuse new ones; running commands are killed.

        With ``orphans`` they live on, as on a real phone.
        """
        self._adbd.unplug()
        if not self._orphans:
            self.userland.kill_all()

    def plug_in(self) -> None:
        """Accept connections again."""
        self._adbd.plug_in()

    def reboot(self, down_s: float) -> None:
        """End everything that runs and be away for a while; ``/data`` stays, the boot id does not.

        Returns at once.
        """
        self._adbd.unplug()
        self.userland.kill_all()
        self.state.new_boot()

        def come_back() -> None:
            if not self._stopped.wait(down_s):
                self.plug_in()

        self._help(come_back)

    def freeze(self) -> None:
        """Keep connections and answer nothing."""
        self._adbd.freeze()

    def thaw(self) -> None:
        """Answer again, also what was asked meanwhile."""
        self._adbd.thaw()

    @property
    def authorised(self) -> bool:
        """Whether the computer's key is accepted. ``True`` lets a computer in that waits."""
        return self._adbd.authorised

    @authorised.setter
    def authorised(self, authorised: bool) -> None:
        self._adbd.authorised = authorised
        if not authorised:  # who was in has to ask again
            self._adbd.cut()

    def garble_link(self, n_bytes: int) -> None:
        """Replace the next bytes of shell output by noise."""
        self._link.garble(n_bytes)

    def cut_after(self, n_bytes: int) -> None:
        """Break the connection after so many more bytes of shell output; it can be made again."""
        self._link.cut_after(n_bytes)

    # --- the disk

    def fill_disk(self, leave_bytes: int = 0) -> None:
        """Leave only so many bytes free in ``/data``."""
        self.userland.leave_free(leave_bytes)

    def free_disk(self) -> None:
        """Give ``/data`` its size again."""
        self.userland.leave_free(None)

    def place(self, path: str) -> Path:
        """A file of the phone as a path of this computer, good while the phone runs."""
        return self.userland.place(path)

    def hide(self, path: str) -> None:
        """Remove a file or folder outside ``/data``: a phone that does not say everything.

        ``/system/etc/phone/dumpsys/NAME`` is what ``dumpsys NAME`` prints, without it Android has
        no such service.
        """
        hidden = self.userland.root / path.lstrip("/")
        if hidden.is_dir():
            shutil.rmtree(hidden)
        else:
            hidden.unlink()

    # --- benchmark_model

    def set_benchmark(self, **changes: Any) -> None:
        """How its ``benchmark_model`` behaves from the next start on.

        Takes the fields of ``Behaviour``; those not given stay as they are.
        """
        self._behaviour.update(changes)
        self.userland.write("/system/etc/phone/benchmark", Behaviour(**self._behaviour).text())

    @property
    def n_started(self) -> int:
        """How many runs of ``benchmark_model`` were started so far."""
        try:
            return (self.userland.root / "metadata/phone/started").stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def runs(self) -> list[str]:
        """Each of these runs: the cores it was allowed, as ``0,1``, then its arguments."""
        try:
            return (self.userland.root / "metadata/phone/runs").read_text().splitlines()
        except FileNotFoundError:
            return []

    def when_started(self, n_runs: int, action: Callable[[], None]) -> None:
        """Call ``action`` from a thread once so many runs were started."""

        def watch() -> None:
            while self.n_started < n_runs:
                if self._stopped.wait(_POLL_S):
                    return
            action()

        self._help(watch)

    # ---

    def _help(self, work: Callable[[], None]) -> None:
        helper = threading.Thread(target=work, name="phone helper", daemon=True)
        self._helpers.append(helper)
        helper.start()

    def _banner(self) -> bytes:
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        properties = "".join(f"{name}={self.state.property(name)};" for name in names)
        return f"device::{properties}features={_FEATURES}".encode()

    def _service(self, name: str) -> Service | None:
        head, _, command = name.partition(":")
        kind, *options = head.split(",")
        shell = Shell(
            command, spawn=self.userland.spawn, end=self._hang_up, trouble=self._link.carry
        )
        if kind == "shell" and "v2" in options:
            return shell.serve
        if kind in ("shell", "exec"):
            return shell.serve_old
        if kind == "sync":
            return Sync(self.userland.place, self.userland.owner).serve
        if kind == "reboot":
            return lambda stream: self._help(lambda: self.reboot(1.0))
        return None

    def _hang_up(self, process: subprocess.Popen[bytes]) -> None:
        if process.returncode is not None:
            return
        try:
            if self._orphans and not self._stopped.is_set():
                process.send_signal(signal.SIGHUP)
            else:
                os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _properties(model: str, serial_number: str, abi: str, build: str) -> dict[str, str]:
    return {
        "ro.product.manufacturer": "mnaslat",
        "ro.product.brand": "mnaslat",
        "ro.product.model": model,
        "ro.product.name": "test",
        "ro.product.device": "phone",
        "ro.product.cpu.abi": abi,
        "ro.product.cpu.abilist": abi,
        "ro.soc.manufacturer": "mnaslat",
        "ro.soc.model": "SIM",
        "ro.board.platform": "software",
        "ro.hardware": "software",
        "ro.serialno": serial_number,
        "ro.build.fingerprint": build,
        "ro.build.version.release": "14",
        "ro.build.version.sdk": "34",
        "sys.boot_completed": "1",
    }
