"""The tests of Understudy; they mirror the source."""
