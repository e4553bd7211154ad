"""The phone's adb, spoken to by a real adb server."""

import hashlib
import io
import os
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import adbutils
import pytest

from tests.phone.adb_server import AdbServer
from tests.phone.fixtures import PhoneBox
from tests.phone.loss import adb_fails
from tests.phone.phone import Phone
from tests.phone.waiting import wait_until


@pytest.fixture
def device(phone: Phone, adb_server: AdbServer) -> adbutils.AdbDevice:
    return adb_server.client.device(serial=phone.serial)


def _run(device: adbutils.AdbDevice, command: str) -> tuple[int, str, str]:
    done = device.shell2(command, v2=True)
    return done.returncode, done.stdout, done.stderr


def _state(server: AdbServer, serial: str) -> str:
    return next((str(each.state) for each in server.client.list() if each.serial == serial), "")


# --- shells


@pytest.mark.parametrize("status", [0, 1, 77, 255])
def test_the_exit_status_arrives(device: adbutils.AdbDevice, status: int) -> None:
    assert _run(device, f"exit {status}")[0] == status


def test_a_shell_that_a_signal_ends_says_which(device: adbutils.AdbDevice) -> None:
    assert _run(device, "kill -9 $$")[0] == 128 + 9


def test_stdout_and_stderr_arrive_apart(device: adbutils.AdbDevice) -> None:
    assert _run(device, "echo out; echo err >&2") == (0, "out\n", "err\n")


def test_the_old_shell_mixes_them(device: adbutils.AdbDevice) -> None:
    assert device.shell("echo out; echo err >&2") == "out\nerr"


def test_a_command_arrives_as_it_is_written(device: adbutils.AdbDevice) -> None:
    text = "a 'b' \"c\" $d `e` \\ * ä \n end"
    quoted = "'" + text.replace("'", "'\\''") + "'"
    assert _run(device, f"printf %s {quoted}")[1] == text


def test_much_output_arrives_whole(device: adbutils.AdbDevice) -> None:
    _, out, _ = _run(device, "seq 1 400000")
    assert out.split() == [str(number) for number in range(1, 400_001)]


def test_many_shells_leave_nothing(phone: Phone, device: adbutils.AdbDevice) -> None:
    n_threads = threading.active_count()
    for number in range(40):
        assert _run(device, f"echo {number}")[1] == f"{number}\n"
    wait_until(lambda: threading.active_count() <= n_threads + 1)
    assert phone.userland.processes() == []


def test_stdin_is_streamed_and_ends(phone: Phone, adb_server: AdbServer) -> None:
    command = ["shell", "sha256sum; echo end"]
    sent = os.urandom(3_000_000)
    done = _adb(adb_server, phone, *command, stdin=sent)
    assert done.stdout.decode().split() == [hashlib.sha256(sent).hexdigest(), "-", "end"]


def test_an_archive_is_unpacked_from_stdin(
    phone: Phone, adb_server: AdbServer, device: adbutils.AdbDevice
) -> None:
    content = os.urandom(30_000_000)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("big")
        member.size, member.mode = len(content), 0o755
        tar.addfile(member, io.BytesIO(content))
    done = _adb(
        adb_server, phone, "shell", "cd /data/local/tmp && tar x && ls", stdin=archive.getvalue()
    )
    assert (done.returncode, done.stdout) == (0, b"big\n")
    assert phone.place("/data/local/tmp/big").read_bytes() == content


def test_a_reader_that_ends_early_does_not_block(phone: Phone, adb_server: AdbServer) -> None:
    done = _adb(adb_server, phone, "shell", "head -c 5; exit 4", stdin=b"12345" * 1_000_000)
    assert (done.returncode, done.stdout) == (4, b"12345")


def test_a_computer_that_goes_ends_its_command(phone: Phone, adb_server: AdbServer) -> None:
    with subprocess.Popen(
        _command(adb_server, phone, "shell", "echo begun; sleep 1000"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=adb_server.environment | {"HOME": os.environ.get("HOME", "/")},
    ) as adb:
        assert adb.stdout is not None and adb.stdout.readline() == b"begun\n"
        assert phone.userland.processes()
        adb.kill()
    wait_until(lambda: not phone.userland.processes())


def test_commands_run_side_by_side(device: adbutils.AdbDevice) -> None:
    said: list[str] = []
    waits = [
        threading.Thread(target=lambda n=n: said.append(_run(device, f"sleep {n}; echo {n}")[1]))
        for n in (0.6, 0.0)
    ]
    for wait in waits:
        wait.start()
    for wait in waits:
        wait.join()
    assert said == ["0.0\n", "0.6\n"]


# --- files


@pytest.mark.parametrize("n_bytes", [0, 1, 65_536, 20_000_001])
def test_a_file_goes_there_and_back(
    phone: Phone, device: adbutils.AdbDevice, tmp_path: Path, n_bytes: int
) -> None:
    content = os.urandom(n_bytes)
    (tmp_path / "sent").write_bytes(content)
    device.sync.push(tmp_path / "sent", "/data/local/tmp/new/folder/it")
    assert phone.place("/data/local/tmp/new/folder/it").read_bytes() == content
    device.sync.pull("/data/local/tmp/new/folder/it", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_the_phone_s_shell_owns_what_is_pushed(device: adbutils.AdbDevice) -> None:
    device.sync.push(b"#!/system/bin/sh\necho here\n", "/data/local/tmp/script", mode=0o644)
    status, _, trouble = _run(device, "/data/local/tmp/script")
    assert status == 126 and "ermission denied" in trouble  # the execute bit did not come along
    assert _run(device, "chmod 755 /data/local/tmp/script && /data/local/tmp/script")[1] == "here\n"


def test_facts_about_files(device: adbutils.AdbDevice) -> None:
    device.sync.push(b"12345", "/data/local/tmp/five")
    assert device.sync.stat("/data/local/tmp/five").size == 5
    assert device.sync.stat("/data/local/tmp/none").mode == 0
    assert [each.path for each in device.sync.list("/data/local/tmp")] == ["five"]
    assert device.sync.list("/no/such/folder") == []


def test_what_cannot_be_written_is_said(
    phone: Phone, device: adbutils.AdbDevice, adb_server: AdbServer, tmp_path: Path
) -> None:
    (tmp_path / "new").write_text("new")
    for path in ("/system/bin/new", "/data/new", "/data/local/tmp/../new"):
        with pytest.raises(adbutils.AdbError, match="FAIL"):
            device.sync.push(b"new", path)
        done = _adb(adb_server, phone, "push", str(tmp_path / "new"), path)
        assert done.returncode == 1 and b"couldn't create file: Permission denied" in done.stderr


def test_what_cannot_be_read_is_said(device: adbutils.AdbDevice) -> None:
    with pytest.raises(adbutils.AdbError, match="No such file"):
        device.sync.read_bytes("/data/local/tmp/none")
    with pytest.raises(adbutils.AdbError, match="Is a directory"):
        device.sync.read_bytes("/data/local/tmp")


def test_adb_s_own_push_and_pull(phone: Phone, adb_server: AdbServer, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_text(name)
    assert (
        _adb(adb_server, phone, "push", str(tmp_path / "folder"), "/data/local/tmp").returncode == 0
    )
    assert phone.place("/data/local/tmp/folder/two").read_text() == "two"
    back = str(tmp_path / "back")
    assert _adb(adb_server, phone, "pull", "/data/local/tmp/folder", back).returncode == 0
    assert (tmp_path / "back" / "one").read_text() == "one"


# --- who may come in


def test_an_unauthorised_computer_waits_and_is_let_in(
    make_phone: PhoneBox, adb_server: AdbServer
) -> None:
    phone = make_phone(authorised=False)
    wait_until(lambda: _state(adb_server, phone.serial) == "unauthorized")
    device = adb_server.client.device(serial=phone.serial)
    with adb_fails("unauthorized"):
        _run(device, "echo")
    phone.authorised = True
    wait_until(lambda: _state(adb_server, phone.serial) == "device")
    assert _run(device, "echo in")[1] == "in\n"
    phone.authorised = False
    wait_until(lambda: _state(adb_server, phone.serial) == "unauthorized")


def test_noise_instead_of_adb_ends_the_connection(phone: Phone) -> None:
    host, port = phone.serial.split(":")
    for noise in (b"GET / HTTP/1.0\r\n\r\n" + bytes(100), b"OPEN" + bytes(20), b"\xff" * 24):
        with socket.create_connection((host, int(port)), timeout=10.0) as link:
            link.sendall(noise)
            try:
                assert link.recv(1) == b""
            except ConnectionResetError:  # it did not care to read all of it
                pass


def test_two_phones_at_once(make_phone: PhoneBox, adb_server: AdbServer) -> None:
    phones = [make_phone(model=model) for model in ("Pixel 4", "Pixel 1")]
    for each, model in zip(phones, ("Pixel 4", "Pixel 1"), strict=True):
        device = adb_server.client.device(serial=each.serial)
        device.sync.push(model.encode(), "/data/local/tmp/who")
        said = _run(device, "getprop ro.product.model; cat /data/local/tmp/who")[1]
        assert said == f"{model}\n{model}"


def test_the_server_comes_back_on_its_port(phone: Phone, adb_server: AdbServer) -> None:
    port = adb_server.port
    adb_server.kill()
    with adb_fails("connect"):
        adb_server.client.list()
    adb_server.start()
    assert adb_server.port == port
    device = adb_server.connect(phone)
    assert _run(device, "echo again")[1] == "again\n"


def test_no_other_phone_is_seen(adb_server: AdbServer) -> None:
    assert adb_server.client.list() == []


def _command(server: AdbServer, phone: Phone, *arguments: str) -> list[str]:
    return [adbutils.adb_path(), "-P", str(server.port), "-s", phone.serial, *arguments]


def _adb(
    server: AdbServer, phone: Phone, *arguments: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        _command(server, phone, *arguments),
        input=stdin,
        capture_output=True,
        timeout=60,
        env={"HOME": os.environ.get("HOME", "/"), **server.environment},
    )
