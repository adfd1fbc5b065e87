"""Classes that msgspec reads by itself, from text to object in one step, with the very same result.

That takes a quarter of the time of the way through a dict and `__init__`. It is open to a class whose fields
are whole numbers, texts, flags, and lists or tuples of them or of such classes; and whose `__init__` is
the one that attrs wrote, does nothing but set the fields, and so need not be called.
An error says nothing here: whoever meets one reads the text again the long way, which decides.
"""

from typing import Any

import attrs

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
    plain = all(each.init and each.converter is None and each.validator is None for each in fields)
    if not plain or cls.__new__ is not object.__new__ or not _only_sets_fields(cls):
        return False
    try:
        reader_of(cls)
    except Exception:  # noqa: BLE001 - whatever msgspec finds wrong with a class, there is the long way
        return False
    return True


def _only_sets_fields(cls: Any) -> bool:
    made = attrs.inspect(cls)
    caches_hash = made.hashability is attrs.ClassProps.Hashability.HASHABLE_CACHED
    hooked = hasattr(cls, "__attrs_pre_init__") or hasattr(cls, "__attrs_post_init__")
    # Another decorator may have put something around the `__init__` that attrs wrote.
    code = getattr(cls.__init__, "__code__", None)
    is_bare = code is not None and code.co_filename.startswith("<attrs generated")
    return made.added_init and is_bare and not (hooked or caches_hash or made.is_exception)
