"""Supervision trees on Trio: tasks that are kept running, in OTP's words.

Usable in any Trio program, with no database.
"""

from ._checks import most_failures as most_failures
from ._configuration import Configuration as Configuration
from ._configuration import NoOverrides as NoOverrides
from ._configuration import dump_tree as dump_tree
from ._configuration import load_configuration as load_configuration
from ._configuration import load_tree as load_tree
from ._configuration_errors import InvalidFile as InvalidFile
from ._drawing import draw as draw
from ._errors import CancelledByNobody as CancelledByNobody
from ._errors import ChildDown as ChildDown
from ._errors import ChildFailed as ChildFailed
from ._errors import EndedUnexpectedly as EndedUnexpectedly
from ._errors import GaveUp as GaveUp
from ._errors import NotSupervising as NotSupervising
from ._errors import StartTimedOut as StartTimedOut
from ._errors import SupervisionError as SupervisionError
from ._errors import UnknownChild as UnknownChild
from ._events import ChildCrashed as ChildCrashed
from ._events import ChildFinished as ChildFinished
from ._events import ChildParked as ChildParked
from ._events import ChildRestarted as ChildRestarted
from ._events import ChildStarted as ChildStarted
from ._events import ChildStopped as ChildStopped
from ._events import ChildStuck as ChildStuck
from ._events import EventStream as EventStream
from ._events import RestartScheduled as RestartScheduled
from ._events import SupervisionEvent as SupervisionEvent
from ._events import SupervisorGaveUp as SupervisorGaveUp
from ._mailbox import MailboxStatistics as MailboxStatistics
from ._policy import Escalate as Escalate
from ._policy import Exit as Exit
from ._policy import History as History
from ._policy import LeaveDown as LeaveDown
from ._policy import Park as Park
from ._policy import Restart as Restart
from ._policy import ShutDown as ShutDown
from ._policy import decide as decide
from ._snapshot import Snapshot as Snapshot
from ._spec import Child as Child
from ._spec import Start as Start
from ._spec import Supervisor as Supervisor
from ._stopping import Stopping as Stopping
from ._telling import Teller as Teller
from ._tree import Tree as Tree
from ._tree import open_supervisor as open_supervisor
from ._tree import supervise as supervise
