"""How much of the program the tests would miss: a small change is made in a copy, and some test must fail. Each that none sees
is a question: a gap, an equal program, or code that nobody needs.

`python -m tests.rigs.mutation --sample 300 --seed 1` (the extra `proof`) draws that many changes from core/, ledger/ and run/, prints
the share that was seen and lists the rest. It goes on where it was stopped.
"""
