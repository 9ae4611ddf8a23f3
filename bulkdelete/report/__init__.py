"""What this program shows, one module per thing, its text and its JSON side by side.

| module | shows |
|---|---|
| `proposal.py` | what a run would send, the question before it, and the rejected rows |
| `progress.py` | a run in progress: its events as lines of a log, and how far it is |
| `summary.py` | how a run ended, and what to do next |
| `status.py` | what a ledger says now |
| `verification.py` | what a verification found |
| `messages.py` | what the server said about the orders that it did not delete |
| `results.py`, `export.py` | one row per order, in the formats of `formats.py`: `csv_rows.py`, `jsonl_rows.py`, `xlsx_rows.py` |
| `page/` | a ledger as one HTML page: outcomes, doubts, refusals, throughput, runs |
| `joined.py` | copies of inputs with the results of their orders: `joined_text.py`, `joined_book.py` |
| `walk.py` | every order of a ledger, page by page, for the others |
| `spreadsheet.py`, `workbook.py` | cells that no spreadsheet treats as a formula, in a text and in a workbook |

A rendering is a function of values: it reads nothing, writes nothing, and does not know how a command or an option is spelled; where
its text names one, the command line passes the spelling. Words, numbers and escaping come from `bulkdelete/words.py`.

To add an output format of an export: a file here whose function writes pages of rows, and its row in `formats.py`.
To show a thing in one more form: a function beside its text and its JSON.
"""

from __future__ import annotations

__all__: list[str] = []
