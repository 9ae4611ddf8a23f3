"""Rig O: the real command runs in a process of its own, and something befalls it from outside: its ledger's file, a lock, a reader.

An event is one value of `events.EVENTS`. The command is let to its end and resumed as its exit code says; then the ledger is compared
with the server's journal, and the exit code and the texts with what the event allows.
"""
