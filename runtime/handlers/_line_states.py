"""The states of the line of a key, and what leads from one to another. Pure.

A line is in one of four states:

    FREE    nothing is in work
    BUSY    its first is in work
    HELD    its first failed, and waits for its time or until it is resumed; the others wait behind it
    CLOSED  nothing can be handled: what comes stays in the mailbox (a broken actor)

    step        from           to
    BEGIN       FREE           BUSY
    END         BUSY           FREE     its outcome is with the writer, or there is none
    PUT_OFF     BUSY           FREE     it could not begin yet, and is the first again
    HOLD        BUSY           HELD
    RELEASE     HELD           FREE     it may begin again, and is the first again
    WITHDRAW    HELD           FREE     that it failed was not stored: it did not fail
    CLOSE       FREE           CLOSED
    REOPEN      CLOSED         FREE

A line that is HELD keeps a bounded number of messages in memory, which take up no room of the mailbox, so
that other keys can go on. What is beyond the bound is *set aside*: dropped from memory, and read again from
the mailbox once the line is empty. Beside its state, a line says how far that is:

    WHOLE       nothing of it was dropped
    ASIDE       some was dropped: what comes later is dropped as well, or it would overtake
    REREADING   the key is being read again from its first message, by the reading of one number

    step        from           to
    DROP        any            ASIDE
    READ        ASIDE          REREADING
    CAUGHT_UP   REREADING      WHOLE
    FORGET      any            WHOLE    the line is closed, and read again when it is reopened; or it leaves
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """What becomes of a line's first."""

    FREE = 0
    BUSY = 1
    HELD = 2
    CLOSED = 3


class Step(IntEnum):
    """What happens to a line's first."""

    BEGIN = 0
    END = 1
    PUT_OFF = 2
    HOLD = 3
    RELEASE = 4
    WITHDRAW = 5
    CLOSE = 6
    REOPEN = 7


STEPS: Final = {
    Step.BEGIN: {State.FREE: State.BUSY},
    Step.END: {State.BUSY: State.FREE},
    Step.PUT_OFF: {State.BUSY: State.FREE},
    Step.HOLD: {State.BUSY: State.HELD},
    Step.RELEASE: {State.HELD: State.FREE},
    Step.WITHDRAW: {State.HELD: State.FREE},
    Step.CLOSE: {State.FREE: State.CLOSED},
    Step.REOPEN: {State.CLOSED: State.FREE},
}


class Spill(IntEnum):
    """Whether messages of a line were dropped from memory."""

    WHOLE = 0
    ASIDE = 1
    REREADING = 2


class SpillStep(IntEnum):
    """What happens to what was dropped."""

    DROP = 0
    READ = 1
    CAUGHT_UP = 2
    FORGET = 3


SPILL_STEPS: Final = {
    SpillStep.DROP: dict.fromkeys(Spill, Spill.ASIDE),
    SpillStep.READ: {Spill.ASIDE: Spill.REREADING},
    SpillStep.CAUGHT_UP: {Spill.REREADING: Spill.WHOLE},
    SpillStep.FORGET: dict.fromkeys(Spill, Spill.WHOLE),
}

# Every message passes here, and to look a member up in its enumeration takes longer than a step.
FREE, BUSY, HELD, CLOSED = State
BEGIN, END, PUT_OFF, HOLD, RELEASE, WITHDRAW, CLOSE, REOPEN = Step
WHOLE, ASIDE, REREADING = Spill
DROP, READ, CAUGHT_UP, FORGET = SpillStep
