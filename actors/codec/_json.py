"""The JSON backend: one place to change it.

msgspec, because it is the only fast one that is exact: orjson refuses an int beyond 64 bits when writing, and
reads one as a float without a word. `benchmarks/codec.py` compares them.
"""

from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()

_encode = _ENCODER.encode
loads: Final = _DECODER.decode
"""Read JSON text. Raises `BROKEN` if it is none."""

BROKEN: Final[tuple[type[Exception], ...]] = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading or writing may raise."""


def dumps(raw: Any) -> str:
    """Write JSON text. A lone surrogate is an error: no encoding has room for it."""
    return _encode(raw).decode()
