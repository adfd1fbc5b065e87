"""Exactly once under fire: each test has a control, in which the same check must find violations."""
