-- The log of changes, as long as somebody follows it: what each commit changed, kept with
-- it. The lines are those of package changelog.

CREATE TABLE changes (
  seq  INTEGER PRIMARY KEY,
  at   INTEGER NOT NULL,  -- milliseconds
  sum  BLOB    NOT NULL,  -- of the sum before it and of lines
  body BLOB    NOT NULL   -- lines
) STRICT;

-- Where the log begins: what is not behind it in changes waits to be swept.
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL,
  sum BLOB    NOT NULL
) STRICT;

INSERT INTO log (one, seq, sum) VALUES (1, 0, randomblob(16));

-- Who follows, and up to where they have everything. Nothing is kept for nobody.
CREATE TABLE followers (
  name TEXT    PRIMARY KEY,
  seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
