"""A sitting: many models brought to a phone and run there in one shell session.

The script takes the models as a tar archive on its standard input, runs the benchmark tool on one
after the other, and reads the phone's conditions at the start, every few seconds and at the end.
All that it says of itself stands behind a mark nobody else knows, so that nothing a tool prints
is taken for it.
"""

import io
import math
import secrets
import tarfile
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mnaslat.errors import DeviceError, DeviceLost
from mnaslat.profiling.phone.conditions import CONDITIONS, Conditions, parse_conditions
from mnaslat.profiling.phone.connection import Connection

FOLDER = "/data/local/tmp/mnaslat"  # where an unrooted shell may write and execute
_SECONDS_BETWEEN_CONDITIONS = 3
_PATIENCE_S = 30.0  # beyond a model's limit: a busy phone takes seconds to tell its conditions
_NO_FOLDER, _NOT_UNPACKED = 97, 98  # exit statuses of the script

# In the dialect of mksh and toybox. `running` names the process of an earlier sitting that may have
# outlived its connection: it would disturb this one.
_SCRIPT = """\
mark={mark}; cores='{cores}'
cd {folder} || exit {no_folder}
if [ -r running ]; then
  read old < running
  if grep -q mnaslat /proc/$old/cmdline 2>/dev/null; then kill -KILL -- -$old; fi
fi
echo $$ > running
rm -rf models
mkdir models && tar -x -f - -C models || exit {not_unpacked}
{conditions}
tell() {{ echo "$mark conditions"; conditions $cores; echo "$mark told"; }}
policy=/sys/devices/system/cpu/cpu{core}/cpufreq
clock() {{
  now=; most=
  [ -r $policy/scaling_cur_freq ] && read now < $policy/scaling_cur_freq
  [ -r $policy/scaling_max_freq ] && read most < $policy/scaling_max_freq
  echo "$mark clock $now/$most"
}}
tell
i=0; last=$SECONDS
while [ $i -lt {n} ]; do
  echo "$mark model $i"
  clock
  timeout -s KILL {limit} {command} --graph=models/$i.tflite 2>&1 < /dev/null
  status=$?
  clock
  echo "$mark exit $status"
  rm -f models/$i.tflite
  i=$((i + 1))
  if [ $((SECONDS - last)) -ge {interval} ]; then tell; last=$SECONDS; fi
done
tell
rm -rf models running
echo "$mark done"
"""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Of the measured core, in kHz; None where the phone does not tell."""

    now_khz: int | None
    most_khz: int | None  # that the system allows now: a hot phone lowers it


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A model that the tool was run on."""

    index: int
    output: str  # of the tool; its last line may be cut off
    status: int  # exit status; 137: killed
    seconds: float
    before: Clock
    after: Clock


class NotUnpacked(DeviceError):
    """The models did not fit on the phone."""


def sit(
    connection: Connection,
    command: str,
    models: Sequence[bytes],
    *,
    cores: Sequence[int] = (),
    limit_s: float,
) -> Generator[Ran | Conditions, None, None]:
    """Run ``command --graph=MODEL`` on each model; yields what happened as it happens.

    Conditions come before the first model, now and then between, and after the last one.

    Args:
        connection: To the phone.
        command: The tool with its other options, as shell text.
        models: Contents of ``.tflite`` files.
        cores: That the command is pinned to, for their clock.
        limit_s: A run that takes longer is killed.

    Raises:
        DeviceLost: If the phone goes away, or the script is ended from outside.
        NotUnpacked: If the models cannot be stored there.
        DeviceError: If the phone's folder is gone.
    """
    mark = f"mnaslat-{secrets.token_hex(8)}"
    script = _SCRIPT.format(
        mark=mark,
        folder=FOLDER,
        no_folder=_NO_FOLDER,
        not_unpacked=_NOT_UNPACKED,
        cores=" ".join(map(str, cores)),
        core=min(cores, default=0),
        conditions=CONDITIONS,
        n=len(models),
        limit=math.ceil(limit_s),
        command=command,
        interval=_SECONDS_BETWEEN_CONDITIONS,
    )
    silence_s = limit_s + _PATIENCE_S
    with connection.session(script, stdin=_archive(models), silence_s=silence_s) as session:
        reader = SittingReader(mark)
        yield from reader.read(session.lines())
        if reader.is_done:
            return
        words = " ".join(reader.unexplained)[-200:]
        if session.status == _NOT_UNPACKED:
            raise NotUnpacked(words or "tar failed")
        if session.status == _NO_FOLDER:
            raise DeviceLost(f"The folder {FOLDER} on phone {connection.serial} is gone.")
        raise DeviceLost(
            f"The sitting on phone {connection.serial} was ended from outside (exit status "
            f"{session.status}). {words}"
        )


class SittingReader:
    """Reads the lines of a sitting."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.is_done = False  # once the script has said that it came to its end
        self.unexplained: list[str] = []  # lines outside of any section

    def read(self, lines: Iterable[str]) -> Iterator[Ran | Conditions]:
        """Yield what the complete sections say; sections that are cut off say nothing."""
        section, index, started = "", -1, 0.0
        output: list[str] = []
        clocks: list[Clock] = []
        for line in lines:
            text, mark, words = line.partition(self._mark)
            if not mark:
                (output if section else self.unexplained).append(f"{line}\n")
                continue
            if text:  # the tool's last line had no end
                output.append(text)
            match words.split():
                case ["model", number]:
                    section, index, started = "model", int(number), time.monotonic()
                    output, clocks = [], []
                case ["clock", value] if section == "model":
                    clocks.append(_clock(value))
                case ["exit", status] if section == "model" and len(clocks) == 2:
                    yield Ran(
                        index=index,
                        output="".join(output),
                        status=int(status),
                        seconds=time.monotonic() - started,
                        before=clocks[0],
                        after=clocks[1],
                    )
                    section = ""
                case ["conditions"]:
                    section, output = "conditions", []
                case ["told"] if section == "conditions":
                    yield parse_conditions("".join(output).splitlines())
                    section = ""
                case ["done"]:
                    self.is_done = True


def _clock(text: str) -> Clock:
    now, _, most = text.partition("/")
    return Clock(
        now_khz=int(now) if now.isdigit() else None, most_khz=int(most) if most.isdigit() else None
    )


def _archive(models: Sequence[bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for index, content in enumerate(models):
            entry = tarfile.TarInfo(f"{index}.tflite")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
