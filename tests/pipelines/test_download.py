"""Downloads from servers that are good, bad and worse: what arrives is the file, or a clear message."""

from __future__ import annotations

import random
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, serving

from backbones.errors import InputError
from pipelines.download import Patience, download
from pipelines.partial_download import forget, part_path

CONTENT = random.Random(0).randbytes(700_000)
HASTE = Patience(timeout=5, attempts=3, pause=0.01)
TARGET = Path("weights/net.pt")


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    TARGET.parent.mkdir()


def get(url: str, **changes: Any) -> bytes:
    """What a download brings."""
    settings = {"limit": 2_000_000, "patience": HASTE, "advance": lambda done, total: None} | changes
    part = download(url, TARGET, **settings)
    assert part == part_path(TARGET)
    assert not TARGET.exists()
    return part.read_bytes()


def test_a_file_comes_whole_and_progress_is_told() -> None:
    seen: list[tuple[int, int | None]] = []
    with serving(content=CONTENT) as server:
        assert get(server.url, advance=lambda done, total: seen.append((done, total))) == CONTENT
        assert len(server.requests) == 1
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_lost_connection_is_resumed_where_it_broke() -> None:
    with serving(content=CONTENT, cuts=[300_000, 100_000]) as server:
        assert get(server.url) == CONTENT
        assert server.starts() == [0, 300_000, 400_000]
        assert server.requests[1]["If-Range"] == '"one"'


def test_the_next_command_goes_on() -> None:
    with serving(content=CONTENT, cuts=[300_000, 0, 0]) as server:
        with pytest.raises(
            InputError, match=r"before the end\. 300,000 bytes lie in `weights/net\.pt\.part`; the same"
        ):
            get(server.url, patience=Patience(attempts=2, pause=0.01))
        server.requests.clear()
        server.cuts.clear()
        assert get(server.url) == CONTENT
        assert server.starts() == [300_000]
        server.requests.clear()
        assert get(server.url) == CONTENT  # all of it was there already
        assert not server.requests


def test_attempts_that_bring_something_do_not_count() -> None:
    with serving(content=CONTENT, cuts=[100_000] * 6) as server:
        assert get(server.url, patience=Patience(attempts=2, pause=0.01)) == CONTENT
        assert len(server.requests) == 7


def test_a_server_without_parts_is_asked_for_the_whole_again() -> None:
    with serving(content=CONTENT, cuts=[300_000], ranges=False) as server:
        assert get(server.url) == CONTENT
        assert server.starts() == [0, 300_000]


OTHER = random.Random(1).randbytes(700_000)


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"two"'},
        {"etag": '"two"', "conditions": False},
        {"etag": 'W/"two"'},
        {"etag": None, "modified": "Tue, 02 Jan 2024 00:00:00 GMT"},
        {"content": OTHER + b"longer", "conditions": False},
    ],
    ids=["etag, said at once", "etag, not said at once", "weak etag", "time", "size"],
)
def test_a_file_that_changed_is_not_joined(change: dict[str, Any]) -> None:
    was = {"etag": None, "modified": "Mon, 01 Jan 2024 00:00:00 GMT"} if "modified" in change else {}
    with serving(content=CONTENT, cuts=[300_000, 0, 0], **was) as server:
        with pytest.raises(InputError):
            get(server.url)
        server.cuts.clear()
        server.content = OTHER
        for name, value in change.items():
            setattr(server, name, value)
        assert get(server.url) == server.content


def test_a_part_of_the_wrong_place_is_not_joined() -> None:
    with serving(content=CONTENT, cuts=[300_000], shift=5) as server:
        assert get(server.url) == CONTENT
        assert server.starts() == [0, 300_000, 0]


def test_a_part_longer_than_the_file_is_begun_anew() -> None:
    with serving(content=CONTENT, cuts=[300_000, 0, 0]) as server:
        with pytest.raises(InputError):
            get(server.url)
        server.cuts.clear()
        server.content = OTHER[:1000]
        server.conditions = False
        assert get(server.url) == OTHER[:1000]  # the server has answered 416 first
        assert server.starts()[-2:] == [300_000, 0]


def test_another_source_begins_anew() -> None:
    with serving(content=CONTENT, cuts=[300_000, 0, 0]) as one, serving(content=OTHER) as two:
        with pytest.raises(InputError):
            get(one.url)
        assert get(two.url) == OTHER
        assert two.starts() == [0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_out_of_sorts_is_asked_again(status: int) -> None:
    with serving(content=CONTENT, statuses=[status]) as server:
        assert get(server.url) == CONTENT


def test_a_missing_file_is_told_at_once() -> None:
    with serving(statuses=[404]) as server:
        message = rf"Expected {re.escape(server.url)} to be a file, but the server answered 404 Not Found.*`--url URL`"
        with pytest.raises(InputError, match=message):
            get(server.url)
        assert len(server.requests) == 1
    assert list(TARGET.parent.iterdir()) == []


def test_no_network_is_told_after_the_attempts() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file"
    with pytest.raises(InputError, match=r"Connection refused\. Nothing has arrived\. .* into `weights` by hand"):
        get(url)
    assert list(TARGET.parent.iterdir()) == []


def test_a_quiet_connection_counts_as_lost() -> None:
    with serving(content=CONTENT, stalls=[300_000]) as server:
        assert get(server.url, patience=Patience(timeout=0.3, attempts=2, pause=0.01)) == CONTENT
        assert len(server.requests) == 2


def test_a_file_of_unknown_length_is_taken_to_the_end_of_the_connection() -> None:
    with serving(content=CONTENT, sized=False) as server:
        assert get(server.url) == CONTENT


@pytest.mark.parametrize("sized", [True, False])
def test_too_large_files_are_refused_and_removed(sized: bool) -> None:
    message = "at most 600,000 bytes, but it has more"
    seen: list[int] = []
    with serving(content=CONTENT, sized=sized) as server, pytest.raises(InputError, match=message):
        get(server.url, limit=600_000, advance=lambda done, total: seen.append(done))
    assert bool(seen) != sized  # not begun, if it is known beforehand
    assert list(TARGET.parent.iterdir()) == []


def test_a_web_page_is_no_file() -> None:
    page, message = b"<html>Sign in", r"sent a web page.*`--url file:PATH`"
    with serving(content=page, kind="text/html; charset=utf-8") as server, pytest.raises(InputError, match=message):
        get(server.url)
    assert list(TARGET.parent.iterdir()) == []


def test_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a file.pt").write_bytes(CONTENT)
    assert get((tmp_path / "a file.pt").as_uri()) == CONTENT
    assert get("file:a file.pt") == CONTENT  # anew, not appended
    with pytest.raises(InputError, match="at most 10 bytes"):
        get("file:a file.pt", limit=10)
    with pytest.raises(InputError, match=r"No such file or directory\. Check the path"):
        get("file:absent.pt")


@pytest.mark.parametrize("name", ["a%20b.pt", "a#b.pt", "a?b.pt", "a[b.pt"])
def test_paths_are_taken_as_they_stand(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENT)
    assert get(f"file:{name}") == CONTENT
    assert get(f"file:{tmp_path / name}") == CONTENT
    assert get((tmp_path / name).as_uri()) == CONTENT
    assert get((tmp_path / name).as_uri().replace("file://", "FILE://localhost")) == CONTENT


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file://weights/x.pt", r"names the host `weights`\. For a path: .*`file:weights/x\.pt`"),
        ("file:///a%00b", "null byte"),
        ("file:~nosuchuser/x.pt", "there is none for `~nosuchuser`"),
        ("http://[::1/x", r"valid host, but got 'http://\[::1/x': Invalid IPv6 URL"),
        ("http://127.0.0.1:1/ä.pt", "Expected a URL of plain characters"),
        ("http://a..b/x", "Expected a URL of plain characters"),
        ("http://127.0.0.1:one/x", "nonnumeric port"),
    ],
)
def test_urls_that_are_none_are_told_at_once(url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        get(url, patience=Patience(attempts=2, pause=60))


def test_a_length_beyond_all_sense_is_too_large() -> None:
    with serving(content=CONTENT, length="9" * 5000) as server, pytest.raises(InputError, match="at most 2,000,000"):
        get(server.url)
    assert list(TARGET.parent.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://host/net.pt", "net.pt", "/tmp/net.pt"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"Expected a URL of http, https or file, but got .*`file:PATH`"):
        get(url)


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """The system refuses to let files grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_what_has_arrived_is_kept() -> None:
    with serving(content=CONTENT) as server:
        with (
            small_files(400_000),
            pytest.raises(InputError, match=r"`weights/net\.pt\.part`, but got: .*Free space"),
        ):
            get(server.url)
        kept = part_path(TARGET).stat().st_size
        assert 0 < kept <= 400_000
        assert get(server.url) == CONTENT
        assert server.starts() == [0, kept]


def test_forget() -> None:
    with serving(content=CONTENT) as server:
        get(server.url)
    forget(TARGET)
    assert list(TARGET.parent.iterdir()) == []


def test_the_server_of_these_tests_is_what_it_says() -> None:
    assert FileServer(requests=[{}, {"Range": "bytes=12-"}]).starts() == [0, 12]
