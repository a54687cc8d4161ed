-- The log and what belongs to it. Instants are microseconds since 1970 in UTC,
-- hashes and salts are raw bytes, bodies are JSON text. The views at the end
-- show the same in words. Text that is a key sorts by its bytes.

CREATE TABLE meta (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- The version of the header that the chain hashes; a program that knows another
-- one rejects the database.
INSERT INTO meta VALUES ('header', '2');

-- The last position of each partition. A commit holds the lock of the row until it
-- has ended, so that positions become visible in their order.
CREATE TABLE partitions (
    no       smallint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

INSERT INTO partitions SELECT generate_series(0, 15);

-- A stream with its head, which a commit locks with everything else on which it
-- rests. A stream that has no event yet has seq 0 and an empty home.
CREATE TABLE streams (
    no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text COLLATE "C" NOT NULL UNIQUE,
    home  text NOT NULL DEFAULT '',
    seq   bigint NOT NULL DEFAULT 0,
    chain bytea,
    at    bigint NOT NULL DEFAULT 0,
    count bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- One row per event. The first row of a commit also holds its request: the columns
-- from request_id on, null in the other rows; last is the seq of the commit's last
-- event. A request that changed nothing is a row without position, seq and event.
CREATE TABLE events (
    key            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition      smallint NOT NULL CHECK (partition BETWEEN 0 AND 15),
    position       bigint,
    stream         bigint NOT NULL, -- of streams; a foreign key would cost a query for each row
    seq            bigint,
    id             uuid,
    type           text,
    at             bigint,
    audience       text,
    count          bigint,
    data           text,
    content        text,
    data_salt      bytea,
    content_salt   bytea,
    content_commit bytea,
    prev           bytea,
    chain          bytea,
    erased         boolean,
    request_id     text COLLATE "C",
    actor          text COLLATE "C",
    salt           bytea,
    fingerprint    bytea,
    last           bigint,
    decided        bigint,
    CHECK (seq IS NULL OR num_nulls(position, id, type, at, audience, count, data, data_salt, content_commit, prev,
        chain, erased) = 0),
    CHECK (num_nulls(request_id, actor, decided) IN (0, 3))
);

CREATE UNIQUE INDEX events_seq ON events (stream, seq) WHERE seq IS NOT NULL;

CREATE INDEX events_position ON events (partition, position, seq) WHERE position IS NOT NULL;

CREATE UNIQUE INDEX events_request ON events (request_id, stream, actor) WHERE request_id IS NOT NULL;

CREATE INDEX events_unchanged ON events (key) WHERE position IS NULL;

-- The triggers bind everybody, superusers too; the privileges bind the role of the
-- program a second time.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'restrict_violation'; END $$;

CREATE TRIGGER events_never_deleted BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION append_only();

CREATE TRIGGER events_never_truncated BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Two changes are allowed: an event is erased, or a request is blinded. IS DISTINCT
-- and not <>: a condition that is null would let a change pass.
CREATE TRIGGER events_never_changed BEFORE UPDATE ON events FOR EACH ROW
WHEN (
    (NEW.key, NEW.partition, NEW.position, NEW.stream, NEW.seq, NEW.id, NEW.type, NEW.at, NEW.audience, NEW.count,
     NEW.data, NEW.data_salt, NEW.content_commit, NEW.prev, NEW.chain, NEW.request_id, NEW.actor, NEW.last, NEW.decided)
    IS DISTINCT FROM
    (OLD.key, OLD.partition, OLD.position, OLD.stream, OLD.seq, OLD.id, OLD.type, OLD.at, OLD.audience, OLD.count,
     OLD.data, OLD.data_salt, OLD.content_commit, OLD.prev, OLD.chain, OLD.request_id, OLD.actor, OLD.last, OLD.decided)
    OR (
        OLD.seq IS NULL OR NEW.content IS NOT NULL OR NEW.content_salt IS NOT NULL OR NEW.erased IS NOT TRUE
        OR (NEW.salt, NEW.fingerprint) IS DISTINCT FROM (OLD.salt, OLD.fingerprint)
    ) AND (
        NEW.salt IS NOT NULL OR NEW.fingerprint IS NOT NULL
        OR (NEW.content, NEW.content_salt, NEW.erased) IS DISTINCT FROM (OLD.content, OLD.content_salt, OLD.erased)
    )
)
EXECUTE FUNCTION append_only();

REVOKE UPDATE, DELETE, TRUNCATE ON events FROM CURRENT_USER;

GRANT UPDATE (content, content_salt, erased, salt, fingerprint) ON events TO CURRENT_USER;

CREATE TABLE claims (
    space  text COLLATE "C" NOT NULL,
    name   text COLLATE "C" NOT NULL,
    stream text NOT NULL,
    PRIMARY KEY (space, name)
);

CREATE TABLE registers (
    collection text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    body       bytea  NOT NULL,
    expires    bigint NOT NULL,
    PRIMARY KEY (collection, owner, name)
) WITH (fillfactor = 70);

CREATE INDEX registers_expires ON registers (expires) WHERE expires > 0;

CREATE TABLE cursors (
    reader    text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    position  bigint   NOT NULL,
    PRIMARY KEY (reader, partition)
) WITH (fillfactor = 10);

-- A dead job is kept for people and never claimed. While a job is leased, again is
-- when it was put again; else 0.
CREATE TABLE jobs (
    queue   text COLLATE "C" NOT NULL,
    id      text COLLATE "C" NOT NULL,
    due     bigint  NOT NULL,
    attempt bigint  NOT NULL,
    crashes bigint  NOT NULL,
    claims  bigint  NOT NULL,
    lease   bigint  NOT NULL,
    dead    boolean NOT NULL,
    error   text    NOT NULL,
    body    bytea   NOT NULL,
    again   bigint  NOT NULL,
    PRIMARY KEY (queue, id)
);

CREATE INDEX jobs_due ON jobs (queue, greatest(due, lease), id) WHERE NOT dead;

CREATE INDEX jobs_leased ON jobs (queue, lease) WHERE lease > 0;

-- For people: SELECT * FROM log WHERE stream = 'thread/…' ORDER BY seq.
CREATE VIEW log AS
SELECT s.name AS stream, e.seq, e.partition, e.position, e.id, e.type,
       to_char(to_timestamp(0) AT TIME ZONE 'UTC' + e.at * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
       e.data::json #>> '{actor,user_id}' AS actor,
       e.audience, e.count, e.data, e.content, e.erased,
       encode(e.chain, 'hex') AS chain
FROM events e JOIN streams s ON s.no = e.stream
WHERE e.seq IS NOT NULL;

CREATE VIEW requests AS
SELECT s.name AS stream, e.actor, e.request_id, e.partition, e.position, e.seq AS first, e.last,
       to_char(to_timestamp(0) AT TIME ZONE 'UTC' + e.decided * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
FROM events e JOIN streams s ON s.no = e.stream
WHERE e.request_id IS NOT NULL;
