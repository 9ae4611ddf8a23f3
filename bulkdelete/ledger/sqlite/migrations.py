"""The text of every released format of a ledger. Frozen: it is never changed, and never built from anything that may change.

A new format adds a migration to the end. `:host` is the server of the run that brings a ledger to it, and `crc` the function of
schema.py, which is part of every format.
"""

from __future__ import annotations

__all__ = ["CHECKED_SINCE", "MIGRATIONS", "PACE_SINCE", "RULED_SINCE", "VERSION"]

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE states (state INTEGER PRIMARY KEY, outcome TEXT NOT NULL UNIQUE);
INSERT INTO states VALUES (0, 'pending'), (1, 'failed'), (2, 'in_doubt'), (3, 'deleted'), (4, 'presumed_deleted'),
  (5, 'not_found'), (6, 'refused');
CREATE TABLE inputs (
  input_id INTEGER PRIMARY KEY, path TEXT NOT NULL, sha256 TEXT NOT NULL, confirmed_ms INTEGER NOT NULL,
  data_rows INTEGER NOT NULL, orders INTEGER NOT NULL, duplicates INTEGER NOT NULL, rejects INTEGER NOT NULL,
  skipped INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE runs (
  run_id INTEGER PRIMARY KEY, version TEXT NOT NULL, options TEXT NOT NULL, started_ms INTEGER NOT NULL,
  stopped_ms INTEGER, why TEXT, crc INTEGER NOT NULL);
CREATE TABLE orders (
  account_id INTEGER NOT NULL, order_id INTEGER NOT NULL, revert_stock INTEGER NOT NULL,
  state INTEGER NOT NULL REFERENCES states, selected INTEGER NOT NULL, doubtful INTEGER NOT NULL,
  attempts INTEGER NOT NULL, input_id INTEGER NOT NULL, line INTEGER NOT NULL,
  first_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, crc INTEGER NOT NULL,
  PRIMARY KEY (account_id, order_id)) WITHOUT ROWID;
CREATE TABLE intents (
  account_id INTEGER NOT NULL, order_id INTEGER NOT NULL, run_id INTEGER NOT NULL, intended_ms INTEGER NOT NULL,
  crc INTEGER NOT NULL, PRIMARY KEY (account_id, order_id)) WITHOUT ROWID;
CREATE TABLE attempts (
  account_id INTEGER NOT NULL, order_id INTEGER NOT NULL, n INTEGER NOT NULL, run_id INTEGER NOT NULL,
  intended_ms INTEGER NOT NULL, answered_ms INTEGER, sent INTEGER, status INTEGER, outcome INTEGER REFERENCES states,
  message TEXT NOT NULL, latency_ms INTEGER, crc INTEGER NOT NULL,
  PRIMARY KEY (account_id, order_id, n)) WITHOUT ROWID;
CREATE TABLE counts (
  account_id INTEGER NOT NULL, selected INTEGER NOT NULL, state INTEGER NOT NULL REFERENCES states,
  orders INTEGER NOT NULL, PRIMARY KEY (account_id, selected, state)) WITHOUT ROWID;
"""

_VIEWS = """
CREATE VIEW results AS
  SELECT o.account_id, o.order_id,
    CASE WHEN i.order_id IS NULL THEN s.outcome ELSE 'in_doubt' END AS outcome,
    a.status AS http_status, coalesce(a.message, '') AS message, o.attempts,
    CASE o.revert_stock WHEN 1 THEN 'true' ELSE 'false' END AS revert_stock,
    n.path AS file, o.line,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.first_ms / 1000.0, 'unixepoch') AS first_seen,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.changed_ms / 1000.0, 'unixepoch') AS changed
  FROM orders o JOIN states s USING (state) JOIN inputs n USING (input_id)
    LEFT JOIN intents i ON i.account_id = o.account_id AND i.order_id = o.order_id
    LEFT JOIN attempts a ON a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts;
CREATE VIEW failures AS SELECT * FROM results WHERE outcome IN ('refused', 'failed');
CREATE VIEW in_doubt AS SELECT * FROM results WHERE outcome = 'in_doubt';
CREATE VIEW summary AS
  SELECT s.outcome, sum(c.orders) AS orders FROM (
    SELECT state, orders FROM counts
    UNION ALL SELECT 2, 1 FROM intents
    UNION ALL SELECT o.state, -1 FROM intents JOIN orders o USING (account_id, order_id)) c
  JOIN states s USING (state) GROUP BY s.state HAVING sum(c.orders) <> 0;
CREATE VIEW timeline AS
  SELECT strftime('%Y-%m-%dT%H:%M:%fZ', a.intended_ms / 1000.0, 'unixepoch') AS intended,
    strftime('%Y-%m-%dT%H:%M:%fZ', a.answered_ms / 1000.0, 'unixepoch') AS answered,
    a.run_id, a.account_id, a.order_id, a.n AS attempt, a.sent, a.status AS http_status,
    s.outcome, a.message, a.latency_ms
  FROM attempts a LEFT JOIN states s ON s.state = a.outcome ORDER BY a.intended_ms, a.account_id, a.order_id, a.n;
"""

# The key is not in here: a fingerprint says only which of several limits a row is about (api/keys.py).
_PACE = """
CREATE TABLE pace (
  host TEXT NOT NULL, endpoint TEXT NOT NULL, fingerprint TEXT NOT NULL, rate_per_s REAL NOT NULL, burst REAL NOT NULL,
  learned_ms INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (host, endpoint, fingerprint)) WITHOUT ROWID;
"""

# The server's path joins its identity, counts and meta get their CRC, and a run that begins reads neither settled orders nor old
# attempts. The counts are made from the orders, which were checked just before: a ledger of an earlier format is checked whole.
_CHECKED = """
DROP TABLE meta;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('host', :host, crc('host', :host));
DROP TABLE counts;
CREATE TABLE counts (
  account_id INTEGER NOT NULL, selected INTEGER NOT NULL, state INTEGER NOT NULL REFERENCES states,
  orders INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (account_id, selected, state)) WITHOUT ROWID;
INSERT INTO counts SELECT account_id, selected, state, count(*), crc(account_id, selected, state, count(*))
  FROM orders GROUP BY account_id, selected, state;
CREATE INDEX open_orders ON orders (account_id, order_id) WHERE state < 3;
CREATE INDEX attempts_by_time ON attempts (intended_ms);
"""

# Who began a run; what the API showed of an order when it was looked up; and every change of an order's state that no attempt made.
# Until now a retry left no trace: each refusal, or not found, that was not the last word of its order was followed by one.
_RULED = """
CREATE TABLE callers (
  run_id INTEGER PRIMARY KEY, user TEXT NOT NULL, host_name TEXT NOT NULL, note TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE lookups (
  account_id INTEGER NOT NULL, order_id INTEGER NOT NULL, looked_ms INTEGER NOT NULL, present INTEGER NOT NULL, seen_ms INTEGER,
  external_id TEXT NOT NULL, marketplace TEXT NOT NULL, channel TEXT NOT NULL, status TEXT NOT NULL, created TEXT NOT NULL,
  total TEXT NOT NULL, currency TEXT NOT NULL, stock TEXT NOT NULL, crc INTEGER NOT NULL,
  PRIMARY KEY (account_id, order_id)) WITHOUT ROWID;
CREATE INDEX shown_orders ON lookups (account_id) WHERE seen_ms IS NOT NULL;
CREATE TABLE rulings (
  account_id INTEGER NOT NULL, order_id INTEGER NOT NULL, n INTEGER NOT NULL, after_n INTEGER NOT NULL, run_id INTEGER,
  ruled_ms INTEGER NOT NULL, outcome INTEGER NOT NULL REFERENCES states, source TEXT NOT NULL, who TEXT NOT NULL, note TEXT NOT NULL,
  crc INTEGER NOT NULL, PRIMARY KEY (account_id, order_id, n)) WITHOUT ROWID;
INSERT INTO rulings SELECT account_id, order_id, n, after_n, NULL, ruled_ms, 0, 'retry', '', '',
    crc(account_id, order_id, n, after_n, NULL, ruled_ms, 0, 'retry', '', '')
  FROM (SELECT a.account_id, a.order_id, a.n AS after_n, coalesce(a.answered_ms, a.intended_ms) AS ruled_ms,
      (SELECT count(*) FROM attempts e
        WHERE e.account_id = a.account_id AND e.order_id = a.order_id AND e.n < a.n AND e.outcome IN (5, 6)) AS n
    FROM attempts a JOIN orders o USING (account_id, order_id)
    WHERE a.outcome IN (5, 6) AND (a.n < o.attempts OR o.state = 0));
INSERT INTO meta SELECT 'rulings', CAST(count(*) AS TEXT), crc('rulings', CAST(count(*) AS TEXT)) FROM rulings;
DROP VIEW results;
CREATE VIEW results AS
  SELECT o.account_id, o.order_id,
    CASE WHEN i.order_id IS NULL THEN s.outcome ELSE 'in_doubt' END AS outcome,
    a.status AS http_status,
    coalesce(CASE r.source
        WHEN 'person' THEN CASE r.outcome WHEN 0 THEN 'kept' ELSE 'gone' END || ', says ' || r.who
        WHEN 'lookup' THEN CASE r.outcome WHEN 0 THEN 'present' ELSE 'absent' END || ' when looked up'
      END || CASE r.note WHEN '' THEN '' ELSE ': ' || r.note END, a.message, '') AS message,
    o.attempts,
    CASE o.revert_stock WHEN 1 THEN 'true' ELSE 'false' END AS revert_stock,
    n.path AS file, o.line,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.first_ms / 1000.0, 'unixepoch') AS first_seen,
    strftime('%Y-%m-%dT%H:%M:%fZ', o.changed_ms / 1000.0, 'unixepoch') AS changed
  FROM orders o JOIN states s USING (state) JOIN inputs n USING (input_id)
    LEFT JOIN intents i ON i.account_id = o.account_id AND i.order_id = o.order_id
    LEFT JOIN attempts a ON a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts
    LEFT JOIN rulings r ON r.account_id = o.account_id AND r.order_id = o.order_id AND r.after_n = o.attempts
      AND r.n = (SELECT max(l.n) FROM rulings l WHERE l.account_id = o.account_id AND l.order_id = o.order_id);
"""

MIGRATIONS: tuple[str, ...] = (_TABLES + _VIEWS, _PACE, _CHECKED, _RULED)
"""MIGRATIONS[n] brings a ledger from version n to n + 1; `:host` is the server of the run that does it. The version is `PRAGMA
user_version`."""

VERSION = len(MIGRATIONS)
PACE_SINCE = 2
"""The first version with the table `pace`."""
CHECKED_SINCE = 3
"""The first version whose counts and meta have a CRC, and whose host has a path."""
RULED_SINCE = 4
"""The first version that keeps callers, lookups and rulings."""
