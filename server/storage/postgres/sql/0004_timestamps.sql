-- Where lists stood before they were made again, or healed, further on than that.
CREATE TABLE formers (
  parent TEXT   COLLATE "C" NOT NULL,
  kind   TEXT   COLLATE "C" NOT NULL,
  ts     BIGINT NOT NULL,
  PRIMARY KEY (parent, kind)
);

-- Lists that somebody moved beyond what a client may choose (the end of the year 8999;
-- for lists that nobody owns a day ahead, where the clock is set), brought back to now.
-- What is in them keeps its order. What they stood at is kept, so that whoever
-- still comes with it is shown everything.

CREATE TABLE ailing AS
SELECT pk, parent, kind, was, bound, greatest(now, (SELECT max(o.ts) FROM objects AS o WHERE o.list = l.pk AND o.ts <= l.bound)) AS ts
FROM (
  SELECT lists.pk, lists.parent, lists.kind, lists.ts AS was, clock.now,
    CASE WHEN lists.kind IN ('bucket', 'account') AND clock.now >= 1793491200000 THEN clock.now + 86400000 ELSE 221845391999999 END AS bound
  FROM lists, (SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now) AS clock
  WHERE lists.kind <> 'dead') AS l
WHERE was > bound;

-- JavaScript rounds such numbers, by one at most.
INSERT INTO formers (parent, kind, ts) SELECT parent, kind, was + 1 FROM ailing;

CREATE TABLE healed AS
SELECT objects.list, objects.id, ailing.ts + row_number() OVER (PARTITION BY objects.list ORDER BY objects.ts) AS ts
FROM ailing JOIN objects ON objects.list = ailing.pk AND objects.ts > ailing.bound;

-- By way of numbers that nothing has, so that no two are the same in between.
UPDATE objects SET ts = -1 - healed.ts FROM healed WHERE objects.list = healed.list AND objects.id = healed.id;
UPDATE objects SET ts = healed.ts FROM healed WHERE objects.list = healed.list AND objects.id = healed.id;

UPDATE lists SET ts = ailing.ts + (SELECT count(*) FROM healed WHERE healed.list = ailing.pk)
FROM ailing WHERE lists.pk = ailing.pk;

DROP TABLE healed;
DROP TABLE ailing;

-- Histories tell of such timestamps: as changes of when the entry was made.
CREATE TABLE told AS
SELECT objects.list, objects.id FROM lists JOIN objects ON objects.list = lists.pk
WHERE lists.kind = 'history' AND NOT objects.deleted
  AND substring(data FROM '"target":\{"data":\{"id":"[^"]*","last_modified":([0-9]+)')::numeric > 221845391999999;

UPDATE objects SET data = regexp_replace(data, '("target":\{"data":\{"id":"[^"]*","last_modified":)[0-9]+', '\1' || ts)
FROM told WHERE objects.list = told.list AND objects.id = told.id;

UPDATE lists SET bytes = (SELECT coalesce(sum(octet_length(data)), 0) FROM objects WHERE list = lists.pk AND NOT deleted)
WHERE pk IN (SELECT list FROM told);

DROP TABLE told;

UPDATE generation SET n = (random() * 1e15)::bigint;
