-- The log and what belongs to it. Instants are microseconds since 1970 in UTC,
-- hashes and salts are raw bytes, bodies are JSON text. The views at the end
-- show the same in words.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The version of the header that the chain hashes; a program that knows another
-- one rejects the file.
INSERT INTO meta VALUES ('header', '2');

CREATE TABLE partitions (
    no       INTEGER PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;

-- A stream gets its number with its first commit. seq 0: only no-ops so far.
CREATE TABLE streams (
    no        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    home      TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    chain     BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    count     INTEGER NOT NULL
) STRICT;

-- The key is (streams.no << 32) | seq: the events of a stream lie together, in
-- order, and need no second index to be unique.
CREATE TABLE events (
    key            INTEGER PRIMARY KEY,
    partition      INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    id             BLOB    NOT NULL,
    type           TEXT    NOT NULL,
    at             INTEGER NOT NULL,
    audience       TEXT    NOT NULL,
    count          INTEGER NOT NULL,
    data           TEXT    NOT NULL,
    content        TEXT,
    data_salt      BLOB    NOT NULL,
    content_salt   BLOB,
    content_commit BLOB    NOT NULL,
    prev           BLOB    NOT NULL,
    chain          BLOB    NOT NULL,
    erased         INTEGER NOT NULL
) STRICT;

CREATE INDEX events_position ON events (partition, position);

CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_only_erased BEFORE UPDATE ON events
WHEN NOT (
    NEW.erased = 1 AND NEW.content IS NULL AND NEW.content_salt IS NULL
    AND NEW.key = OLD.key AND NEW.partition = OLD.partition AND NEW.position = OLD.position
    AND NEW.id = OLD.id AND NEW.type = OLD.type AND NEW.at = OLD.at
    AND NEW.audience = OLD.audience AND NEW.count = OLD.count AND NEW.data = OLD.data
    AND NEW.data_salt = OLD.data_salt AND NEW.content_commit = OLD.content_commit
    AND NEW.prev = OLD.prev AND NEW.chain = OLD.chain
)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- INSERT OR REPLACE deletes without asking the triggers on DELETE.
CREATE TRIGGER events_never_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- One row per commit, the idempotency record. request_id comes first in the key
-- because ids that clients make sort by time: new rows then fall on one page.
CREATE TABLE commits (
    request_id  TEXT    NOT NULL,
    stream      INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    salt        BLOB,
    fingerprint BLOB,
    partition   INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (request_id, stream, actor)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER commits_never_deleted BEFORE DELETE ON commits
BEGIN SELECT RAISE(ABORT, 'commits are append-only'); END;

CREATE TRIGGER commits_never_replaced BEFORE INSERT ON commits
WHEN EXISTS (SELECT 1 FROM commits WHERE request_id = NEW.request_id AND stream = NEW.stream AND actor = NEW.actor)
BEGIN SELECT RAISE(ABORT, 'commits are append-only'); END;

CREATE TRIGGER commits_only_blinded BEFORE UPDATE ON commits
WHEN NOT (
    NEW.salt IS NULL AND NEW.fingerprint IS NULL
    AND NEW.request_id = OLD.request_id AND NEW.stream = OLD.stream AND NEW.actor = OLD.actor
    AND NEW.partition = OLD.partition AND NEW.position = OLD.position
    AND NEW.first = OLD.first AND NEW.last = OLD.last AND NEW.at = OLD.at
)
BEGIN SELECT RAISE(ABORT, 'commits are append-only'); END;

CREATE TABLE claims (
    space  TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (space, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE registers (
    collection TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    expires    INTEGER NOT NULL,
    PRIMARY KEY (collection, owner, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX registers_expires ON registers (expires) WHERE expires > 0;

CREATE TABLE cursors (
    reader    TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (reader, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    queue   TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    due     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    lease   INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_due ON jobs (queue, due, id);

-- For people: SELECT * FROM log WHERE stream = 'thread/…' ORDER BY seq.
CREATE VIEW log AS
SELECT s.name AS stream,
       e.key & 0xffffffff AS seq,
       e.partition, e.position,
       lower(substr(hex(e.id), 1, 8) || '-' || substr(hex(e.id), 9, 4) || '-' || substr(hex(e.id), 13, 4)
             || '-' || substr(hex(e.id), 17, 4) || '-' || substr(hex(e.id), 21)) AS id,
       e.type,
       strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%06dZ', e.at % 1000000) AS at,
       json_extract(e.data, '$.actor.user_id') AS actor,
       e.audience, e.count, e.data, e.content, e.erased,
       lower(hex(e.chain)) AS chain
FROM events e JOIN streams s ON s.no = e.key >> 32;

CREATE VIEW requests AS
SELECT s.name AS stream, c.actor, c.request_id, c.partition, c.position, c.first, c.last,
       strftime('%Y-%m-%dT%H:%M:%S', c.at / 1000000, 'unixepoch') || printf('.%06dZ', c.at % 1000000) AS at
FROM commits c JOIN streams s ON s.no = c.stream;
