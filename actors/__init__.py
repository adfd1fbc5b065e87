"""The actor model on pure Trio: no database, no I/O.

`understudy.runtime` stands on this package; this package never imports it.
"""

from ._backoff import Backoff as Backoff
from ._errors import UnderstudyError as UnderstudyError
from ._invalid import InvalidSetting as InvalidSetting
from .supervision import Child as Child
from .supervision import GaveUp as GaveUp
from .supervision import InvalidFile as InvalidFile
from .supervision import Stopping as Stopping
from .supervision import SupervisionError as SupervisionError
from .supervision import Supervisor as Supervisor
from .supervision import Tree as Tree
from .supervision import draw as draw
from .supervision import dump_tree as dump_tree
from .supervision import load_configuration as load_configuration
from .supervision import load_tree as load_tree
from .supervision import open_supervisor as open_supervisor
from .supervision import supervise as supervise
