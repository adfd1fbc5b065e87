"""A supervision tree for the length of a block, without a trace of it in the block's own errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rolebook.actors import Supervisor, Tree, open_supervisor

from .contract import Ending


@asynccontextmanager
async def open_tree(spec: Supervisor, ending: Ending) -> AsyncGenerator[Tree]:
    """Run a tree for the length of a block; it announces its end, and stops by the deadline."""
    raised: BaseException | None = None
    try:
        async with open_supervisor(spec, stopping=ending.announced) as tree:
            try:
                yield tree
            except BaseException as error:
                raised = error
                raise
    except BaseExceptionGroup as group:
        # That there is a nursery is our affair: an error of the block is raised as it is.
        if raised is None or group.exceptions != (raised,):
            raise
        raise raised from raised.__cause__
