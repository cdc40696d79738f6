"""Remembered digests of files."""

from __future__ import annotations

import hashlib
import os

from pipelines import fingerprint
from pipelines.fingerprint import FileFacts, digest_file, digest_folder


def age(path, seconds):
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - int(seconds * 1e9)))


def test_an_unchanged_file_is_hashed_once(tmp_path, monkeypatch):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    age(file, 60)
    facts = FileFacts(tmp_path / "notes")
    assert facts.digest(file) == hashlib.sha256(b"one").hexdigest()

    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "digest_file", None)
        assert facts.digest(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"two")
    assert facts.digest(file) == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    facts = FileFacts(tmp_path / "notes")
    facts.digest(file)
    assert facts.recall(file, "sha256") is None


def test_facts_of_one_file_are_kept_side_by_side(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    age(file, 60)
    facts = FileFacts(tmp_path / "notes")
    facts.remember(file, "reader", "fer_csv")
    facts.digest(file)
    assert facts.recall(file, "reader") == "fer_csv"
    assert facts.recall(file, "colour") is None


def test_damaged_notes_are_ignored(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(b"one")
    age(file, 60)
    facts = FileFacts(tmp_path / "notes")
    facts.digest(file)
    note = next((tmp_path / "notes").iterdir())
    for text in ("{", "[]", "{}"):
        note.write_text(text)
        assert facts.digest(file) == digest_file(file)


def test_a_folder_changes_with_names_sizes_and_times(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    seen = {digest_folder(tmp_path, ["a"])}
    (tmp_path / "a").write_bytes(b"12")
    seen.add(digest_folder(tmp_path, ["a"]))
    age(tmp_path / "a", 60)
    seen.add(digest_folder(tmp_path, ["a"]))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(digest_folder(tmp_path, ["b"]))
    assert len(seen) == 4
