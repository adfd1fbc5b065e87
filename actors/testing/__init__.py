"""Tests of actors with no runtime at all: given this history, when told this, then that."""

from ._case import Case as Case
from ._diff import differences as differences
from ._given import Given as Given
from ._given import given as given
from ._purity import PurityError as PurityError
from ._purity import check_repeat as check_repeat
from ._purity import check_replay as check_replay
from ._purity import content_of as content_of
from ._purity import rebuild as rebuild
