-- Where lists stood before they were made again, or healed, further on than that.
CREATE TABLE formers (
  parent TEXT    NOT NULL,
  kind   TEXT    NOT NULL,
  ts     INTEGER NOT NULL,
  PRIMARY KEY (parent, kind)
) STRICT, WITHOUT ROWID;

-- Lists that somebody moved beyond what a client may choose (the end of the year 8999;
-- for lists that nobody owns a day ahead, where the clock is set), brought back to now.
-- What is in them keeps its order. What they stood at is kept, so that whoever
-- still comes with it is shown everything.

CREATE TABLE ailing AS
SELECT pk, parent, kind, was, bound, max(now, coalesce((SELECT max(o.ts) FROM objects AS o WHERE o.list = l.pk AND o.ts <= l.bound), 0)) AS ts
FROM (
  SELECT lists.pk, lists.parent, lists.kind, lists.ts AS was, clock.now,
    iif(lists.kind IN ('bucket', 'account') AND clock.now >= 1793491200000, clock.now + 86400000, 221845391999999) AS bound
  FROM lists, (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now) AS clock
  WHERE lists.kind <> 'dead') AS l
WHERE was > bound;

-- JavaScript rounds such numbers, by one at most.
INSERT INTO formers (parent, kind, ts) SELECT parent, kind, was + 1 FROM ailing;

CREATE TABLE healed (object INTEGER PRIMARY KEY, list INTEGER NOT NULL, ts INTEGER NOT NULL);

INSERT INTO healed (object, list, ts)
SELECT objects.pk, objects.list, ailing.ts + row_number() OVER (PARTITION BY objects.list ORDER BY objects.ts)
FROM ailing JOIN objects ON objects.list = ailing.pk AND objects.ts > ailing.bound;

-- By way of numbers that nothing has, so that no two are the same in between.
UPDATE objects SET ts = -1 - healed.ts FROM healed WHERE objects.pk = healed.object;
UPDATE objects SET ts = -1 - ts WHERE pk IN (SELECT object FROM healed);

UPDATE lists SET ts = ailing.ts + (SELECT count(*) FROM healed WHERE healed.list = ailing.pk), version = version + 1
FROM ailing WHERE lists.pk = ailing.pk;

DROP TABLE healed;
DROP TABLE ailing;

-- Histories tell of such timestamps: as changes of when the entry was made.
CREATE TABLE told AS
SELECT pk, list, at FROM (
  SELECT objects.pk, objects.list, objects.data,
    instr(data, '"target":{"data":{"id":"') + instr(substr(data, instr(data, '"target":{"data":{"id":"')), '","last_modified":') - 1 + length('","last_modified":') AS at
  FROM lists JOIN objects ON objects.list = lists.pk
  WHERE lists.kind = 'history' AND objects.deleted = 0 AND instr(data, '"target":{"data":{"id":"') > 0)
WHERE CAST(substr(data, at, 20) AS INTEGER) > 221845391999999;

UPDATE objects SET data = substr(data, 1, told.at - 1) || ts || ltrim(substr(data, told.at), '0123456789')
FROM told WHERE objects.pk = told.pk;

UPDATE lists SET version = version + 1, bytes = (SELECT coalesce(sum(octet_length(data)), 0) FROM objects WHERE list = lists.pk AND deleted = 0)
WHERE pk IN (SELECT list FROM told);

DROP TABLE told;
