"""Asking a phone what it is and how it is doing."""

from collections.abc import Sequence

from mnaslat.profiling.phone.adb.conditions import CONDITIONS, Conditions, parse_conditions
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.description import DESCRIBE, Description, parse_description


def describe(connection: Connection, *, timeout_s: float = 30.0) -> Description:
    """Read the description of a phone.

    Raises:
        DeviceLost: If it goes away.
        DeviceError: If its answer is not whole.
    """
    return parse_description(connection.run(DESCRIBE, timeout_s=timeout_s).output)


def conditions_now(connection: Connection, cores: Sequence[int] = ()) -> Conditions:
    """Read the conditions of a phone, with the clocks of some cores, or of all.

    Raises:
        DeviceLost: If it goes away.
    """
    reported = connection.run(f"{CONDITIONS}\nconditions {' '.join(map(str, cores))}")
    return parse_conditions(reported.output.splitlines())
