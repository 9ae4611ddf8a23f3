"""The embedded ledger: one SQLite file. Nothing outside this package knows SQLite."""
