"""Sending to actors, asking them and reading them, from outside a turn."""

from ._client import Client as Client
from ._context import ClientContext as ClientContext
from ._context import Replies as Replies
from ._depth_limits import QueueFull as QueueFull
from ._errors import NotRunning as NotRunning
from ._errors import UnknownQueue as UnknownQueue
from ._reading import Recorded as Recorded
