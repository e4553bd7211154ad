"""Reads and writes the zip container of a predictor file, and checks its members.

``manifest.json`` has the format and the SHA-256 of every other member and of itself. Hashes detect
damage; they do not prove who wrote the file. Reading runs no code from a file, extracts no members
to disk, and unpacks at most a limit.
"""

import hashlib
import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mnaslat.errors import PredictorFileError
from mnaslat.files import replace_file

FILE_KIND = "mnaslat-predictor"
_MAX_MEMBER_BYTES = 256 * 2**20  # of arrays, which take no more memory than this
# Once parsed, JSON may take 25 times the memory. A thousand networks of a calibration, or all
# layers of the space mnasnet, are about 1 MB or less.
_MAX_JSON_BYTES = 16 * 2**20
_MAX_MANIFEST_BYTES = 4 * 2**20
# Errors that reading a damaged or forged member can raise.
DAMAGE = (
    OSError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, AttributeError,
    EOFError, RuntimeError, ArithmeticError, MemoryError, LookupError, SyntaxError,
    tokenize.TokenError,
)  # fmt: skip


def write_archive(path: Path, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write a file atomically.

    Args:
        path: Path of the file; its folder is made if it does not exist.
        manifest: Plain values; the kind and the hashes are added.
        contents: Members by name.

    Raises:
        ValueError: If a member is larger than the limit for reading.
    """
    whole: dict[str, Any] = {"kind": FILE_KIND, **manifest}
    whole["sha256"] = {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    whole["sha256"]["manifest.json"] = own_hash(whole)
    members = {"manifest.json": json.dumps(whole, indent=1).encode(), **contents}
    for name, content in members.items():
        if len(content) > _limit(name):
            raise ValueError(_too_large(name))

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                # Omit the time of writing, so that equal predictors are equal files.
                member = zipfile.ZipInfo(name)
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, content)

    replace_file(path, write)


def read_manifest(archive: zipfile.ZipFile, path: Path, formats: Sequence[int]) -> dict[str, Any]:
    """Read the manifest of a predictor file, without checking its hashes.

    Raises:
        PredictorFileError: If the file is no predictor or has a newer format.
    """
    manifest = json.loads(_member(archive, "manifest.json"))
    if not isinstance(manifest, dict) or manifest.get("kind") != FILE_KIND:
        raise PredictorFileError(f"{path} is not a predictor of mnaslat.")
    if manifest.get("format") not in formats:
        readable = " and ".join(", ".join(map(str, formats)).rsplit(", ", 1))
        raise PredictorFileError(
            f"{path} has format {manifest.get('format')!r}; this mnaslat reads "
            f"{readable}. Upgrade mnaslat, or calibrate again to write a "
            "new file."
        )
    return manifest


def read_members(
    archive: zipfile.ZipFile, path: Path, manifest: Mapping[str, Any], names: Sequence[str]
) -> dict[str, bytes]:
    """Read the named members and check their hashes; other members are ignored.

    Raises:
        PredictorFileError: If one, or the manifest, does not match its hash.
    """
    contents = {name: _member(archive, name) for name in names}
    found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    found["manifest.json"] = own_hash(manifest)
    for name, digest in found.items():
        if digest != manifest["sha256"][name]:
            raise PredictorFileError(
                f"{path} was changed after it was written ({name} does not match its hash). "
                "Get it again from where it came, or calibrate again."
            )
    return contents


def own_hash(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of a manifest without this hash itself."""
    others = {
        name: digest for name, digest in manifest["sha256"].items() if name != "manifest.json"
    }
    canonical = json.dumps({**manifest, "sha256": others}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack arrays as an npz without pickle."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def unpack_arrays(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Unpack the result of ``pack_arrays``; the caller must check the arrays' values.

    Raises:
        ValueError: If it unpacks to too much, or an array is a pickle.
    """
    packed = io.BytesIO(content)
    with zipfile.ZipFile(packed) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_MEMBER_BYTES:
            raise ValueError(f"{name} unpacks to more than {_MAX_MEMBER_BYTES} bytes")
    packed.seek(0)
    with np.load(packed, allow_pickle=False) as arrays:
        return {each: arrays[each] for each in arrays.files}


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that predictors are not")
    limit = _limit(name)
    with archive.open(name) as file:
        content = file.read(limit + 1)  # a bomb's stated size need not be its true one
    if len(content) > limit:
        raise ValueError(_too_large(name))
    return content


def _limit(name: str) -> int:
    if name == "manifest.json":
        return _MAX_MANIFEST_BYTES
    return _MAX_JSON_BYTES if name.endswith(".json") else _MAX_MEMBER_BYTES


def _too_large(name: str) -> str:
    return f"{name} is larger than {_limit(name)} bytes"
