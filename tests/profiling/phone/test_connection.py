"""Commands on a phone: whole answers with their exit status, or the phone is lost."""

import threading
import time
from pathlib import Path

import pytest

from mnaslat.errors import DeviceError, DeviceLost
from mnaslat.profiling.phone.adb.connection import Connection, attached
from tests.phone.fixtures import PhoneBox
from tests.phone.phone import Phone
from tests.phone.waiting import wait_until

_MANY_BYTES = 30 * 1000 * 1000


@pytest.fixture
def connection(phone: Phone) -> Connection:
    return Connection(phone.serial)


@pytest.mark.parametrize("status", [0, 1, 97, 127, 255])
def test_the_exit_status_is_told(connection: Connection, status: int) -> None:
    done = connection.run(f"echo out; echo err >&2; exit {status}")
    assert done.status == status
    assert sorted(done.output.splitlines()) == ["err", "out"]


def test_a_last_line_without_an_end_belongs_to_the_output(connection: Connection) -> None:
    assert connection.run("printf 'one\\r\\n\\ntwo'").output == "one\n\ntwo\n"


def test_output_is_read_while_the_command_runs(connection: Connection) -> None:
    with connection.session("echo first; sleep 1000", silence_s=20.0) as session:
        assert next(iter(session.lines())) == "first"


def test_what_is_no_text_is_read_all_the_same(connection: Connection) -> None:
    assert connection.run("printf 'a\\377\\376b\\n'").output == "a\ufffd\ufffdb\n"


def test_standard_input_arrives_whole(connection: Connection) -> None:
    done = connection.run("wc -c", stdin=bytes(_MANY_BYTES), timeout_s=60.0)
    assert done.output.split() == [str(_MANY_BYTES)]


def test_a_command_need_not_read_its_standard_input(connection: Connection) -> None:
    assert connection.run("echo no", stdin=bytes(_MANY_BYTES)).output == "no\n"
    n_threads, started = threading.active_count(), time.monotonic()
    with connection.session("sleep 1000", stdin=bytes(_MANY_BYTES), silence_s=60.0):
        time.sleep(1.0)  # all buffers on the way are full
    # Leaving does not wait for the rest to be taken.
    assert time.monotonic() - started < 10.0
    wait_until(lambda: threading.active_count() <= n_threads)  # also those of the phone


def test_a_command_ends_when_the_block_is_left(phone: Phone, connection: Connection) -> None:
    with connection.session("sleep 1000", silence_s=20.0):
        wait_until(phone.userland.processes)
    wait_until(lambda: not phone.userland.processes())


def test_silence_for_too_long_is_a_loss(connection: Connection) -> None:
    started = time.monotonic()
    with pytest.raises(DeviceLost, match=r"broke: .*timeout"):
        connection.run("echo soon; sleep 1000", timeout_s=0.3)
    assert time.monotonic() - started < 10.0


def test_silence_is_counted_from_the_last_word(connection: Connection) -> None:
    done = connection.run("for i in 1 2 3 4; do sleep 0.4; echo $i; done", timeout_s=1.2)
    assert done.output.split() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("n_bytes", [0, 1, 500, 1500])
def test_a_loss_in_the_middle_is_never_a_short_answer(
    phone: Phone, connection: Connection, n_bytes: int
) -> None:
    phone.cut_after(n_bytes)
    with pytest.raises(DeviceLost, match=f"The connection to phone {phone.serial} broke"):
        connection.run("seq 1 1000")


def test_a_phone_that_is_not_there(adb_server: object) -> None:
    connection = Connection("nobody")
    assert connection.state() == "absent"
    with pytest.raises(DeviceLost, match="phone nobody broke: .*not found"):
        connection.run("echo")


def test_a_phone_that_is_not_authorised(make_phone: PhoneBox) -> None:
    phone = make_phone(authorised=False)
    connection = Connection(phone.serial)
    assert connection.state() == "unauthorized"
    with pytest.raises(DeviceLost, match="unauthorized"):
        connection.run("echo")
    phone.authorised = True
    wait_until(lambda: connection.state() == "device")
    assert connection.run("echo in").output == "in\n"


def test_a_phone_over_tcp_can_be_dialled_again(phone: Phone, connection: Connection) -> None:
    for afresh in (False, True):
        connection.dial(afresh=afresh)
        wait_until(lambda: connection.state() == "device")
        assert connection.run("echo there").output == "there\n"
    assert phone.serial in [each.serial for each in attached()]


def test_dialling_a_phone_on_a_cable_does_nothing() -> None:
    Connection("0123456789ABCDEF").dial(afresh=True)


@pytest.mark.parametrize(
    "serial",
    [
        "a; touch {}",
        "$(touch {})",
        "`touch {}`",
        "a' && touch {} '",
        'a" && touch {} "',
        "a\ntouch {}",
    ],
)
def test_a_serial_is_never_run(phone: Phone, tmp_path: Path, serial: str) -> None:
    made = tmp_path / "made"
    connection = Connection(serial.format(made))
    assert connection.state() == "absent"
    with pytest.raises(DeviceLost):
        connection.run("echo")
    for dialled in (connection, Connection(f"{connection.serial}:5555")):
        try:
            dialled.dial(afresh=True)
        except DeviceError:
            pass
    assert not made.exists() and not phone.place(str(made)).exists()
