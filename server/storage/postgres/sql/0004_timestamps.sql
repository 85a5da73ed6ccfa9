-- Where lists stood before they were made again, further on than that.
CREATE TABLE formers (
  parent TEXT   COLLATE "C" NOT NULL,
  kind   TEXT   COLLATE "C" NOT NULL,
  ts     BIGINT NOT NULL,
  PRIMARY KEY (parent, kind)
);
