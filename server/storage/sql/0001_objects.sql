-- Lists, objects, who was granted what, facts of the server.

-- pk is never used twice: a reader may still hold the pk of a list that is gone.
CREATE TABLE lists (
  pk     INTEGER PRIMARY KEY AUTOINCREMENT,
  parent TEXT    NOT NULL,  -- URI of the parent object; '#pk' for a list that waits to be swept
  kind   TEXT    NOT NULL,  -- 'record'…; 'dead' for a list that waits to be swept
  ts     INTEGER NOT NULL,  -- the list's timestamp, milliseconds
  UNIQUE (parent, kind)
) STRICT;

CREATE TABLE objects (
  pk          INTEGER PRIMARY KEY,
  list        INTEGER NOT NULL,
  id          TEXT    NOT NULL,
  ts          INTEGER NOT NULL,
  deleted     INTEGER NOT NULL,  -- 1: a tombstone
  data        TEXT    NOT NULL,  -- JSON object without id and last_modified; '' in a tombstone
  permissions TEXT    NOT NULL,  -- JSON object permission → principals; '' for none
  UNIQUE (list, id),
  UNIQUE (list, ts)
) STRICT;

-- The permissions column by principal: what somebody may see in a list they
-- hold nothing on as a whole.
CREATE TABLE grants (
  principal  TEXT    NOT NULL,
  list       INTEGER NOT NULL,
  id         TEXT    NOT NULL,
  permission TEXT    NOT NULL,
  PRIMARY KEY (principal, list, id, permission)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
