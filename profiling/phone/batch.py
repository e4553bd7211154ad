"""Runs a batch: many models copied to a phone and timed there in one shell session.

The script takes the models as a tar archive on its standard input, runs the benchmark tool on one
after the other, and reads the phone's conditions at the start, every few seconds and at the end.
Its own lines begin with a random mark, so that no output of a tool is taken for one of them.
"""

import io
import math
import secrets
import tarfile
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mnaslat.errors import DeviceError, DeviceLost
from mnaslat.profiling.phone.adb.conditions import CONDITIONS, Conditions, parse_conditions
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.tool.installation import FOLDER, Installed, identify

_SECONDS_BETWEEN_CONDITIONS = 3
_PATIENCE_S = 30.0  # beyond a model's limit: reading the conditions takes a busy phone seconds
_UPLOAD_BYTES_PER_S = 1e6  # no output comes while models are copied; slower than any cable
MODEL = '"$model"'  # in a command: the model file
_NO_FOLDER, _NOT_UNPACKED = 97, 98  # exit statuses of the script

# In the dialect of mksh and toybox. `running` names the session of an earlier batch. Its tool may
# still run after the connection and the shell ended, and would disturb this one; it is in a process
# group of its own, which `timeout` makes. A number of another boot may be anybody's: only what has
# our name in its command line is ended. Lines of the script end with a dot: one that was cut off
# does not. The tool's errors go to a file first: it buffers its output, not its errors, so that in
# one stream they would break its lines.
_SCRIPT = """\
mark={mark}; cores='{cores}'
cd {folder} || exit {no_folder}
read -r id name state parent group session rest < /proc/$$/stat
old=
[ -r running ] && read -r old < running
case $old in
  ''|*[!0-9]*|0|$session) ;;
  *) pkill -KILL -f -s $old mnaslat 2>/dev/null ;;
esac
echo $session > running
rm -rf models
mkdir models && tar -x -f - -C models && : > models/errors || exit {not_unpacked}
exec 3>> models/errors
{conditions}
report() {{
  echo "$mark conditions ."
  conditions $cores
  echo "$mark tool $({identify}) ."
  echo "$mark reported ."
}}
policy=/sys/devices/system/cpu/cpu{core}/cpufreq
clock() {{
  now=; most=
  [ -r $policy/scaling_cur_freq ] && read -r now < $policy/scaling_cur_freq
  [ -r $policy/scaling_max_freq ] && read -r most < $policy/scaling_max_freq
  echo "$mark clock $now/$most ."
}}
run() {{
  echo "$mark model $1 ."
  clock
  model=models/$1{suffix}
  timeout -s KILL {limit} {command} 2>&3 < /dev/null
  status=$?
  clock
  if [ -s models/errors ]; then
    echo "$mark errors ."
    cat models/errors
    : > models/errors
  fi
  echo "$mark exit $1 $status ."
}}
report
i=0; last=$SECONDS
while [ $i -lt {n} ]; do
  run $i
  if [ $i -gt 0 ]; then
    [ $status -eq 0 ] || run 0
    rm -f models/$i{suffix}
  fi
  i=$((i + 1))
  if [ $((SECONDS - last)) -ge {interval} ]; then report; last=$SECONDS; fi
done
report
rm -rf models running
echo "$mark done ."
"""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The clock of the measured core, in kHz; None where the phone does not report it."""

    now_khz: int | None
    most_khz: int | None  # that the system allows now: a hot phone lowers it


@dataclass(frozen=True)
class Running:
    """A model that the tool has been started on."""

    index: int


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A model that the tool was run on."""

    index: int
    output: str  # of the tool, its errors first; its last line may be cut off
    status: int  # exit status; 137: killed
    seconds: float
    started: float  # by this computer's clock, in seconds since 1970
    before: Clock
    after: Clock


class NotUnpacked(DeviceError):
    """The models did not fit on the phone."""


class ToolChanged(DeviceError):
    """The tool on the phone is not the one that was installed."""


def run_batch(
    connection: Connection,
    command: str,
    models: Sequence[bytes],
    *,
    suffix: str,
    tool: Installed,
    cores: Sequence[int] = (),
    core: int = 0,
    limit_s: float,
) -> Generator[Running | Ran | Conditions, None, None]:
    """Run a command on each model; yields events as they happen.

    Conditions come before the first model, now and then between, and after the last one. After a
    model that fails the first one is run again: it shows whether the tool still works.

    Args:
        connection: To the phone.
        command: Runs the tool on the model file ``MODEL``, as shell text.
        models: Contents of model files; the first is one that works.
        suffix: Of the model files.
        tool: The tool that the command runs; its file must not change.
        cores: Whose clocks belong to the conditions; all if empty.
        core: Whose clock is read before and after each model.
        limit_s: A run that takes longer is killed.

    Raises:
        DeviceLost: If the phone goes away, or the script is ended from outside.
        NotUnpacked: If the models cannot be stored there.
        ToolChanged: If the tool is changed, replaced or removed.
    """
    mark = f"mnaslat-{secrets.token_hex(8)}"
    script = _SCRIPT.format(
        mark=mark,
        folder=FOLDER,
        no_folder=_NO_FOLDER,
        not_unpacked=_NOT_UNPACKED,
        cores=" ".join(map(str, cores)),
        core=core,
        conditions=CONDITIONS,
        identify=identify(tool.path),
        n=len(models),
        limit=math.ceil(limit_s),
        command=command,
        suffix=suffix,
        interval=_SECONDS_BETWEEN_CONDITIONS,
    )
    archive = _archive(models, suffix)
    silence_s = limit_s + _PATIENCE_S + len(archive) / _UPLOAD_BYTES_PER_S
    with connection.session(script, stdin=archive, silence_s=silence_s) as session:
        reader = BatchReader(mark, n_models=len(models), identity=tool.identity)
        yield from reader.read(session.lines())
        if reader.is_done:
            return
        words = " ".join(" ".join(reader.unexplained).split())[-200:]
        if session.status == _NOT_UNPACKED:
            raise NotUnpacked(words or "tar failed")
        if session.status == _NO_FOLDER:
            raise ToolChanged(f"The folder {FOLDER} on phone {connection.serial} is gone.")
        raise DeviceLost(
            f"The batch on phone {connection.serial} was ended from outside (exit status "
            f"{session.status}). {words}".rstrip()
        )


class BatchReader:
    """Reads the lines of a batch.

    Args:
        mark: Begins the script's own lines.
        n_models: Number of models that are run.
        identity: Of the tool.
    """

    def __init__(self, mark: str, *, n_models: int, identity: str = "") -> None:
        self._mark, self._n_models, self._identity = mark, n_models, identity
        self.is_done = False  # once the script has said that it came to its end
        self.unexplained: list[str] = []  # lines outside of any section

    def read(self, lines: Iterable[str]) -> Iterator[Running | Ran | Conditions]:
        """Yield the content of complete sections; those that are cut off or damaged are left out.

        Raises:
            ToolChanged: If the tool does not have the given identity.
        """
        section, index, started_s, started = "", -1, 0.0, 0.0
        output: list[str] = []
        errors: list[str] = []
        clocks: list[Clock] = []
        for line in lines:
            text, mark, words_after = line.partition(self._mark)
            if not mark:
                into = {"": self.unexplained, "errors": errors}.get(section, output)
                into.append(f"{line}\n")
                continue
            if text:  # the tool's last line had no end
                (errors if section == "errors" else output).append(text)
            *words, end = words_after.split() or [""]
            if end != ".":  # the line is cut off
                section = ""
                continue
            match words:
                case ["model", number] if _below(number, self._n_models):
                    section, index = "model", int(number)
                    started_s, started = time.monotonic(), time.time()
                    output, errors, clocks = [], [], []
                    yield Running(index)
                case ["clock", value] if section == "model":
                    clocks.append(_clock(value))
                case ["errors"] if section == "model":
                    section = "errors"
                case ["exit", number, status] if section in ("model", "errors"):
                    section = ""
                    if number == str(index) and _below(status, 256) and len(clocks) == 2:
                        yield Ran(
                            index=index,
                            output="".join([*errors, *(["\n"] if errors else []), *output]),
                            status=int(status),
                            seconds=time.monotonic() - started_s,
                            started=started,
                            before=clocks[0],
                            after=clocks[1],
                        )
                case ["conditions"]:
                    section, output = "conditions", []
                case ["tool", *identity] if section == "conditions":
                    if " ".join(identity) != self._identity:
                        raise ToolChanged("The benchmark tool was changed, replaced or removed.")
                    section = "conditions of a known tool"
                case ["reported"] if section == "conditions of a known tool":
                    yield parse_conditions("".join(output).splitlines())
                    section = ""
                case ["done"]:
                    self.is_done = True
                case _:
                    section = ""


def _below(number: str, limit: int) -> bool:
    return number.isdecimal() and int(number) < limit


def _clock(text: str) -> Clock:
    now, _, most = text.partition("/")
    return Clock(
        now_khz=int(now) if now.isdecimal() else None,
        most_khz=int(most) if most.isdecimal() else None,
    )


def _archive(models: Sequence[bytes], suffix: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for index, content in enumerate(models):
            entry = tarfile.TarInfo(f"{index}{suffix}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
