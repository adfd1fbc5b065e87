"""Read a connection empty after its command was given up."""

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait


def drain(pgconn: PGconn) -> PQGen[None]:
    """Read and forget all that the running command still has to say; end a COPY that is under way.

    Not for pipeline mode, where only the pipeline knows what is outstanding.

    Raises:
        psycopg.OperationalError: the connection was lost, or is in a state that cannot be drained.
    """
    while (result := (yield from generators.fetch(pgconn))) is not None:
        if result.status == ExecStatus.COPY_OUT:
            yield from _drain_copy_out(pgconn)
        elif result.status == ExecStatus.COPY_IN:
            yield from _fail_copy_in(pgconn)
        elif result.status in (ExecStatus.COPY_BOTH, ExecStatus.PIPELINE_SYNC, ExecStatus.PIPELINE_ABORTED):
            raise psycopg.OperationalError(f"cannot drain a connection in {ExecStatus(result.status).name}")


def _drain_copy_out(pgconn: PGconn) -> PQGen[None]:
    while True:
        size, _ = pgconn.get_copy_data(1)
        if size < 0:
            return
        if size == 0:
            while not (yield Wait.R):
                continue
            pgconn.consume_input()


def _fail_copy_in(pgconn: PGconn) -> PQGen[None]:
    while pgconn.put_copy_end(b"the client gave up") == 0:
        while not (yield Wait.W):
            continue
    yield from generators.send(pgconn)
