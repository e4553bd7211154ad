"""Finds the connected phones, describes their troubles, and opens one."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement import Configuration
from mnaslat.errors import DeviceError
from mnaslat.profiling.device import DeviceOptions, FoundDevice, OnDownload, Reopening, Trouble
from mnaslat.profiling.phone.adb.conditions import Conditions
from mnaslat.profiling.phone.adb.connection import Attached, Connection, attached
from mnaslat.profiling.phone.adb.description import Description
from mnaslat.profiling.phone.adb.queries import conditions_now, describe
from mnaslat.profiling.phone.device import PhoneDevice, cores_text
from mnaslat.profiling.phone.guard import Guard, advice
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.binary import find_binary, has_binary
from mnaslat.profiling.phone.tool.registry import DEFAULT_TOOL, TOOLS, tool_named, tool_of

_MIN_SDK = 26  # Android 8: toybox with taskset, timeout, tar and sha256sum
_STATES = {
    "unauthorized": "this computer is not authorised: unlock the phone and accept the prompt for "
    "USB debugging",
    "authorizing": "it is being authorised: unlock the phone and accept the prompt",
    "offline": "it does not answer: plug it in again, or run `adb reconnect offline`",
    "no": "the system keeps adb from the USB port: install the udev rules for Android phones "
    "(Debian: android-sdk-platform-tools-common) and plug it in again",
    "recovery": "it is in recovery mode: restart it",
    "sideload": "it is in sideload mode: restart it",
    "bootloader": "it is in its boot loader: restart it",
}


class PhoneKind:
    """Phones over adb."""

    def find(self) -> list[FoundDevice]:
        """List all phones that the adb server knows.

        Raises:
            DeviceError: If there is no adb server and none can be started.
        """
        return [_found(each) for each in attached()]

    def open(
        self, name: str, options: DeviceOptions, before: Reopening, on_download: OnDownload
    ) -> PhoneDevice | None:
        """Open the phone with that serial, or with that name in tables and predictors.

        Raises:
            ValueError: If it does not have the cores, the delegate or the tool asked for.
            DeviceError: If it is there but cannot be used.
        """
        found = _look_up(name)
        if found is None:
            return None
        connection, description = found
        delegate = options.delegate or "xnnpack"
        cores = description.cores(options.cores or description.clusters[-1].name)
        runtime = before.runtime
        if not runtime and options.benchmark_binary is None:
            setting = (description.name, options.threads, cores_text(cores), delegate)
            runtime = _runtime_before(before.measured, setting, options.tool)
        tool, sha256 = tool_of(runtime) or (tool_named(options.tool or DEFAULT_TOOL), "")
        if delegate not in tool.options:
            raise ValueError(f"No delegate {delegate!r}; there are {', '.join(tool.options)}.")
        for trouble in _unfit(description):
            raise DeviceError(f"Phone {connection.serial} cannot be measured on: {trouble}")
        binary = find_binary(
            description.abi,
            tool=tool,
            given=options.benchmark_binary,
            sha256=sha256,
            on_progress=on_download,
        )
        session = PhoneSession(
            connection=connection,
            description=description,
            binary=binary,
            threads=options.threads,
            cores=cores,
            delegate=delegate,
            policy=options.guard,
        )
        return PhoneDevice(session)


def connect(name: str) -> Connection:
    """Connect to the phone with that serial or name, even if it cannot be measured on.

    Raises:
        DeviceError: If it is not there or does not answer.
    """
    found = _look_up(name)
    if found is None:
        known = ", ".join(phone.serial for phone in attached()) or "none"
        raise DeviceError(
            f"No phone {name!r} here. There are: {known}. `mnaslat devices` says more about them."
        )
    return found[0]


def _runtime_before(
    measured: Sequence[Configuration], setting: tuple[str, int, str, str], tool: str
) -> str:
    """Return the runtime that a phone was last measured with in a setting, empty if it was not.

    With a tool only its runtimes count.
    """
    for each in reversed(measured):
        if tool and not each.runtime.startswith(f"{tool} "):
            continue
        if (each.device, each.threads, each.cores, each.delegate) == setting:
            return each.runtime
    return ""


def _look_up(name: str) -> tuple[Connection, Description] | None:
    phones = attached()
    for phone in phones:
        if phone.serial == name:
            if phone.state != "device":
                raise DeviceError(f"Phone {name} cannot be used: {_state_text(phone.state)}.")
            connection = Connection(name)
            return connection, describe(connection)
    for phone in phones:
        if phone.state == "device":
            connection = Connection(phone.serial)
            with suppress(DeviceError):  # ignore errors of other phones
                description = describe(connection)
                if description.name == name:
                    return connection, description
    return None


def _found(phone: Attached) -> FoundDevice:
    if phone.state != "device":
        trouble = Trouble(_state_text(phone.state))
        return FoundDevice(name=phone.serial, kind="phone", troubles=(trouble,))
    connection = Connection(phone.serial)
    try:
        description = describe(connection)
        conditions = conditions_now(connection)
    except DeviceError as error:
        return FoundDevice(name=phone.serial, kind="phone", troubles=(Trouble(str(error)),))
    return FoundDevice(
        name=phone.serial,
        kind="phone",
        facts=_facts(description, conditions),
        troubles=tuple(_troubles(description, conditions)),
    )


def _troubles(description: Description, conditions: Conditions) -> Iterator[Trouble]:
    yield from map(Trouble, _unfit(description))
    for problem in Guard(GuardPolicy()).problems(conditions):
        cool = ": let it cool down; measuring waits until it has"
        hot = problem.kind in ("hot", "throttled")
        yield Trouble(problem.text + (cool if hot else ""), blocks=not problem.waits)
    if not any(has_binary(description.abi, tool) for tool in TOOLS.values()):
        yield Trouble(
            f"no {DEFAULT_TOOL} for {description.abi} is here and none is published: give one "
            "with --benchmark-binary PATH",
            blocks=False,
        )
    for text in advice(conditions):
        yield Trouble(text, blocks=False)


def _unfit(description: Description) -> Iterator[str]:
    """Yield the troubles that waiting does not solve."""
    if not description.booted:
        yield "it is still starting: wait until its screen can be unlocked."
    if description.sdk is not None and description.sdk < _MIN_SDK:
        yield f"it has Android {description.android}; measuring needs Android 8 or later."
    elif description.missing_tools:
        yield f"its shell lacks {', '.join(description.missing_tools)}, which measuring needs."


def _facts(description: Description, conditions: Conditions) -> dict[str, str]:
    facts = {
        "model": f"{description.manufacturer} {description.model}",
        "name": description.name,
        "soc": description.soc,
        "abi": description.abi,
        "android": description.android,
        "build": description.build,
        "cores": ", ".join(map(str, description.clusters)),
    }
    if description.memory_mb is not None:
        facts["memory"] = f"{description.memory_mb / 1024:.1f} GB"
    if conditions.free_mb is not None:
        facts["free"] = f"{conditions.free_mb / 1024:.1f} GB"
    if conditions.battery_percent is not None:
        charging = {True: ", charging", False: ", not charging", None: ""}[conditions.charging]
        facts["battery"] = f"{conditions.battery_percent} %{charging}"
    if conditions.hottest is not None:
        facts["temperature"] = f"{conditions.hottest.celsius:.0f} °C ({conditions.hottest.name})"
    return facts


def _state_text(state: str) -> str:
    return _STATES.get(state, f"adb says {state}")
