"""Installs the benchmark tool on a phone: copies it there once, and checks it each time."""

from collections.abc import Sequence
from dataclasses import dataclass

from mnaslat.errors import DeviceError
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.description import taskset_mask
from mnaslat.profiling.phone.tool.binary import Binary

FOLDER = "/data/local/tmp/mnaslat"  # where an unrooted shell may write and execute

_PUSH_BYTES_PER_S = 1e6  # slower than any cable


@dataclass(frozen=True)
class Installed:
    """The tool on a phone; ``identity`` changes when the file is changed or replaced."""

    path: str
    identity: str  # empty where the phone does not report it


def install(connection: Connection, binary: Binary) -> Installed:
    """Copy the tool to the phone unless it is there already.

    The file is named by its content's hash, and is checked each time.

    Raises:
        DeviceLost: If the phone goes away.
        DeviceError: If it cannot be stored or made executable there.
    """
    path = f"{FOLDER}/bin/{binary.sha256}"
    check = (
        f"[ -x {path} ] && echo '{binary.sha256}  {path}' | sha256sum -c - > /dev/null 2>&1 && "
        f"{{ {identify(path)} || :; }}"
    )
    there = connection.run(check)
    if there.status == 0:
        return Installed(path, there.output.strip())
    arriving = f"{path}.arriving"
    bring = (
        f"mkdir -p {FOLDER}/bin && {{ rm -rf {path}; cat > {arriving} && chmod 755 {arriving} && "
        f"mv -f {arriving} {path} || {{ rm -f {arriving}; false; }}; }} && {check}"
    )
    content = _content(binary)
    limit_s = 30.0 + len(content) / _PUSH_BYTES_PER_S
    brought = connection.run(bring, stdin=content, timeout_s=limit_s)
    if brought.status != 0:
        raise DeviceError(
            f"The benchmark tool cannot be stored on phone {connection.serial} in {FOLDER}: "
            f"{brought.output.strip()[-200:] or 'it arrived damaged'}. Check that the phone's "
            "storage has room (`adb shell df /data`) and try again."
        )
    return Installed(path, brought.output.strip())


def identify(path: str) -> str:
    """Write shell text that prints a value which changes when a file is changed or replaced."""
    return f"stat -c %i:%s:%Z {path} 2>/dev/null"


def _content(binary: Binary) -> bytes:
    try:
        return binary.path.read_bytes()
    except OSError as error:
        raise DeviceError(
            f"The benchmark tool {binary.path} cannot be read: {error.strerror}. Type the same "
            "command again: it looks for the tool anew."
        ) from None


def pinned(command: str, cores: Sequence[int]) -> str:
    """Write the shell command that runs another one on some cores; on any if there are none."""
    return f"taskset {taskset_mask(cores)} {command}" if cores else command


def clean(connection: Connection) -> bool:
    """Remove all files of mnaslat from a phone; returns whether there were any.

    Raises:
        DeviceLost: If the phone goes away.
        DeviceError: If it cannot be removed.
    """
    if connection.run(f"[ -e {FOLDER} ]").status != 0:
        return False
    removed = connection.run(f"rm -rf {FOLDER}", timeout_s=120.0)
    if removed.status != 0:
        raise DeviceError(
            f"{FOLDER} on phone {connection.serial} cannot be removed: {removed.output.strip()}."
        )
    return True
