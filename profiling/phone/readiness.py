"""Waits until a phone is ready to be measured: cool, at its usual clock, charged."""

import math
import time
from collections.abc import Callable, Iterator

from mnaslat.errors import DeviceError
from mnaslat.profiling.device import Notice
from mnaslat.profiling.phone.adb.queries import conditions_now
from mnaslat.profiling.phone.guard import Problem, advice
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.units import format_duration

_SAY_AGAIN_S = 60.0
_CAP_LIFTS_S = 60.0  # after which a capped clock is taken as this phone's normal one

Problems = tuple[Problem, ...]


def begin(session: PhoneSession) -> Iterator[Notice]:
    """Take the conditions now as those that later ones are compared with.

    A clock that is capped may be so for good, by the maker or by power saving, or because the
    phone is still hot: that is waited for.

    Raises:
        DeviceLost: If the phone goes away.
        DeviceError: If it is not fit, and waiting does not help.
    """
    if session.policy.changes:
        yield Notice(f"{session.name}: guarded with {session.policy.changes}")
    conditions = conditions_now(session.connection, session.cores)
    others = _but_caps(session.guard.problems(conditions))
    if others:
        yield from wait_until_ready(session, others, choose=_but_caps)
        conditions = conditions_now(session.connection, session.cores)
    started, has_said = time.monotonic(), False
    while caps := _caps(session.guard.problems(conditions)):
        if time.monotonic() - started > _CAP_LIFTS_S:
            break
        if not has_said:
            has_said = True
            texts = "; ".join(each.text for each in caps)
            yield Notice(f"{session.name}: {texts}; waiting a minute at most")
        time.sleep(session.policy.poll_s)
        conditions = conditions_now(session.connection, session.cores)
    session.guard.begin(conditions)
    session.has_begun = True
    for text in advice(conditions):
        yield Notice(f"{session.name}: {text}")


def wait_until_ready(
    session: PhoneSession,
    problems: Problems,
    *,
    n_discarded: int = 0,
    choose: Callable[[Problems], Problems] = tuple,
) -> Iterator[Notice]:
    """Wait until the problems are gone.

    Args:
        session: The phone.
        problems: The present ones.
        n_discarded: Rounds that will be repeated for them; for the message.
        choose: Selects the problems that matter.

    Raises:
        DeviceLost: If the phone goes away.
        DeviceError: If waiting does not help, or did not for ``cooldown_limit_s``.
    """
    policy, started = session.policy, time.monotonic()
    said_at = -math.inf
    while problems:
        text = "; ".join(each.text for each in problems)
        waited_s = time.monotonic() - started
        if not all(each.waits for each in problems) or waited_s > policy.cooldown_limit_s:
            since = f" for {format_duration(waited_s)}" if waited_s > policy.poll_s else ""
            raise DeviceError(
                f"Phone {session.name} is not fit to be measured{since}: {text}. Once that is "
                "mended, type the same command: it continues where it was."
            )
        if waited_s - said_at >= _SAY_AGAIN_S:
            said_at = waited_s
            repeated = f"; {n_discarded} rounds will be repeated" if n_discarded else ""
            yield Notice(f"{session.name}: {text}{repeated}; waiting", n_repeated=n_discarded)
            n_discarded = 0
        time.sleep(policy.poll_s)
        conditions = conditions_now(session.connection, session.cores)
        problems = choose(session.guard.problems(conditions))
    waited = format_duration(time.monotonic() - started)
    yield Notice(f"{session.name}: fit again after {waited}")


def _caps(problems: Problems) -> Problems:
    return tuple(each for each in problems if each.kind == "throttled")


def _but_caps(problems: Problems) -> Problems:
    return tuple(each for each in problems if each.kind != "throttled")
