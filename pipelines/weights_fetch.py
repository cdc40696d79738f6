"""`ensemble weights fetch`: brings published weights to this machine, and installs only what is what it should be.

The only command that touches the network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from backbones.errors import InputError
from ensemble.weights_catalogue import PretrainedWeights, entry_named
from pipelines.atomic import explain_os_error, sync_folder
from pipelines.console import Console
from pipelines.download import Advance, Patience, download
from pipelines.fingerprint import digest_file
from pipelines.lock import locked
from pipelines.partial_download import forget
from pipelines.weights_path import installation_folder
from pipelines.weights_record import check_published, read_record, write_record

__all__ = ["fetch"]

_UNKNOWN = 2 << 30
"""Bytes that a file of unknown size may have."""

_PATIENCE = Patience()


def fetch(
    names: Sequence[str],
    *,
    url: str | None = None,
    to: Path | None = None,
    quiet: bool = False,
    patience: Patience = _PATIENCE,
) -> list[Path]:
    """Fetch weights of the catalogue, check them, and install them.

    A file that is there already and right is left alone. An interrupted download goes on where it stopped. A file is
    installed by a rename, after its digest and its tensors were found right.

    Args:
        names: Of the catalogue.
        url: Another source, for a single name.
        to: Folder; default the first of `$ENSEMBLE_WEIGHTS`, else `weights`.
        quiet: Print the paths only.
        patience: With bad connections.

    Returns:
        The installed files.

    Raises:
        InputError: A name is unknown, the file cannot be had, or it is not what it should be. Then nothing is
            installed.
    """
    entries = [entry_named(name) for name in dict.fromkeys(names)]
    if url is not None and len(entries) != 1:
        raise InputError(f"Expected one name beside `--url`, but got {len(entries)}. Fetch one after the other.")
    console, folder = Console(quiet=quiet), installation_folder() if to is None else to
    installed = []
    for entry in entries:
        target = folder / entry.file
        if not _is_there(entry, target, console):
            with locked(folder, wait=True):
                if not _is_there(entry, target, Console(quiet=True)):  # another process may have fetched it meanwhile
                    _fetch(entry, target, url, console, patience)
        console.result(str(target))
        installed.append(target)
    return installed


def _is_there(entry: PretrainedWeights, target: Path, console: Console) -> bool:
    """Whether the file is installed already; one that somebody has put there is recorded if it is right."""
    if not target.is_file():
        return False
    sha256 = digest_file(target)
    try:
        check_published(entry, target, sha256)
        if not read_record(target):
            _check_content(entry, target)
            with suppress(OSError):  # a folder that is only read
                write_record(target, entry, url=None, sha256=sha256)
    except InputError as error:
        console.note(f"{entry.name}: the file there is not right, and is replaced. {error}")
        return False
    console.note(f"{entry.name}: there already, sha256 {sha256}")
    return True


def _fetch(entry: PretrainedWeights, target: Path, url: str | None, console: Console, patience: Patience) -> None:
    if entry.by_hand and url is None:
        raise InputError(
            f"Expected `--url` for `{entry.name}`, which is published on a page made for people: open {entry.url} in a "
            f"browser, save {entry.file}, then run `ensemble weights fetch {entry.name} --url file:PATH`, which checks "
            f"and installs it."
        )
    source = url or entry.url
    console.note(f"{entry.name}: {entry.licence} licence, trained on {entry.training_set}; {entry.megabytes}, {source}")
    limit = _UNKNOWN if entry.size is None else int(entry.size * 1.1)
    with _progress(console, entry) as advance:
        part = download(source, target, limit=limit, patience=patience, advance=advance)
    sha256 = _checked(entry, part, source, target)
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
        write_record(target, entry, url=source, sha256=sha256)
    except OSError as error:
        raise InputError(explain_os_error(error)) from None
    forget(target)
    published = "as published" if entry.sha256 else "not published: recorded beside the file"
    console.note(f"{entry.name}: installed, sha256 {sha256} ({published})")


def _checked(entry: PretrainedWeights, part: Path, source: str, target: Path) -> str:
    """The digest of a downloaded file that is what it should be; any other is removed.

    Raises:
        InputError: The digest is another, or the content is.
    """
    sha256 = digest_file(part)
    if entry.sha256 not in (None, sha256):
        size = part.stat().st_size
        forget(target)
        raise InputError(
            f"Expected {source} to be {entry.file} with sha256 {entry.sha256}, but got {size:,} bytes with {sha256}. "
            f"Nothing is installed, and they are removed. Try again, or name another source: `--url URL`."
        )
    try:
        _check_content(entry, part)
    except InputError as error:
        forget(target)
        raise InputError(f"{error} Nothing is installed, and what came from {source} is removed.") from None
    except Exception:
        forget(target)  # else the next call would find it whole, and end the same way
        raise
    return sha256


def _check_content(entry: PretrainedWeights, path: Path) -> None:
    from pipelines.weights_check import check_content

    check_content(entry, path)


@contextmanager
def _progress(console: Console, entry: PretrainedWeights) -> Iterator[Advance]:
    """A bar on a terminal, a line for every tenth elsewhere."""
    with console.bar(entry.name, entry.size or 1) as bar:
        yield _told(bar.set, console, entry) if console.live else _told(lambda done, total: None, console, entry)


def _told(show: Callable[[int, int | None], None], console: Console, entry: PretrainedWeights) -> Advance:
    tenths = -1

    def advance(done: int, total: int | None) -> None:
        nonlocal tenths
        show(done, total)
        if total and not console.live and done * 10 // total > tenths:
            tenths = done * 10 // total
            console.note(f"{entry.name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return advance
