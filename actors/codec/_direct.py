"""Classes that msgspec reads by itself, from text to object in one step, with the very same result.

That takes a quarter of the time of the way through a dict and `__init__`. It is open to a class whose fields
are whole numbers, texts, flags, and lists or tuples of them or of such classes; and whose `__init__` is
the one that attrs wrote, does nothing but set the fields, and so need not be called.
An error says nothing here: whoever meets one reads the text again the long way, which decides.
"""

from typing import Any

import attrs

from ._generated import caches_hash, only_sets_fields
from ._json import reader_of
from ._shape import Shape


def is_direct(cls: Any, shapes: list[Shape]) -> bool:
    """Whether msgspec reads a class exactly as its shape does, if unknown fields are passed over.

    Args:
        cls: A frozen attrs class.
        shapes: Of its stored fields.
    """
    fields = attrs.fields(cls)
    if len(shapes) != len(fields) or not all(each.direct for each in shapes):
        return False
    checked = any(each.validator for each in fields)
    if checked or caches_hash(cls) or cls.__new__ is not object.__new__ or not only_sets_fields(cls):
        return False
    try:
        reader_of(cls)
    except Exception:  # noqa: BLE001 - whatever msgspec finds wrong with a class, there is the long way
        return False
    return True
