"""Fetching one file of bounded size from the web, with patience."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TRY_AGAIN = (408, 425, 429)  # and all of the server's own troubles, 5xx
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Time limits of a download."""

    timeout_s: float = 20.0  # without a byte
    pauses_s: tuple[float, ...] = (1.0, 4.0)  # before the second and the third try

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}.")
        if any(pause_s < 0 for pause_s in self.pauses_s):
            raise ValueError(f"pauses_s must not be negative, got {self.pauses_s}.")


class DownloadFailed(Exception):
    """The file could not be fetched; says why, as the rest of a sentence."""


def download(
    url: str,
    on_progress: Callable[[int, int], None],
    patience: Patience,
    *,
    max_bytes: int,
    sleep: Callable[[float], object] = time.sleep,
) -> bytes:
    """Fetch a file, whole or not at all.

    Args:
        url: https; plain http only from this computer itself, for redirects too.
        on_progress: Called with the bytes that are there and those expected, 0 if not known.
        patience: How long to wait, and how often to try.
        max_bytes: A longer file is refused.
        sleep: Waits so many seconds.

    Raises:
        DownloadFailed: If it cannot be fetched.
        ValueError: If the address is not allowed.
    """
    if not _is_safe(url):
        raise ValueError(f"Expected an https address, got {url!r}.")
    pauses_s = iter(patience.pauses_s)
    while True:
        try:
            return _fetch(url, on_progress, patience.timeout_s, max_bytes)
        except _Passing as trouble:
            pause_s = next(pauses_s, None)
            if pause_s is None:
                n_tries = len(patience.pauses_s) + 1
                raise DownloadFailed(f"{trouble} (tried {n_tries} times)") from None
            sleep(pause_s)


def _is_safe(url: str) -> bool:
    scheme, host = _scheme_and_host(url)
    return bool(host) and (scheme == "https" or _is_local(url))


def _is_local(url: str) -> bool:
    scheme, host = _scheme_and_host(url)
    return scheme == "http" and host in _LOOPBACK


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or ""
    except ValueError:  # e.g. an IPv6 address without its end
        return "", ""


class _Passing(Exception):
    """A trouble that may be over at the next try."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Never follows a server from https to anything else, nor between here and elsewhere."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not _is_safe(newurl) or _is_local(newurl) != _is_local(req.full_url):
            fp.close()
            raise DownloadFailed(f"the server redirects to {newurl}, which is not safe to follow")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(
    url: str, on_progress: Callable[[int, int], None], timeout_s: float, max_bytes: int
) -> bytes:
    """One try; raises ``DownloadFailed`` and ``_Passing``."""
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if _is_local(url):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=timeout_s) as response:
            return _body(response, on_progress, max_bytes)
    except urllib.error.HTTPError as error:
        error.close()
        trouble = f"the server answers {error.code} {error.reason}"
        if error.code in _TRY_AGAIN or error.code >= 500:
            raise _Passing(trouble) from None
        raise DownloadFailed(trouble) from None
    except TimeoutError:
        raise _Passing(_stalled(timeout_s)) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Passing(_stalled(timeout_s)) from None
        # strerror has no number in front; e.g. "Name or service not known".
        raise _Passing(getattr(error.reason, "strerror", None) or str(error.reason)) from None
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a senseless answer
        raise _Passing(f"the connection broke ({error or type(error).__name__})") from None


def _stalled(timeout_s: float) -> str:
    return f"nothing came for {timeout_s:g} s"


def _body(response: HTTPResponse, on_progress: Callable[[int, int], None], max_bytes: int) -> bytes:
    total = response.length or 0  # None where the server does not say
    content = bytearray()
    while True:
        if max(total, len(content)) > max_bytes:
            raise DownloadFailed(f"it has more than {max_bytes / 1e6:g} MB")
        on_progress(len(content), total)
        piece = response.read1(_CHUNK_BYTES)
        if not piece:
            break
        content += piece
    if total and len(content) != total:
        raise _Passing(f"the connection ended after {len(content)} of {total} bytes")
    return bytes(content)
