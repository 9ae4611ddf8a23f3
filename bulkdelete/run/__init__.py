"""The run: what is sent, when, and when it stops. Read `pipeline.py` first."""
