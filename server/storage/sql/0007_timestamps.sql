-- Where lists stood before they were made again, further on than that.
CREATE TABLE formers (
  parent TEXT    NOT NULL,
  kind   TEXT    NOT NULL,
  ts     INTEGER NOT NULL,
  PRIMARY KEY (parent, kind)
) STRICT, WITHOUT ROWID;
