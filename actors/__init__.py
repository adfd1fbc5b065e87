"""The actor model on pure Trio: no database, no I/O.

`understudy.runtime` stands on this package; this package never imports it.
"""

from ._actor import actor as actor
from ._actor import apply as apply
from ._actor import decide as decide
from ._app import App as App
from ._backoff import Backoff as Backoff
from ._command import Command as Command
from ._command import command as command
from ._decision import Decision as Decision
from ._decision import decision_of as decision_of
from ._decision import run_decider as run_decider
from ._definition import ActorDefinition as ActorDefinition
from ._definition import Decider as Decider
from ._definition import definition_of as definition_of
from ._definition import is_actor as is_actor
from ._effects import Effects as Effects
from ._effects import Enqueue as Enqueue
from ._effects import Stop as Stop
from ._effects import Tell as Tell
from ._effects import actor_name as actor_name
from ._errors import DecodeError as DecodeError
from ._errors import DefinitionError as DefinitionError
from ._errors import EffectError as EffectError
from ._errors import InvalidKey as InvalidKey
from ._errors import OutcomeUnknown as OutcomeUnknown
from ._errors import PayloadTooLarge as PayloadTooLarge
from ._errors import Rejected as Rejected
from ._errors import Undecodable as Undecodable
from ._errors import UnderstudyError as UnderstudyError
from ._errors import Unencodable as Unencodable
from ._errors import UnknownName as UnknownName
from ._event import event as event
from ._handler import HandlerDefinition as HandlerDefinition
from ._keys import check_key as check_key
from ._keys import check_name as check_name
from ._limits import Limits as Limits
from ._outcome import Dead as Dead
from ._outcome import Done as Done
from ._outcome import Outcome as Outcome
from ._outcome import Refused as Refused
from ._outcome import RetryAt as RetryAt
from ._outcome import judge as judge
from ._recovery import fold as fold
from ._retry import Retry as Retry
from ._turn import DecideTurn as DecideTurn
from ._turn import Turn as Turn
from .codec import Codec as Codec
from .codec import Drift as Drift
from .codec import Encoded as Encoded
from .codec import Fingerprint as Fingerprint
from .codec import StoredName as StoredName
from .codec import find_drift as find_drift
from .codec import reply_type as reply_type
