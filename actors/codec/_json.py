"""The JSON backend: one place to change it.

msgspec, because it is the only fast one that is exact: orjson refuses an int beyond 64 bits when writing, and
reads one as a float without a word. `benchmarks/codec.py` compares them.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

NoJson: Final = msgspec.DecodeError
"""What `loads` raises for a text that is no JSON."""


def dumps(raw: Any) -> str:
    """Write JSON text. A lone surrogate is an error: no encoding has room for it."""
    return _encode(raw).decode()


def reader_of(cls: type) -> Callable[[str], Any]:
    """Return the function that makes an object of a class from JSON text. It calls no `__init__`.

    Raises:
        Exception: It cannot read that class.
    """
    return msgspec.json.Decoder(cls).decode


def loads(text: str) -> Any:
    """Read JSON text."""
    return _decode(text)
