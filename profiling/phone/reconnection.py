"""Waits for a phone that went away, and makes sure that it is still the same one."""

import math
import time
from collections.abc import Iterator

from mnaslat.errors import ConfigurationMismatch, DeviceError, DeviceLost
from mnaslat.profiling.device import Notice
from mnaslat.profiling.phone.adb.queries import describe
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.units import format_duration

_ANSWER_S = 20.0  # a phone that is busy answers late; one that takes longer is away
_POLL_S = 1.0
_SAY_AGAIN_S = 60.0
_TRIES_BEFORE_AFRESH = 3  # adb's server makes a new connection by itself within two seconds or so
_ASKS_FIRST = ("unauthorized", "authorizing")
_WORDS = {"absent": "adb does not see it", "offline": "it does not answer"}


def recognise(session: PhoneSession, *, answer_s: float = _ANSWER_S) -> None:
    """Make sure that the phone at the other end is the one that was opened.

    Raises:
        DeviceLost: If it does not answer, or is still starting.
        ConfigurationMismatch: If it is another one, or has another build of Android.
    """
    expected = session.description.fingerprint
    for _ in range(2):  # a damaged answer must not pass for another phone
        try:
            description = describe(session.connection, timeout_s=answer_s)
        except DeviceError as error:
            raise DeviceLost(str(error)) from None
        if not description.booted:
            raise DeviceLost(f"Phone {session.connection.serial} is starting up.")
        if description.fingerprint == expected:
            return
    raise ConfigurationMismatch(
        f"Phone {session.connection.serial} came back as another one: {description.fingerprint}, "
        f"not {expected}. Latencies of the two are never mixed: what was measured is kept; start "
        "a new table with `mnaslat profile --new-table`."
    )


def wait_until_back(session: PhoneSession, trouble: str) -> Iterator[Notice]:
    """Wait for a phone that went away, and make sure that it is the same.

    Raises:
        DeviceError: If it stays away for longer than ``session.absence_limit_s``.
        ConfigurationMismatch: If it comes back as another one.
    """
    limit_s, started = session.absence_limit_s, time.monotonic()
    said, said_at, n_tries = "", -math.inf, 0
    while absence := _absence(session, limit_s - (time.monotonic() - started)):
        n_tries += 1
        waited_s = time.monotonic() - started
        if waited_s > limit_s:
            why = _WORDS.get(absence, absence.rstrip("."))
            raise DeviceError(
                f"Phone {session.name} ({session.connection.serial}) did not come back within "
                f"{format_duration(limit_s)}: {why}. Connect it again, check with `mnaslat "
                "devices`, and type the same command: it continues where it was."
            )
        if absence in _ASKS_FIRST and said != absence:
            yield Notice(f"{session.name} asks to be authorised: unlock it and accept the prompt")
        elif waited_s - said_at >= _SAY_AGAIN_S:
            said_at = waited_s
            yield Notice(f"{trouble} Waiting for it, {format_duration(limit_s)} at most")
        said = absence
        _dial(session, absence, n_tries)
        time.sleep(min(_POLL_S, max(limit_s - waited_s, 0.0) + 0.01))
    yield Notice(
        f"{session.name} is back after {format_duration(time.monotonic() - started)}"
        if n_tries
        else f"{trouble} It answers again"
    )


def _absence(session: PhoneSession, left_s: float) -> str:
    """Return why the phone cannot be used; empty if it can."""
    try:
        state = session.connection.state()
        if state != "device":
            return state
        recognise(session, answer_s=min(_ANSWER_S, max(left_s, _POLL_S)))
    except DeviceError as error:
        return str(error)
    return ""


def _dial(session: PhoneSession, absence: str, n_tries: int) -> None:
    if absence in _ASKS_FIRST:  # a new connection would take the prompt away
        return
    try:
        session.connection.dial(afresh=n_tries % _TRIES_BEFORE_AFRESH == 0)
    except DeviceError:  # the next look finds and reports it
        pass
