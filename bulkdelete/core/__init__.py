"""The core: pure functions from values to values. No clock, no random, no I/O, no logging."""
