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

-- A stream gets its number with its first commit. Its home is empty until it
-- has an event.
CREATE TABLE streams (
    no   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    home TEXT NOT NULL
) STRICT;

-- The log in the order in which it was written, one row per event. The first
-- row of a commit also holds its request: the columns from request_id on, null
-- in the other rows; last is the seq of the commit's last event. A request that
-- changed nothing is a row without position, seq and event.
--
-- The newest row of a stream is its head, and that of a partition is its end:
-- nothing else is written for a commit.
CREATE TABLE events (
    key            INTEGER PRIMARY KEY,
    partition      INTEGER NOT NULL,
    position       INTEGER,
    stream         INTEGER NOT NULL,
    seq            INTEGER,
    id             BLOB,
    type           TEXT,
    at             INTEGER,
    audience       TEXT,
    count          INTEGER,
    data           TEXT,
    content        TEXT,
    data_salt      BLOB,
    content_salt   BLOB,
    content_commit BLOB,
    prev           BLOB,
    chain          BLOB,
    erased         INTEGER,
    request_id     TEXT,
    actor          TEXT,
    salt           BLOB,
    fingerprint    BLOB,
    last           INTEGER,
    decided        INTEGER,
    CHECK (seq IS NULL OR position IS NOT NULL AND id IS NOT NULL AND type IS NOT NULL AND at IS NOT NULL
        AND audience IS NOT NULL AND count IS NOT NULL AND data IS NOT NULL AND data_salt IS NOT NULL
        AND content_commit IS NOT NULL AND prev IS NOT NULL AND chain IS NOT NULL AND erased IS NOT NULL),
    CHECK ((request_id IS NULL) = (actor IS NULL) AND (request_id IS NULL) = (decided IS NULL))
) STRICT;

CREATE UNIQUE INDEX events_seq ON events (stream, seq) WHERE seq IS NOT NULL;

CREATE INDEX events_position ON events (partition, position) WHERE position IS NOT NULL;

-- request_id comes first because ids that clients make sort by time: new
-- entries then fall on one page.
CREATE UNIQUE INDEX events_request ON events (request_id, stream, actor) WHERE request_id IS NOT NULL;

CREATE INDEX events_unchanged ON events (key) WHERE position IS NULL;

CREATE TRIGGER events_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- Two changes are allowed: an event is erased, or a request is blinded. IS
-- and not =: a condition that is null would let a change pass.
CREATE TRIGGER events_never_changed BEFORE UPDATE ON events
WHEN NOT (
    NEW.key IS OLD.key AND NEW.partition IS OLD.partition AND NEW.position IS OLD.position
    AND NEW.stream IS OLD.stream AND NEW.seq IS OLD.seq AND NEW.id IS OLD.id AND NEW.type IS OLD.type
    AND NEW.at IS OLD.at AND NEW.audience IS OLD.audience AND NEW.count IS OLD.count AND NEW.data IS OLD.data
    AND NEW.data_salt IS OLD.data_salt AND NEW.content_commit IS OLD.content_commit
    AND NEW.prev IS OLD.prev AND NEW.chain IS OLD.chain
    AND NEW.request_id IS OLD.request_id AND NEW.actor IS OLD.actor AND NEW.last IS OLD.last AND NEW.decided IS OLD.decided
    AND (
        OLD.seq IS NOT NULL AND NEW.content IS NULL AND NEW.content_salt IS NULL AND NEW.erased IS 1
            AND NEW.salt IS OLD.salt AND NEW.fingerprint IS OLD.fingerprint
        OR NEW.salt IS NULL AND NEW.fingerprint IS NULL
            AND NEW.content IS OLD.content AND NEW.content_salt IS OLD.content_salt AND NEW.erased IS OLD.erased
    )
)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- INSERT OR REPLACE deletes rows, and asks the trigger on DELETE only where
-- recursive_triggers is on. Connections of gotong turn it on, and have the
-- collation; those of other programs lack it, and so cannot insert at all.
CREATE TRIGGER events_only_by_gotong BEFORE INSERT ON events
WHEN '' <> '' COLLATE "only gotong appends to the log"
BEGIN SELECT RAISE(FAIL, 'the log is append-only'); END;

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

-- A dead job is kept for people and never claimed. While a job is leased, again is
-- when it was put again; else 0.
CREATE TABLE jobs (
    queue   TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    due     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    claims  INTEGER NOT NULL,
    lease   INTEGER NOT NULL,
    dead    INTEGER NOT NULL,
    error   TEXT    NOT NULL,
    body    BLOB    NOT NULL,
    again   INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_due ON jobs (queue, max(due, lease), id) WHERE dead = 0;

CREATE INDEX jobs_leased ON jobs (queue, lease) WHERE lease > 0;

-- For people: SELECT * FROM log WHERE stream = 'thread/…' ORDER BY seq.
CREATE VIEW log AS
SELECT s.name AS stream, e.seq, e.partition, e.position,
       lower(substr(hex(e.id), 1, 8) || '-' || substr(hex(e.id), 9, 4) || '-' || substr(hex(e.id), 13, 4)
             || '-' || substr(hex(e.id), 17, 4) || '-' || substr(hex(e.id), 21)) AS id,
       e.type,
       strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%06dZ', e.at % 1000000) AS at,
       json_extract(e.data, '$.actor.user_id') AS actor,
       e.audience, e.count, e.data, e.content, e.erased,
       lower(hex(e.chain)) AS chain
FROM events e JOIN streams s ON s.no = e.stream
WHERE e.seq IS NOT NULL;

CREATE VIEW requests AS
SELECT s.name AS stream, e.actor, e.request_id, e.partition, e.position, e.seq AS first, e.last,
       strftime('%Y-%m-%dT%H:%M:%S', e.decided / 1000000, 'unixepoch') || printf('.%06dZ', e.decided % 1000000) AS at
FROM events e JOIN streams s ON s.no = e.stream
WHERE e.request_id IS NOT NULL;
