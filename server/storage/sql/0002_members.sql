-- Who is in which group.

CREATE TABLE members (
  member TEXT    NOT NULL,  -- a principal
  list   INTEGER NOT NULL,  -- of the group
  id     TEXT    NOT NULL,
  PRIMARY KEY (member, list, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_of ON members (list, id);
