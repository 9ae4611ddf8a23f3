"""The ledger as text, JSON and CSV. It only reads, through a connection that cannot write, beside a run or at rest."""
