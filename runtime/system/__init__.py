"""The system actors: what reads, writes, listens and promotes for every handler of a process."""

from ._clock import StoreClock as StoreClock
from ._fetcher import Fetcher as Fetcher
from ._fetcher import FetcherStatistics as FetcherStatistics
from ._life import Life as Life
from ._listener import Listener as Listener
from ._listener import ListenerState as ListenerState
from ._scheduler import Scheduler as Scheduler
from ._send_count import SendCount as SendCount
from ._signals import Attach as Attach
from ._signals import Credit as Credit
from ._signals import Delivered as Delivered
from ._signals import Detach as Detach
from ._signals import Drained as Drained
from ._signals import FetcherSignal as FetcherSignal
from ._signals import HandlerSignal as HandlerSignal
from ._signals import LocalAsk as LocalAsk
from ._signals import Look as Look
from ._signals import LookAtOwners as LookAtOwners
from ._signals import Owned as Owned
from ._signals import Page as Page
from ._signals import Reread as Reread
from ._signals import Resume as Resume
from ._signals import Withdraw as Withdraw
from ._watch import Hand as Hand
from ._watch import LoopWatch as LoopWatch
from ._writer import Writer as Writer
