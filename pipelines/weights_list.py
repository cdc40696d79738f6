"""`ensemble weights list|path|verify`: what the catalogue holds, what of it is here, and whether that is whole.

Looks at this machine only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backbones.errors import InputError
from ensemble.weights_catalogue import CATALOGUE, PretrainedWeights, entry_named
from pipelines.console import Console
from pipelines.fingerprint import digest_file
from pipelines.weights_path import find_weights, search_folders
from pipelines.weights_record import check_published, read_record

__all__ = ["list_weights", "locate_weights", "verify_weights"]


def list_weights(folders: Sequence[Path] = ()) -> None:
    """Print the catalogue as a table.

    Args:
        folders: Searched first for the files.
    """
    rows = [_row(entry, _find(entry, folders)[0]) for entry in CATALOGUE.values()]
    title = "pretrained weights; `weights: NAME` in members.yaml, `ensemble weights fetch NAME` to get them"
    header = ("name", "backbone", "size", "licence", "trained on", "input", "sha256", "here")
    console = Console()
    console.table(title, header, rows)
    console.result("\n".join(f"{entry.name}: {_details(entry)}" for entry in CATALOGUE.values()))


def locate_weights(name: str, folders: Sequence[Path] = ()) -> Path:
    """The file that holds weights of the catalogue.

    Args:
        name: Of the catalogue.
        folders: Searched first.

    Raises:
        InputError: There is no such name, or the file is not here.
    """
    entry = entry_named(name)
    file, looked = _find(entry, folders)
    if file is None:
        raise InputError(
            f"Expected the weights `{name}` (the file {entry.file}), but they are not in {looked}. "
            f"Run `ensemble weights fetch {name}`, or name their folder: `--weights DIR`."
        )
    return file


def verify_weights(names: Sequence[str], folders: Sequence[Path] = ()) -> None:
    """Check digests, and that the files hold tensors that fill their backbones; print a table.

    Args:
        names: Of the catalogue; empty for all that are here.
        folders: Searched first for the files.

    Raises:
        InputError: A name is unknown, a file is not here, or one is not right.
    """
    console = Console()
    entries = [entry_named(name) for name in names] or [e for e in CATALOGUE.values() if _find(e, folders)[0]]
    if not entries:
        console.note("no weights of the catalogue are here: `ensemble weights list` prints them")
        return
    files = {entry.name: locate_weights(entry.name, folders) for entry in entries}
    rows, wrong = [], []
    with console.bar("verifying", len(entries)) as bar:
        for entry in entries:
            try:
                rows.append((entry.name, str(files[entry.name]), *_verdict(entry, files[entry.name])))
            except InputError as error:
                wrong.append(str(error))
            bar.advance()
    if rows:
        console.table("verified weights", ("name", "file", "sha256", "against", "tensors", "filled"), rows)
    if wrong:
        raise InputError("\n".join(wrong))


def _verdict(entry: PretrainedWeights, file: Path) -> tuple[str, ...]:
    """Digest, what it was held against, and how much of the backbone the file fills.

    Raises:
        InputError: It is damaged, or another file.
    """
    from pipelines.weights_check import check_content

    sha256 = digest_file(file)
    check_published(entry, file, sha256)
    report = check_content(entry, file)
    against = "published" if entry.sha256 else "recorded" if read_record(file).get("sha256") else "nothing known"
    taken = len(report.loaded) + len(report.adapted)
    return (sha256, against, f"{taken} of {taken + report.dropped + len(report.unexpected)}", f"{report.share:.0%}")


def _find(entry: PretrainedWeights, folders: Sequence[Path]) -> tuple[Path | None, str]:
    return find_weights(entry.file, search_folders(folders))


def _details(entry: PretrainedWeights) -> str:
    """What the table has no room for."""
    sha256 = f"sha256 {entry.sha256}" if entry.sha256 else "sha256 not known"
    return f"{entry.file}, {sha256}, {entry.url}\n  input: {entry.input.input}"


def _row(entry: PretrainedWeights, file: Path | None) -> tuple[str, ...]:
    channels, side = entry.shape
    backbone = " ".join([entry.backbone, *(key for key, value in entry.parameters.items() if value is True)])
    sha256 = entry.sha256[:8] if entry.sha256 else "not known"
    return (
        entry.name, backbone, entry.megabytes, entry.licence, entry.training_set, f"{channels}×{side}×{side}", sha256,
        str(file or "no"),
    )  # fmt: skip
