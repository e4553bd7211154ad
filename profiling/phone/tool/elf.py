"""Checks that a file is a program that a phone can run, by its ELF header.

Source: Tool Interface Standard, Executable and Linking Format, version 1.2; ELF-64 object file
format, version 1.5.
"""

import struct
from dataclasses import dataclass

_MACHINES = {3: "x86", 8: "MIPS", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_MACHINE_AND_BITS = {
    "arm64-v8a": (183, 64),
    "armeabi-v7a": (40, 32),
    "riscv64": (243, 64),
    "x86": (3, 32),
    "x86_64": (62, 64),
}
_RELOCATABLE, _EXECUTABLE, _SHARED, _CORE = 1, 2, 3, 4  # e_type
_LOAD, _INTERPRETER = 1, 3  # p_type

_LOOKS = (
    (b"PK\x03\x04", "a ZIP archive or an APK"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"#!", "a script"),
    (b"MZ", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a macOS program"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def program_fault(content: bytes, abi: str) -> str:
    """Say why a file is no program for phones of an ABI; empty if it is one.

    Only what the file says of itself is looked at. A Linux program for the same processor passes:
    ``loader`` tells the two apart.

    Returns:
        The rest of a sentence that begins with the file's name.

    Args:
        content: The whole file.
        abi: As Android names it, e.g. ``arm64-v8a``.

    Raises:
        ValueError: If the ABI is not known.

    >>> program_fault(b"<!DOCTYPE html><title>Sign in</title>", "arm64-v8a")
    'is a web page, not a program'
    """
    if abi not in _MACHINE_AND_BITS:
        raise ValueError(f"Unknown ABI {abi!r}. Known: {', '.join(sorted(_MACHINE_AND_BITS))}.")
    if not content:
        return "is empty"
    if not content.startswith(b"\x7fELF"):
        return f"is {_looks_like(content)}, not a program"
    try:
        head = _Head.read(content)
    except _Damaged as damage:
        return str(damage)
    return _wrong_machine(head, abi) or _wrong_kind(head) or _cut_short(head, len(content))


def loader(content: bytes) -> str:
    """Path of the loader that a program asks for; empty if it asks for none or is no program.

    A phone's shell says ``not found`` of a program whose loader it lacks. Android's loaders are
    ``/system/bin/linker`` and ``/system/bin/linker64``; a path in ``/lib`` means Linux.
    """
    try:
        segments = _Head.read(content).segments
    except _Damaged:
        return ""
    for segment in segments:
        if segment.kind == _INTERPRETER:
            path = content[segment.start : segment.end].partition(b"\0")[0]
            return path.decode(errors="replace")
    return ""


class _Damaged(Exception):
    """The head cannot be read; says why, as the rest of a sentence."""


@dataclass(frozen=True)
class _Segment:
    kind: int
    start: int
    end: int


@dataclass(frozen=True)
class _Head:
    """The header of an ELF file."""

    bits: int
    kind: int
    machine: int
    entry: int  # where the program starts
    segments: tuple[_Segment, ...]
    sections_end: int  # where the file ends at the earliest; 0 if not said

    @classmethod
    def read(cls, content: bytes) -> "_Head":
        """Raises ``_Damaged``."""
        if content[:4] != b"\x7fELF" or content[4:5] not in (b"", b"\x01", b"\x02"):
            raise _Damaged("is a damaged program")
        if content[5:6] == b"\x02":
            raise _Damaged("is a program for big-endian processors, which no phone has")
        bits = 64 if content[4:5] == b"\x02" else 32
        layout = struct.Struct("<16xHHIQQQIHHHHHH" if bits == 64 else "<16xHHIIIIIHHHHHH")
        if len(content) < layout.size:
            raise _Damaged(f"is a program cut short: only {len(content)} bytes are there")
        kind, machine, _, entry, segments_at, sections_at, _, _, *sizes = layout.unpack_from(
            content
        )
        segment_size, n_segments, section_size, n_sections, _ = sizes
        return cls(
            bits=bits,
            kind=kind,
            machine=machine,
            entry=entry,
            segments=_segments(content, bits, segments_at, segment_size, n_segments),
            sections_end=sections_at + section_size * n_sections if sections_at else 0,
        )


def _segments(
    content: bytes, bits: int, start: int, size: int, n_segments: int
) -> tuple[_Segment, ...]:
    layout = struct.Struct("<I4xQ16xQ16x" if bits == 64 else "<II8xI12x")
    if n_segments and size != layout.size:
        raise _Damaged("is a damaged program")
    end = start + size * n_segments
    if end > len(content):
        raise _Damaged(_too_short(len(content), end))
    return tuple(
        _Segment(kind, offset, offset + n_bytes)
        for kind, offset, n_bytes in layout.iter_unpack(content[start:end])
    )


def _wrong_machine(head: _Head, abi: str) -> str:
    machine, bits = _MACHINE_AND_BITS[abi]
    needed = f"{_MACHINES[machine]} ({abi})"
    if head.machine != machine:
        found = _MACHINES.get(head.machine, f"an unknown processor (number {head.machine})")
        return f"is a program for {found}, the phone needs {needed}"
    if head.bits != bits:
        return f"is a {head.bits}-bit program, the phone needs {bits}-bit {needed}"
    return ""


def _wrong_kind(head: _Head) -> str:
    if head.kind == _RELOCATABLE:
        return "is an object file, not a program"
    if head.kind == _CORE:
        return "is a core dump, not a program"
    if head.kind == _SHARED and head.entry == 0:  # most programs are "shared" too, but start
        return "is a shared library, not a program"
    starts = head.kind in (_EXECUTABLE, _SHARED) and head.entry
    loads = any(segment.kind == _LOAD for segment in head.segments)
    return "" if starts and loads else "is a damaged program"


def _cut_short(head: _Head, n_bytes: int) -> str:
    loaded = [segment.end for segment in head.segments if segment.kind in (_LOAD, _INTERPRETER)]
    needed = max([*loaded, head.sections_end])
    return _too_short(n_bytes, needed) if n_bytes < needed else ""


def _too_short(n_bytes: int, needed: int) -> str:
    return f"is a program cut short: {n_bytes} of at least {needed} bytes are there"


def _looks_like(content: bytes) -> str:
    for beginning, what in _LOOKS:
        if content.startswith(beginning):
            return what
    if content[4:8] == b"TFL3":
        return "a TFLite model"
    text = content[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        return "a web page"
    try:
        text.decode("ascii")
    except UnicodeDecodeError:
        return "something else"
    return "something else" if b"\0" in text else "a text"
