"""The actor model on pure Trio: no database, no I/O.

`understudy.runtime` stands on this package; this package never imports it.
"""

from ._errors import UnderstudyError as UnderstudyError
