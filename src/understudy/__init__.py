"""Understudy: event-sourced actors on Trio, kept by PostgreSQL."""

from understudy import _interrupt as _interrupt

# isort: split
# That stands first because what follows takes a while.
from understudy.actors import App as App
from understudy.actors import Backoff as Backoff
from understudy.actors import Child as Child
from understudy.actors import Command as Command
from understudy.actors import DecideTurn as DecideTurn
from understudy.actors import DecodeError as DecodeError
from understudy.actors import DefinitionError as DefinitionError
from understudy.actors import EffectError as EffectError
from understudy.actors import Effects as Effects
from understudy.actors import Enqueue as Enqueue
from understudy.actors import InvalidKey as InvalidKey
from understudy.actors import Limits as Limits
from understudy.actors import OutcomeUnknown as OutcomeUnknown
from understudy.actors import PayloadTooLarge as PayloadTooLarge
from understudy.actors import Rejected as Rejected
from understudy.actors import Retry as Retry
from understudy.actors import Stop as Stop
from understudy.actors import Stopping as Stopping
from understudy.actors import Supervisor as Supervisor
from understudy.actors import Tell as Tell
from understudy.actors import Turn as Turn
from understudy.actors import Undecodable as Undecodable
from understudy.actors import UnderstudyError as UnderstudyError
from understudy.actors import Unencodable as Unencodable
from understudy.actors import UnknownName as UnknownName
from understudy.actors import actor as actor
from understudy.actors import apply as apply
from understudy.actors import command as command
from understudy.actors import decide as decide
from understudy.actors import event as event
from understudy.runtime import Runtime as Runtime
from understudy.runtime import Settings as Settings
from understudy.runtime import open_runtime as open_runtime
