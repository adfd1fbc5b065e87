"""The tests of Rolebook; they mirror the source."""
