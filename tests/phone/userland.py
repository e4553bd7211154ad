"""The phone's files and processes: Android's shell and tools in a root folder of their own.

A holder process makes a mount namespace in which the root folder is complete: what the phone's
programs need of this computer is bound into it, ``/data`` is a disk of limited size. Commands enter
that namespace, change their root and see only the phone. The holder ends, and ends every process of
the phone, when its stdin does: then the namespace and all that was mounted is gone, also if this
process is killed.
"""

import os
import posixpath
import shutil
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from tests.phone.benchmark_model import litert_library

_N_RESIZINGS = 20  # a disk gets no smaller than a program has just made its files
_SHELL_USER = 2000  # Android's user "shell"

# Android 14's tools: those of its toybox. This computer's toybox need not have all of them.
_APPLETS = """
[ acpi base64 basename blkdiscard blkid blockdev cal cat chattr chgrp chmod chown chroot chrt cksum
clear cmp comm cp cpio cut date dd devmem df diff dirname dmesg dos2unix du echo egrep env expand
expr fallocate false fgrep file find flock fmt free freeramdisk fsfreeze fsync getconf getopt grep
groups gunzip gzip head help hostname hwclock iconv id ifconfig inotifyd insmod install ionice
iorenice iotop kill killall ln log logger logname losetup ls lsattr lsmod lsof lspci lsusb makedevs
md5sum microcom mkdir mkfifo mknod mkswap mktemp modinfo more mount mountpoint mv nbd-client nc
netcat netstat nice nl nohup nproc nsenter od partprobe paste patch pgrep pidof ping ping6
pivot_root pkill pmap printenv printf prlimit ps pwd pwdx readelf readlink realpath renice rev
rfkill rm rmdir rmmod rtcwake sed seq setfattr setsid sha1sum sha224sum sha256sum sha384sum
sha512sum sleep sort split stat strings stty swapoff swapon sync sysctl tac tail tar taskset tee
test time timeout top touch tr true truncate tty tunctl uclampset ulimit umount uname uniq unix2dos
unlink unshare uptime usleep uudecode uuencode uuidgen vconfig vi vmstat watch wc which whoami xargs
xxd yes zcat
""".split()

_GETPROP = """#!/system/bin/sh
# Properties are lines "name=value" in one file.
while IFS= read -r line; do
  if [ -z "$1" ]; then
    echo "[${line%%=*}]: [${line#*=}]"
  elif [ "${line%%=*}" = "$1" ]; then
    echo "${line#*=}"
    exit 0
  fi
done </system/etc/phone/properties
[ -z "$1" ] || echo "$2"
"""

_DUMPSYS = """#!/system/bin/sh
if [ -f "/system/etc/phone/dumpsys/$1" ]; then
  while IFS= read -r line; do
    echo "$line"
  done <"/system/etc/phone/dumpsys/$1"
else
  echo "Can't find service: $1" >&2
fi
"""

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")

# What makes the phone. Without rights to remount something (as a user), it stays writable.
_HOLDER = """
set -e
root=$1 disk_bytes=$2 user=$3 litert=$4
mount --bind "$root" "$root"
mount --bind "$root/metadata" "$root/metadata"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
for library in $5; do mount --rbind "$library" "$root$library"; done
[ -z "$litert" ] || mount --bind "$litert" "$root/system/lib64/libLiteRt.so"
mount --bind "$root/system/etc/phone/boot_id" "$root/proc/sys/kernel/random/boot_id" || true
mount --bind "$root/system/etc/phone/loadavg" "$root/proc/loadavg" || true
mount -t tmpfs -o "size=$disk_bytes,mode=0771" phone "$root/data"
mkdir -p "$root/data/local/tmp"
mount -t tmpfs -o size=16m,mode=0771,noexec phone "$root/sdcard"
chmod 0751 "$root/data/local"
chmod 0771 "$root/data/local/tmp"
[ -z "$user" ] || chown "$user:$user" "$root/data/local/tmp" "$root/sdcard"
mount -o remount,bind,ro "$root" || true
echo ready
cat >/dev/null
here=$(readlink /proc/self/ns/mnt)
for process in /proc/[0-9]*; do
  id=${process#/proc/}
  [ "$id" != $$ ] || continue
  [ "$(readlink "$process/ns/mnt")" != "$here" ] || kill -9 "$id" || true
done 2>/dev/null
"""


class Userland:
    """One phone's files and processes; ``start`` before use, ``stop`` after it.

    Attributes:
        root: Its root folder as a path of this computer: files written here are seen by the phone,
            all but those in ``/data`` and ``/sdcard`` (for these: ``place``).
    """

    def __init__(self, folder: Path, *, disk_bytes: int) -> None:
        self.root = folder.resolve() / "root"
        self._disk_bytes = disk_bytes
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is started."""
        return self._holder is not None

    @property
    def owner(self) -> int | None:
        """Who its commands run as: user and group "shell"; ``None``: as whoever started it."""
        return _SHELL_USER if _is_privileged() else None

    def start(self) -> None:
        """Make the root folder and mount what belongs into it.

        Raises:
            RuntimeError: If that cannot be done on this computer; ``why_not`` says so beforehand.
        """
        reason = why_not()
        if reason:
            raise RuntimeError(reason)
        self._make_root()
        libraries = [each for each in _LIBRARIES if Path(each).is_dir()]
        for library in libraries:
            (self.root / library[1:]).mkdir(parents=True, exist_ok=True)
        owner = "" if self.owner is None else str(self.owner)
        settings = (str(self.root), str(self._disk_bytes), owner, str(litert_library() or ""))
        unshare = [_tool("unshare"), "--mount"] + ([] if _is_privileged() else ["--map-root-user"])
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", _HOLDER, "holder", *settings, " ".join(libraries)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process to deal with
        )
        assert self._holder.stdout is not None and self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            trouble = self._holder.stderr.read().decode(errors="replace")
            self.stop()
            raise RuntimeError(f"The phone's files cannot be mounted: {trouble}")

    def stop(self) -> None:
        """End all processes and unmount everything."""
        if self._holder is None:
            return
        if self._holder.poll() is None:
            self.kill_all()
            self._holder.kill()  # what it would do at its end is done
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            assert pipe is not None
            pipe.close()
        self._holder.wait()
        self._holder = None

    def spawn(self, command: str, stderr: int) -> subprocess.Popen[bytes]:
        """Start a shell command as adbd does; all its pipes are open, it leads a process group."""
        user = [] if self.owner is None else [f"--userspec={self.owner}:{self.owner}"]
        chroot = [_tool("chroot"), *user, str(self.root)]
        shell = ["/system/bin/sh", "-c", command] if command else ["/system/bin/sh", "-i"]
        return subprocess.Popen(
            [*self._enter(), *chroot, *shell],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            start_new_session=True,
            env={
                "PATH": "/system/bin",
                "HOME": "/",
                "USER": "shell",
                "LOGNAME": "shell",
                "SHELL": "/system/bin/sh",
                "TMPDIR": "/data/local/tmp",
                "ANDROID_DATA": "/data",
                "ANDROID_ROOT": "/system",
            },
        )

    def place(self, path: str) -> Path:
        """A file of the phone as a path that this process can open while the phone runs."""
        assert self._holder is not None, "the phone is not started"
        inside = posixpath.normpath("/" + path).lstrip("/")
        return Path(f"/proc/{self._holder.pid}/root{self.root}/{inside}")

    def kill_all(self) -> None:
        """End every process of the phone, and those that they start meanwhile."""
        while processes := self.processes():
            for process in processes:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def processes(self) -> list[int]:
        """The phone's processes by their ids on this computer."""
        assert self._holder is not None, "the phone is not started"
        here = os.readlink(f"/proc/{self._holder.pid}/ns/mnt")
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                if os.readlink(folder / "ns/mnt") != here or _parent(folder) == self._holder.pid:
                    continue
            except OSError:  # gone, a zombie, or not ours
                continue
            if int(folder.name) != self._holder.pid:
                found.append(int(folder.name))
        return found

    def leave_free(self, n_bytes: int | None) -> None:
        """Make the disk as small as to have so many bytes free; ``None``: its full size again."""
        for attempts_left in reversed(range(_N_RESIZINGS)):
            size = self._disk_bytes
            if n_bytes is not None:
                disk = os.statvfs(self.place("/data"))
                used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
                size = max(used + n_bytes, disk.f_frsize)  # 0 would mean: no limit
            # With its source named, mount adds no options of before, which a user may not give.
            options = ["-o", f"remount,size={size}"]
            command = [_tool("mount"), *options, "phone", str(self.root / "data")]
            done = subprocess.run([*self._enter(), *command], capture_output=True, text=True)
            if done.returncode == 0:
                return
            if not attempts_left:
                raise RuntimeError(f"The phone's disk cannot be resized: {done.stderr}")

    def write(self, path: str, text: str) -> None:
        """Write a file outside ``/data``; readers see the old text or the new one."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f".{place.name}.unfinished")
        unfinished.write_text(text)
        unfinished.replace(place)

    def overwrite(self, path: str, text: str) -> None:
        """Write a file outside ``/data`` in place, for one that is bound over a file of ``/proc``.

        One call writes it all: a text of the same length is never seen in half.
        """
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def _enter(self) -> list[str]:
        assert self._holder is not None, "the phone is not started"
        user = [] if _is_privileged() else ["--user", "--preserve-credentials"]
        return [_tool("nsenter"), f"--target={self._holder.pid}", "--mount", *user]

    def _make_root(self) -> None:
        folders = ("proc", "dev", "data", "sdcard", "system/bin", "system/lib64", "metadata/phone")
        for name in folders:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "metadata/phone").chmod(0o777)
        (self.root / "system/lib64/libLiteRt.so").touch()
        tools = self.root / "system/bin"
        shutil.copy2(_tool("mksh"), tools / "mksh")
        shutil.copy2(_tool("toybox"), tools / "toybox")
        known = subprocess.run([_tool("toybox")], capture_output=True, text=True).stdout.split()
        links = {"sh": "mksh"} | {name: "toybox" for name in _APPLETS if name in known}
        for name, target in links.items():
            if not (tools / name).is_symlink():
                (tools / name).symlink_to(target)
        for name, text in (("getprop", _GETPROP), ("dumpsys", _DUMPSYS)):
            self.write(f"/system/bin/{name}", text)
            (tools / name).chmod(0o755)
        self.write(
            "/system/etc/passwd", f"root:x:0:0::/:\nshell:x:{_SHELL_USER}:{_SHELL_USER}::/:\n"
        )
        self.write("/system/etc/group", f"root:x:0:\nshell:x:{_SHELL_USER}:\n")
        if not (self.root / "etc").is_symlink():
            (self.root / "etc").symlink_to("system/etc")


@lru_cache
def why_not() -> str:
    """Why this computer cannot play a phone; empty if it can."""
    if sys.platform != "linux":
        return "The phone in software needs Linux."
    for name in ("mksh", "toybox", "unshare", "nsenter", "chroot", "mount"):
        if not shutil.which(name, path=_search_path()):
            return f"The phone in software needs {name}, which is not installed."
    if not _is_privileged() and not _works("unshare", "--mount", "--map-root-user"):
        return "The phone in software needs mount namespaces, which are forbidden here."
    return ""


@lru_cache
def _is_privileged() -> bool:
    """Whether this process may make mount namespaces without one for users."""
    return os.geteuid() == 0 and _works("unshare", "--mount")


def _works(*command: str) -> bool:
    unshare = [_tool(command[0]), *command[1:]]
    mount = (_tool("mount"), "-t", "tmpfs", "probe", "/proc")
    return subprocess.run([*unshare, *mount], capture_output=True).returncode == 0


def _search_path() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"  # chroot is there


@lru_cache
def _tool(name: str) -> str:
    path = shutil.which(name, path=_search_path())
    assert path is not None, f"{name} is not installed"
    return path


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
