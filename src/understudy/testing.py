"""Tools for tests of actors and of programs that run them."""

from understudy.actors.testing import Case as Case
from understudy.actors.testing import Given as Given
from understudy.actors.testing import PurityError as PurityError
from understudy.actors.testing import differences as differences
from understudy.actors.testing import given as given
from understudy.runtime.testing import OpenRuntime as OpenRuntime
