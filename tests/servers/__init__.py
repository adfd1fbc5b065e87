"""Real primaries and standbys under fire: what becomes of a runtime whose server crashes, moves or forgets.

The bed: `installation` finds PostgreSQL's programs; `processes` kills and freezes all of one server at once;
`server` is one server; `cluster` is a primary `a` and its standby `b`. `test_bed` tests the bed.

The load: `office` is the app, `load` sends to it and asks it, `records` notes what was acknowledged and
judges what a server still knows; `scene` has the steps that scenarios share; `worker` is another process.

The scenarios, each module beside its tests:

- `forgetting`: a server that does not flush is killed, whole or by one backend, and is the same server.
- `switching`: planned switchovers; the old primary stays as a standby; one address that moves.
- `losing`: the primary dies; its standby lags, or is synchronous, or was away while commits waited.
- `doubling`: the old primary is there beside the new one; a frozen one wakes.
- `ending`: sessions end, and the server stays.
- `fleets`: several processes over the same.
- `test_standby_alone`: nobody takes writes.

The judges: no journal has a hole, nothing is parked, dead or broken; what is durable happened whole, once,
and in the order of its sender; what was acknowledged is there, or, where a server may forget, the last of it
is missing and nothing else; an ask is answered within `BACK` seconds after there is a primary; nobody writes
to, or keeps a session on, a server that is not the right one.

`weakening` says what the controls take away.
`make servers` also runs `test_longer` and `test_controls`, and has the scenarios go more rounds.
"""
