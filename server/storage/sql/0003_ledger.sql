-- What each list holds, counted; where purged lists left off; whose buckets are
-- whose; notes that end; attachments.

ALTER TABLE lists ADD COLUMN live       INTEGER NOT NULL DEFAULT 0; -- objects
ALTER TABLE lists ADD COLUMN tombstones INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lists ADD COLUMN bytes      INTEGER NOT NULL DEFAULT 0; -- of the data of live objects
ALTER TABLE lists ADD COLUMN files      INTEGER NOT NULL DEFAULT 0; -- bytes of attachments

UPDATE lists SET (live, tombstones, bytes) = (
  SELECT count(*) - coalesce(sum(deleted), 0), coalesce(sum(deleted), 0), coalesce(sum(octet_length(data)), 0)
  FROM objects WHERE list = lists.pk)
WHERE kind <> 'dead';

-- The timestamps that purged lists had, until they are made again. Those that are
-- long past are one row, '#'.
CREATE TABLE floors (
  parent TEXT    NOT NULL,
  kind   TEXT    NOT NULL,
  ts     INTEGER NOT NULL,
  PRIMARY KEY (parent, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX floors_by_ts ON floors (ts);

CREATE TABLE owners (
  bucket TEXT PRIMARY KEY,  -- its URI
  owner  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX owners_by_owner ON owners (owner);

CREATE TABLE notes (
  key   TEXT    PRIMARY KEY,
  value BLOB    NOT NULL,
  until INTEGER NOT NULL  -- milliseconds
) STRICT;

CREATE INDEX notes_by_until ON notes (until);

CREATE TABLE files (
  location TEXT    PRIMARY KEY,
  list     INTEGER NOT NULL,
  id       TEXT    NOT NULL,
  hash     TEXT    NOT NULL,
  size     INTEGER NOT NULL,
  type     TEXT    NOT NULL,
  name     TEXT    NOT NULL,
  UNIQUE (list, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX files_by_hash ON files (hash);
