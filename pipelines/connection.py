"""Connections to web servers, through the proxies that the environment names: the one module that opens any.

It knows which failures may pass and which will not; what is done with the bytes is the caller's business.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from backbones.errors import InputError

__all__ = ["LostError", "RangeError", "chunks", "connect"]

_CHUNK = 1 << 18
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
_HANDLERS = (ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor)


class LostError(Exception):
    """The connection came to nothing, or ended early; another attempt may do better."""


class RangeError(LostError):
    """The server has no such part of the file."""


@contextmanager
def connect(url: str, headers: Mapping[str, str], *, timeout: float) -> Iterator[Any]:
    """Ask for a URL, and give the server's answer: 200, or 206 if `headers` ask for a part.

    Args:
        url: Of the scheme http or https.
        headers: Of the request.
        timeout: Seconds without a byte after which the connection counts as lost.

    Raises:
        InputError: The server has no such file, or this is no URL.
        LostError: There is no connection, or the server is out of sorts.
    """
    try:
        answer = _ask(url, headers, timeout)
    except HTTPError as error:
        raise _refusal(url, error) from None
    except URLError as error:
        raise LostError(_words(error.reason)) from None
    except (http.client.HTTPException, OSError) as error:
        raise LostError(_words(error)) from None
    with answer:
        yield answer


def _ask(url: str, headers: Mapping[str, str], timeout: float) -> Any:
    """Open the URL.

    Raises:
        InputError: This is no URL, or leads to none.
    """
    try:
        urlsplit(url)
        request = Request(url, headers={"User-Agent": "ensemble", "Accept-Encoding": "identity", **headers})  # noqa: S310
        return _opener().open(request, timeout=timeout)
    except (InputError, OSError):
        raise  # a ValueError too, as are errors of certificates
    except (ValueError, http.client.InvalidURL) as error:  # UnicodeError among them
        raise InputError(
            f"Expected a URL of plain characters with a valid host, but got {url!r}: {error}. Check it; other "
            f"characters are written as `%` and their code."
        ) from None


def chunks(source: IO[bytes]) -> Iterator[bytes]:
    """What comes, piece by piece.

    Raises:
        LostError: Nothing comes any more, and that is not the end.
    """
    while True:
        try:
            chunk = source.read(_CHUNK)
        except (http.client.HTTPException, OSError) as error:
            raise LostError(_words(error)) from None
        if not chunk:
            return
        yield chunk


class _Redirects(HTTPRedirectHandler):
    """Follows redirections, but none from https to anything less."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise InputError(f"Expected {req.full_url} to stay on https, but it leads to {newurl}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """For http and https only: Python's default also reads files and ftp."""
    opener = OpenerDirector()
    for handler in (*_HANDLERS, _Redirects):
        opener.add_handler(handler())
    return opener


def _refusal(url: str, error: HTTPError) -> Exception:
    with error:
        words = f"{error.code} {error.reason}"
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return RangeError(words)
    if error.code in _TEMPORARY:
        return LostError(words)
    return InputError(
        f"Expected {url} to be a file, but the server answered {words}. Name another source: `--url URL`."
    )


def _words(reason: object) -> str:
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
