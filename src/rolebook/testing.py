"""Tools for tests of actors and of programs that run them."""

from rolebook.actors.testing import Case as Case
from rolebook.actors.testing import Given as Given
from rolebook.actors.testing import PurityError as PurityError
from rolebook.actors.testing import differences as differences
from rolebook.actors.testing import given as given
from rolebook.runtime.testing import OpenRuntime as OpenRuntime
