"""Understudy: event-sourced actors on Trio, kept by PostgreSQL."""
