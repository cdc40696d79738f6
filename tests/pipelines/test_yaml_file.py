from __future__ import annotations

from pathlib import Path

import pytest

from backbones.errors import InputError
from pipelines.yaml_file import read_yaml, write_yaml


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "1E-4", "+1e-4"])
def test_exponents_are_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(f"lr: {text}\n")
    assert read_yaml(tmp_path / "a.yaml")["lr"] == pytest.approx(1e-4)


def test_names_that_look_like_exponents_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: e5\nhex: 12ab\n")
    assert read_yaml(tmp_path / "a.yaml") == {"name": "e5", "hex": "12ab"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 2, column 1: the key 'a' stands twice"),
        ("a: {b: [1, 2}\n", "line 1, column"),
        ("a: &x 1\nb: *x\n", "aliases are not supported"),
        ("- 1\n- 2\n", "Expected a mapping"),
        ("", "Expected a mapping"),
        (
            "a: !!python/object/apply:os.system ['true']\n",
            "tags such as 'tag:yaml.org,2002:python/object/apply:os.system' are not supported",
        ),
        ("a: 1\n\tb: 2\n", "line 2"),
        ("a: !!str 5\n", "tags such as"),
        ("a: " + "[" * 60, "within one another"),
        ("a: 0x" + "f" * 30, "more than 64 bits"),
        ("a: " + "x" * 5000, "too long"),
    ],
)
def test_wrong_yaml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml") as caught:
        read_yaml(tmp_path / "a.yaml")
    assert message in str(caught.value)


def test_not_utf8_and_missing_and_huge(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(InputError, match="at most 1 MiB"):
        read_yaml(tmp_path / "c.yaml")


def test_round_trip_keeps_order(tmp_path: Path) -> None:
    content = {"z": 1, "a": {"y": [1, 2.5], "b": None}, "größe": "×"}
    write_yaml(tmp_path / "a.yaml", content)
    assert read_yaml(tmp_path / "a.yaml") == content
    assert list(read_yaml(tmp_path / "a.yaml")) == list(content)
