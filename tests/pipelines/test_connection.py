"""What a connection may lead to, and that nothing else opens any."""

from __future__ import annotations

import re
from http.client import HTTPMessage
from io import BytesIO
from urllib.request import Request

import pytest
from support import ROOT

from backbones.errors import InputError
from pipelines.connection import _opener, _Redirects


@pytest.mark.parametrize("target", ["http://mirror/net.pt", "file:///etc/passwd", "ftp://mirror/net.pt"])
def test_https_is_never_left(target: str) -> None:
    with pytest.raises(InputError, match=r"Expected https://host/net\.pt to stay on https, but it leads to"):
        _Redirects().redirect_request(Request("https://host/net.pt"), BytesIO(), 302, "", HTTPMessage(), target)


def test_a_redirection_keeps_what_was_asked_for() -> None:
    asked = Request("https://host/net.pt", headers={"Range": "bytes=5-"})
    followed = _Redirects().redirect_request(asked, BytesIO(), 302, "", HTTPMessage(), "https://mirror/net.pt")
    assert followed is not None
    assert (followed.full_url, followed.headers["Range"]) == ("https://mirror/net.pt", "bytes=5-")


def test_only_http_and_https_are_handled() -> None:
    assert {"http", "https", "unknown"} <= set(_opener().handle_open)
    assert not {"file", "ftp", "data"} & set(_opener().handle_open)


def test_no_other_module_opens_connections() -> None:
    """But for `ui`, which looks whether its own port is free."""
    modules = r"urllib\.request|http\.client|socket|requests|httpx|urllib3"
    pattern = re.compile(rf"^\s*(import|from) ({modules})\b", re.MULTILINE)
    sources = [path for package in ("backbones", "ensemble", "pipelines") for path in (ROOT / package).rglob("*.py")]
    found = {path.name for path in sources if pattern.search(path.read_text(encoding="utf-8"))}
    assert found == {"connection.py", "ui.py"}
