"""The handlers: whose turns they run, in which order, and what becomes of each."""

from ._actor_handler import ActorHandler as ActorHandler
from ._actor_statistics import ActorStatistics as ActorStatistics
from ._context import HandlerContext as HandlerContext
from ._key_lines import KeyLines as KeyLines
from ._key_lines import Line as Line
from ._key_lines import Work as Work
from ._life_cycle import IllegalStep as IllegalStep
from ._line_states import SPILL_STEPS as SPILL_STEPS
from ._line_states import STEPS as STEPS
from ._line_states import Spill as Spill
from ._line_states import SpillStep as SpillStep
from ._line_states import State as State
from ._line_states import Step as Step
from ._queue_handler import QueueHandler as QueueHandler
from ._queue_turn import TurnTooLong as TurnTooLong
from ._resident import PHASE_STEPS as PHASE_STEPS
from ._resident import Phase as Phase
from ._resident import PhaseStep as PhaseStep
from ._resident import Resident as Resident
from ._residents import Residents as Residents
