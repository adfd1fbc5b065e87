"""The runtime on the in-memory store, in virtual time."""
