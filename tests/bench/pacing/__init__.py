"""The pacing benchmark: clients against server models, in virtual time, beside the best possible schedule.

world.py runs one client against one server; servers.py and best.py are pure; ours.py and peers.py are the clients;
scenarios.py names servers and goals. `python -m tests.bench.pacing --help`.
"""
