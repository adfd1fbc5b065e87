"""One server: started, stopped, killed, frozen, promoted, asked. Everything here blocks."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, LiteralString

import psycopg
from attrs import define, field

from .installation import Installation, ProgramFailedError
from .processes import family, freeze_family, kill_family, wake_family

DATABASE: Final = "postgres"

BASE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "100",  # a standby may not have fewer than the copied cluster was made with
        "shared_buffers": "32MB",
        "jit": "off",
        "autovacuum": "off",
        # Processes are killed here, never the machine: the system keeps what was written, flushed or not. A
        # page may still be torn, if the kill comes in the middle of a write, so whole pages are logged.
        "fsync": "off",
        "full_page_writes": "on",
        "wal_level": "replica",
        "hot_standby": "on",
        "wal_log_hints": "on",  # pg_rewind wants it
        "wal_keep_size": "512MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "1h",
        "wal_retrieve_retry_interval": "100ms",
        "wal_receiver_status_interval": "1s",
        "log_line_prefix": "%m [%p] %a ",
    }
)

FORGETFUL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "synchronous_commit": "off",
        # For ten seconds after its start nobody writes the log, unless its buffer is full: what is
        # acknowledged meanwhile is gone if the server is killed.
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
        "wal_buffers": "64MB",
        "bgwriter_lru_maxpages": "0",  # a page that is written takes the log before it with it
        "shared_buffers": "128MB",
    }
)
"""For a server that forgets the commits of the last seconds when it is killed."""


@define(eq=False)
class Server:
    """A server of a bed.

    Attributes:
        name: As the other servers call it.
        port: On 127.0.0.1, the same for life.
        data: Its data folder.
        settings: On top of `BASE`.
    """

    name: str
    port: int
    room: Path
    tools: Installation
    settings: dict[str, str] = field(factory=dict[str, str])

    @property
    def data(self) -> Path:
        return self.room / "data"

    @property
    def log(self) -> Path:
        return self.room / "log"

    @property
    def url(self) -> str:
        """Connects to this server and to no other."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """The postmaster, if there is one."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError):
            return None
        return pid if pid in family(pid) else None

    # ---- life ----

    def start(self) -> None:
        """Start it, and wait until it takes connections; after a kill it recovers first."""
        self._write_settings()
        try:
            self._control("start", "-w", "-t", "60", "-l", self.log, "-s")
        except ProgramFailedError as error:
            raise ProgramFailedError(f"{error}\n{self.said()[-2000:]}") from error

    def stop(self) -> None:
        """Shut it down cleanly; its sessions are ended, and standbys get all of its log."""
        self._control("stop", "-w", "-t", "60", "-m", "fast", "-s")

    def kill(self) -> None:
        """End it as a loss of power would."""
        pid = self.pid
        if pid is not None:
            kill_family(pid)
            # The file would keep its successor from starting for as long as nobody has buried the dead.
            (self.data / "postmaster.pid").unlink()

    def kill_backend(self, application: str) -> int:
        """End one backend with SIGKILL, by its application's name; its server then restarts all of itself.

        Args:
            application: A pattern, such as "rolebook % writer".
        """
        rows = self.ask(
            "select pid from pg_stat_activity where application_name like %s and pid <> pg_backend_pid()"
            " order by backend_start limit 1",
            application,
        )
        assert rows, f"{self.name} has no session like {application!r}"
        os.kill(rows[0][0], signal.SIGKILL)
        return int(rows[0][0])

    def end_sessions(self, role: str) -> None:
        """End the runtime's sessions of one role, as an idle timeout or an administrator does."""
        self.ask(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like %s",
            f"rolebook % {role}",
        )

    def freeze(self) -> None:
        """Stop it, as a hypervisor does."""
        assert self.pid is not None
        freeze_family(self.pid)

    def wake(self) -> None:
        """Let it go on."""
        assert self.pid is not None
        wake_family(self.pid)

    def promote(self) -> None:
        """Make the standby a primary, and wait until it is one."""
        self._control("promote", "-w", "-t", "60", "-s")

    def remember(self) -> None:
        """Have it write down all that it acknowledged until now."""
        self.ask(
            "begin; set local synchronous_commit = on; select pg_logical_emit_message(true, '', ''); commit"
        )

    # ---- settings ----

    def configure(self, **settings: str) -> None:
        """Change settings that need no restart, and wait until new sessions have them."""
        self.settings.update(settings)
        self._write_settings()
        if self.pid is None:
            return
        with psycopg.connect(self.url, autocommit=True) as connection:
            loaded = connection.execute("select pg_conf_load_time()").fetchone()
            connection.execute("select pg_reload_conf()")
            while connection.execute("select pg_conf_load_time(), pg_sleep(0.005)").fetchone()[:1] == loaded:  # type: ignore[index]
                continue

    def follow(self, primary: "Server") -> None:
        """Be a standby of that server from the next start on, or at once if it is a standby already."""
        self.tools.write(self.data / "standby.signal", "")
        self.configure(primary_conninfo=primary_conninfo(primary, self.name))

    def rewind(self, primary: "Server") -> None:
        """Undo, in a server that does not run, what that primary does not have; that one must run."""
        primary.ask("checkpoint")  # or its control file still has the old timeline
        source = f"host=127.0.0.1 port={primary.port} user=postgres dbname={DATABASE}"
        self.tools.run("pg_rewind", "-D", self.data, f"--source-server={source}")

    # ---- questions ----

    def ask(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a query gives, on a connection of its own."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            answer = connection.execute(query, parameters or None)
            return answer.fetchall() if answer.description else []

    def value(self, query: LiteralString, *parameters: Any) -> Any:
        """Return the one value that a query gives."""
        ((value,),) = self.ask(query, *parameters)
        return value

    def is_standby(self) -> bool:
        """Say whether it only follows."""
        return bool(self.value("select pg_is_in_recovery()"))

    def timeline(self) -> int:
        """Return the timeline that it writes; it must be a primary."""
        return int(self.value("select pg_walfile_name(pg_current_wal_lsn())")[:8], 16)

    def sessions(self, process: str = "%") -> list[str]:
        """Return the names of the runtime's sessions on it."""
        rows = self.ask(
            "select application_name from pg_stat_activity where application_name like 'rolebook ' || %s"
            " || ' %%' order by 1",
            process,
        )
        return [name for (name,) in rows]

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    # ---- within ----

    def _write_settings(self) -> None:
        chosen = {**BASE, "port": str(self.port), "cluster_name": self.name, **self.settings}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in chosen.items()]
        self.tools.write(self.data / "postgresql.auto.conf", "".join(lines))

    def _control(self, *arguments: str | Path) -> None:
        """Run pg_ctl; what it starts must not keep our pipe open, which `-l` sees to."""
        self.tools.run("pg_ctl", *arguments, "-D", self.data)


def primary_conninfo(primary: Server, name: str) -> str:
    """How a standby of that name reaches its primary."""
    return f"host=127.0.0.1 port={primary.port} user=postgres application_name={name} connect_timeout=2"


def copy_data(source: Path, target: Path) -> None:
    """Copy the data folder of a stopped server, owners and all."""
    subprocess.run(["cp", "-a", source, target], check=True)
