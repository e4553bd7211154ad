"""What a file says of itself: for the phone's processor, whole, and a program at all."""

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mnaslat.profiling.phone.tool.elf import loader, program_fault

ABIS = {"arm64-v8a": (183, 64), "armeabi-v7a": (40, 32), "x86_64": (62, 64), "x86": (3, 32)}


def elf(
    abi: str = "arm64-v8a",
    *,
    machine: int | None = None,
    kind: int = 3,
    entry: int = 0x1000,
    interpreter: str = "/system/bin/linker64",
) -> bytes:
    """A whole program of two segments and one section header, without any code."""
    known_machine, bits = ABIS[abi]
    is_64 = bits == 64
    head = struct.Struct("<16sHHIQQQIHHHHHH" if is_64 else "<16sHHIIIIIHHHHHH")
    segment_size, section_size = (56, 64) if is_64 else (32, 40)
    content = interpreter.encode() + b"\0"
    start = head.size + 2 * segment_size
    sections_at = start + len(content)

    def segment(p_type: int, offset: int, size: int) -> bytes:
        if is_64:
            return struct.pack("<IIQQQQQQ", p_type, 5, offset, offset, offset, size, size, 1)
        return struct.pack("<IIIIIIII", p_type, offset, offset, offset, size, size, 5, 1)

    ident = b"\x7fELF" + bytes([2 if is_64 else 1, 1, 1]) + bytes(9)
    return (
        head.pack(
            *(ident, kind, known_machine if machine is None else machine, 1, entry),
            *(head.size, sections_at, 0, head.size, segment_size, 2, section_size, 1, 0),
        )
        + segment(3, start, len(content))
        + segment(1, 0, start + len(content))
        + content
        + bytes(section_size)
    )


@pytest.mark.parametrize("abi", ABIS)
def test_a_program_for_the_phone_has_no_fault(abi: str) -> None:
    assert program_fault(elf(abi), abi) == ""


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("built_for", ABIS)
def test_a_program_for_another_processor_has_one(abi: str, built_for: str) -> None:
    assert bool(program_fault(elf(built_for), abi)) == (abi != built_for)


def test_both_processors_are_named() -> None:
    assert program_fault(elf("x86_64"), "arm64-v8a") == (
        "is a program for x86-64, the phone needs AArch64 (arm64-v8a)"
    )


def test_32_bits_of_the_right_processor_are_too_few() -> None:
    fault = program_fault(elf("armeabi-v7a", machine=183), "arm64-v8a")
    assert fault == "is a 32-bit program, the phone needs 64-bit AArch64 (arm64-v8a)"


def test_an_unknown_processor_is_given_by_its_number() -> None:
    assert "number 4242" in program_fault(elf(machine=4242), "arm64-v8a")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (elf(kind=1), "is an object file, not a program"),
        (elf(kind=4), "is a core dump, not a program"),
        (elf(entry=0), "is a shared library, not a program"),
        (elf(kind=77), "is a damaged program"),
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(99), "is a ZIP archive or an APK, not a program"),
        (b"\n<!DOCTYPE HTML>\n<body>Sign in", "is a web page, not a program"),
        (b"\xef\xbb\xbf<html lang=en>", "is a web page, not a program"),
        (b"<?xml version='1.0'?><Error/>", "is a text, not a program"),
        (b"#!/bin/sh\nexit 0\n", "is a script, not a program"),
        (b"\x1c\0\0\0TFL3" + bytes(99), "is a TFLite model, not a program"),
        (b"\x1f\x8b\x08\0", "is a gzip archive, not a program"),
        (b"\xcf\xfa\xed\xfe" + bytes(99), "is a macOS program, not a program"),
        (bytes(range(256)), "is something else, not a program"),
        (elf()[:5] + b"\x02" + elf()[6:], "is a program for big-endian processors"),
    ],
)
def test_what_is_no_program_is_called_what_it_looks_like(content: bytes, expected: str) -> None:
    assert program_fault(content, "arm64-v8a").startswith(expected)


def test_an_unknown_abi_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown ABI 'mips'\. Known: arm64-v8a, "):
        program_fault(elf(), "mips")


@pytest.mark.parametrize("abi", ABIS)
def test_a_program_cut_at_any_byte_is_not_taken(abi: str) -> None:
    whole = elf(abi)
    for n_bytes in range(len(whole)):
        assert program_fault(whole[:n_bytes], abi), n_bytes
        loader(whole[:n_bytes])


@given(st.binary(max_size=200), st.sampled_from(sorted(ABIS)))
def test_no_file_is_too_strange(content: bytes, abi: str) -> None:
    for each in (content, b"\x7fELF" + content, b"\x7fELF\x02\x01" + content):
        assert program_fault(each, abi)
        loader(each)


@given(
    st.sampled_from(sorted(ABIS)),
    st.lists(st.tuples(st.integers(0, 175), st.integers(0, 255)), min_size=1, max_size=8),
)
@example("arm64-v8a", [(54, 0), (55, 0)])  # segments of no size
@example("arm64-v8a", [(32 + i, 255) for i in range(8)])  # segments at the end of the world
def test_a_damaged_head_is_judged_without_a_crash(abi: str, damage: list[tuple[int, int]]) -> None:
    content = bytearray(elf(abi))
    for position, value in damage:
        if position < len(content):
            content[position] = value
    assert isinstance(program_fault(bytes(content), abi), str)
    assert isinstance(loader(bytes(content)), str)


@pytest.mark.parametrize("abi", ABIS)
def test_the_loader_tells_android_from_linux(abi: str) -> None:
    assert loader(elf(abi)) == "/system/bin/linker64"
    assert loader(elf(abi, interpreter="/lib/ld-linux.so")) == "/lib/ld-linux.so"
    assert loader(b"#!/bin/sh\n") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="this interpreter is no ELF program")
def test_the_interpreter_that_runs_this_test_is_a_program_for_one_abi() -> None:
    content = Path(sys.executable).resolve().read_bytes()
    assert [program_fault(content, abi) for abi in ABIS].count("") == 1
    assert loader(content).startswith("/")
