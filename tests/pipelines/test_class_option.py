"""What `--classes` may say."""

from __future__ import annotations

import pytest

from backbones.errors import InputError
from pipelines.class_option import read_wanted


def test_wishes_are_read_from_the_command_line() -> None:
    assert read_wanted([]) == {}
    assert read_wanted([" contempt = , joy=happy", "1=surprise"]) == {"contempt": None, "joy": "happy", "1": "surprise"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contempt", "as NAME=NAME, or NAME= to leave a class out, but got 'contempt'"),
        ("=happy", "but got '=happy'"),
        ("a=b,", "but got ''"),
        ("a=b,a=", "every class once in `--classes`, but got 'a' twice"),
    ],
)
def test_wishes_that_are_none_are_refused(text, message) -> None:
    with pytest.raises(InputError, match=message):
        read_wanted([text])
