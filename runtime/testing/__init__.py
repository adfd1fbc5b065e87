"""Databases and runtimes for tests, and the pytest plugin that hands them out."""

from ._databases import NoDatabase as NoDatabase
from ._databases import create_database as create_database
from ._databases import drop_database as drop_database
from ._databases import open_server as open_server
from ._databases import temporary_database as temporary_database
from ._runtimes import OpenRuntime as OpenRuntime
