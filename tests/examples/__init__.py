"""Tests of the examples: every one is run as a user runs it."""
