"""Rigs: they drive the real program through many accidents and look at what is left. tests/README.md says what each one proves.

A rig is a campaign: a function that runs so many trials from a first seed and returns a `Report`. Every rig is a command, too:
`python -m tests.rigs.NAME --first SEED --trials N` runs the same trials, prints the report and ends with 1 if a promise was broken.
"""
