"""Reads operations from the text of a signature."""

import re
from functools import lru_cache

from mnaslat.graph.kinds import FUSED, KINDS, May, Pair
from mnaslat.graph.op import Op

_OP = re.compile(
    rf"(?P<kind>{'|'.join(sorted(KINDS, key=len, reverse=True))})"  # relu6 before relu
    r"(?:\.(?P<name>\w+))?(?P<kernel>\d+x\d+)?"
    r"(?:/(?P<stride>\d+(?:x\d+)?))?(?:~(?P<dilation>\d+(?:x\d+)?))?"
    r"(?:\+(?P<padding>\d+(?:x\d+){3}|\d+))?(?:>(?P<filters>\d+))?(?:%(?P<groups>\d+))?"
    r"(?:=(?P<size>\d+(?:x\d+)*))?(?::(?P<activation>\w+))?(?:@(?P<inputs>\d+(?:,\d+)*))?"
)


@lru_cache(maxsize=65536)  # networks are made of the same few ops
def parse_op(text: str, number: int) -> Op:
    """Read the text of the operation with that number in its layer; ValueError if it is none."""
    match = _OP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an op")
    inputs: tuple[int, ...] = (number - 1,)
    if match["inputs"]:
        inputs = tuple(int(source) for source in match["inputs"].split(","))
    pads = _numbers(match["padding"])
    op = Op(
        kind=match["kind"],  # type: ignore[arg-type]  # checked above
        inputs=inputs,
        filters=int(match["filters"] or 0),
        kernel=_pair(match["kernel"]),
        stride=_pair(match["stride"]),
        dilation=_pair(match["dilation"]),
        padding=(pads * 4 if len(pads) == 1 else pads) or "",  # type: ignore[arg-type]  # 0, 1 or 4
        groups=int(match["groups"] or 1),
        size=_numbers(match["size"]),
        activation=match["activation"] or "",  # type: ignore[arg-type]  # checked below
        name=match["name"] or "",
    )
    if not _is_whole(op):
        raise ValueError(f"{text!r} is not an op")
    return op


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("x")) if text else ()


def _pair(text: str | None) -> Pair:
    numbers = _numbers(text) or (1,)
    return (numbers[0], numbers[-1])


def _is_whole(op: Op) -> bool:
    """Check that an op says all that its kind needs, and nothing that its kind cannot have."""
    kind, info = op.kind, KINDS[op.kind]
    right_inputs = info.n_inputs in (0, len(op.inputs))
    if kind == "concat":
        right_inputs = len(op.inputs) >= 2 or bool(op.size)
    return (
        right_inputs
        and op.activation in FUSED
        and min(*op.kernel, *op.stride, *op.dilation, op.groups) >= 1
        and (info.windowed or (op.kernel, op.stride) == ((1, 1), (1, 1)))
        and (info.dilated or op.dilation == (1, 1))
        and (info.windowed or kind == "pad" or not op.padding)
        and (kind != "pad" or bool(op.padding))
        and _may(info.filters, op.filters >= 1)
        and (op.groups == 1 or info.grouped)
        and (kind != "shuffle" or op.groups > 1)
        and _may(info.sized, bool(op.size))
        and all(size >= 1 for size in op.size)
        and (not op.name or kind == "unknown")
    )


def _may(rule: May, says_it: bool) -> bool:
    return says_it if rule == "must" else rule == "may" or not says_it
