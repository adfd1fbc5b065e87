"""Measurements; each prints what it measured."""
