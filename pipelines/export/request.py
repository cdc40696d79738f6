"""Checks what `ensemble export` is asked for before anything heavy is loaded."""

from __future__ import annotations

from importlib.util import find_spec

from backbones.errors import InputError

__all__ = ["PACKAGES", "check_packages", "read_names"]

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""Those of the extra `export`; torch's exporter asks for the last one."""


def check_packages() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        InputError: One is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"Expected the packages {', '.join(PACKAGES)} for `ensemble export`, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed. Install them: `pip install {' '.join(PACKAGES)}`."
        )


def read_names(text: str | None) -> tuple[str, ...]:
    """The names in a comma-separated text; none without a text.

    Raises:
        InputError: There is a text and no name in it.

    Example:
        >>> read_names("residual, face_net")
        ('residual', 'face_net')
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError(f"Expected names of members in `--members`, but got {text!r}. Leave it out for the committee.")
    return names
