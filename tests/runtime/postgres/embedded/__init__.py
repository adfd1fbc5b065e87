"""Tests of runtime/postgres/embedded."""
