"""Tests of runtime/postgres."""
