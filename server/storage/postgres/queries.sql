-- Every statement but the migrations, by name.

-- A transaction that writes. Whoever holds locks before it reads sees what was
-- committed before it got them: each statement has a snapshot of its own.
-- name: begin
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE
-- name: begin_read
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
-- name: commit
COMMIT
-- name: rollback
ROLLBACK

-- name: lock
SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k
-- name: lock_shared
SELECT pg_advisory_xact_lock_shared($1::bigint)
-- name: lock_try
SELECT pg_try_advisory_xact_lock($1::bigint)
-- name: generation
SELECT n FROM generation
-- name: generation_next
UPDATE generation SET n = $1

-- A list that is not there gets a pk to be made with, and is told where it left off.
-- name: pages
SELECT q.parent, q.kind, l.pk IS NOT NULL, coalesce(l.pk, nextval(pg_get_serial_sequence('lists', 'pk'))),
  coalesce(l.ts, 0), coalesce(l.live, 0), coalesce(l.tombstones, 0), coalesce(l.bytes, 0), coalesce(l.attached, 0), coalesce(l.files, 0),
  CASE WHEN l.pk IS NULL THEN (SELECT max(f.ts) FROM floors AS f WHERE (f.parent = q.parent AND f.kind = q.kind) OR (f.parent = '#' AND f.kind = '')) END
FROM unnest($1::text[], $2::text[]) AS q(parent, kind) LEFT JOIN lists AS l ON l.parent = q.parent AND l.kind = q.kind
-- name: list
SELECT ts, live, tombstones, bytes FROM lists WHERE parent = $1 AND kind = $2
-- name: former
SELECT ts FROM formers WHERE parent = $1 AND kind = $2
-- name: lists
SELECT parent FROM lists WHERE kind = $1 ORDER BY parent
-- name: totals
SELECT kind, sum(live)::bigint, sum(tombstones)::bigint FROM lists WHERE kind <> 'dead' GROUP BY kind

-- name: lists_add
INSERT INTO lists (pk, parent, kind, ts, live, tombstones, bytes, attached, files)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
-- name: lists_set
UPDATE lists SET ts = q.ts, live = q.live, tombstones = q.tombstones, bytes = q.bytes, attached = q.attached, files = q.files
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS q(pk, ts, live, tombstones, bytes, attached, files)
WHERE lists.pk = q.pk
-- name: floors_forget
DELETE FROM floors USING unnest($1::text[], $2::text[]) AS q(parent, kind) WHERE floors.parent = q.parent AND floors.kind = q.kind

-- name: get
SELECT o.ts, o.deleted, o.data, o.permissions FROM objects AS o
WHERE o.list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND o.id = $3
-- name: ask
SELECT g.n, q.i, o.ts, o.deleted, o.data, o.permissions
FROM generation AS g CROSS JOIN unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS q(parent, kind, id, i)
LEFT JOIN lists AS l ON l.parent = q.parent AND l.kind = q.kind LEFT JOIN objects AS o ON o.list = l.pk AND o.id = q.id
-- name: objects
SELECT o.list, o.id, o.ts, o.deleted, o.data, o.permissions
FROM unnest($1::bigint[], $2::text[]) AS q(list, id) JOIN objects AS o ON o.list = q.list AND o.id = q.id
-- name: taken
SELECT id FROM objects WHERE list = $1 AND ts = $2
-- name: put
INSERT INTO objects (list, id, ts, deleted, data, permissions)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::boolean[], $5::text[], $6::text[])
ON CONFLICT (list, id) DO UPDATE SET ts = excluded.ts, deleted = excluded.deleted, data = excluded.data, permissions = excluded.permissions
-- name: remove
DELETE FROM objects USING unnest($1::bigint[], $2::text[]) AS q(list, id) WHERE objects.list = q.list AND objects.id = q.id

-- The order is that of the index by timestamp; select_ids looks ids up instead, in no order.
-- name: select
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
ORDER BY ts DESC LIMIT $6
-- name: select_granted
SELECT id, ts, deleted, data, permissions FROM objects AS o
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
  AND id IN (SELECT g.id FROM grants AS g WHERE g.principal = ANY($7::bytea[]) AND g.list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND g.permission = ANY($8::text[]))
ORDER BY ts DESC LIMIT $6
-- name: select_up
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
ORDER BY ts LIMIT $6
-- name: select_up_granted
SELECT id, ts, deleted, data, permissions FROM objects AS o
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
  AND id IN (SELECT g.id FROM grants AS g WHERE g.principal = ANY($7::bytea[]) AND g.list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND g.permission = ANY($8::text[]))
ORDER BY ts LIMIT $6
-- name: select_ids
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
  AND id = ANY($7::text[])
LIMIT $6
-- name: select_ids_granted
SELECT id, ts, deleted, data, permissions FROM objects AS o
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
  AND id IN (SELECT g.id FROM grants AS g WHERE g.principal = ANY($7::bytea[]) AND g.list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND g.permission = ANY($8::text[]))
  AND id = ANY($9::text[])
LIMIT $6
-- name: count
SELECT count(*) FROM objects
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
-- name: count_granted
SELECT count(*) FROM objects AS o
WHERE list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND ts > $3 AND ts < $4 AND ($5 OR NOT deleted)
  AND id IN (SELECT g.id FROM grants AS g WHERE g.principal = ANY($6::bytea[]) AND g.list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND g.permission = ANY($7::text[]))

-- name: grant
INSERT INTO grants (list, id, principal, permission)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[]) ON CONFLICT DO NOTHING
-- name: revoke
DELETE FROM grants USING unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[]) AS q(list, id, principal, permission)
WHERE grants.list = q.list AND grants.id = q.id AND grants.principal = q.principal AND grants.permission = q.permission
-- name: granted
SELECT l.parent, l.kind, g.id, g.permission FROM grants AS g JOIN lists AS l ON l.pk = g.list
WHERE g.principal = ANY($1::bytea[]) AND l.kind <> 'dead'

-- name: groups
SELECT DISTINCT l.parent, m.id FROM members AS m JOIN lists AS l ON l.pk = m.list
WHERE m.member = ANY($1::bytea[]) AND l.kind = $2
ORDER BY 1, 2
-- name: leave
DELETE FROM members USING unnest($1::bigint[], $2::text[]) AS q(list, id) WHERE members.list = q.list AND members.id = q.id
-- name: join
INSERT INTO members (list, id, member)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[]) ON CONFLICT DO NOTHING

-- name: formers_keep
INSERT INTO formers (parent, kind, ts) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (parent, kind) DO UPDATE SET ts = greatest(formers.ts, excluded.ts)
-- name: floors_keep
INSERT INTO floors (parent, kind, ts)
SELECT parent, kind, ts FROM lists WHERE parent = $1::text OR (parent > $1::text || '/' AND parent < $1::text || '0')
ON CONFLICT (parent, kind) DO UPDATE SET ts = greatest(floors.ts, excluded.ts)
-- name: purge
UPDATE lists SET parent = '#' || pk, kind = 'dead' WHERE parent = $1::text OR (parent > $1::text || '/' AND parent < $1::text || '0')

-- name: meta
SELECT value FROM meta WHERE name = $1
-- name: meta_set
INSERT INTO meta (name, value) SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT (name) DO UPDATE SET value = excluded.value
-- name: meta_forget
DELETE FROM meta WHERE name = ANY($1::text[])

-- name: births_forget
DELETE FROM meta WHERE name > 'birth.' || $1 || '/' AND name < 'birth.' || $1 || '0'

-- name: owner
SELECT owner FROM owners WHERE bucket = $1
-- name: owner_set
INSERT INTO owners (bucket, owner, bytes) VALUES ($1, $2, $3) ON CONFLICT (bucket) DO UPDATE SET owner = excluded.owner, bytes = excluded.bytes
-- name: owner_weigh
UPDATE owners SET bytes = $2 WHERE bucket = $1
-- name: owner_bury
INSERT INTO owners (bucket, owner, bytes) SELECT 'gone ' || encode(sha256(owner), 'hex'), owner,
  $2::bigint + (SELECT coalesce(sum(64 + octet_length(parent) + CASE WHEN kind = 'collection' THEN 64 * tombstones ELSE 0 END), 0)::bigint FROM lists WHERE parent = $1 OR (parent > $1 || '/' AND parent < $1 || '0'))
FROM owners WHERE bucket = $1
ON CONFLICT (bucket) DO UPDATE SET bytes = owners.bytes + excluded.bytes
-- name: owner_forget
DELETE FROM owners WHERE bucket = $1
-- name: owners_forget
DELETE FROM owners
-- name: usage
SELECT coalesce(sum(live) FILTER (WHERE kind = $2), 0)::bigint, coalesce(sum(bytes), 0)::bigint, coalesce(sum(files), 0)::bigint FROM (
  SELECT l.kind, l.live, l.bytes, l.files FROM owners AS o JOIN lists AS l ON l.parent = o.bucket WHERE o.owner = $1
  UNION ALL
  SELECT l.kind, l.live, l.bytes, l.files FROM owners AS o JOIN lists AS l ON l.parent > o.bucket || '/' AND l.parent < o.bucket || '0' WHERE o.owner = $1
  UNION ALL
  SELECT 'bucket', 0, o.bytes, 0 FROM owners AS o WHERE o.owner = $1) AS held

-- name: note
SELECT value FROM notes WHERE key = $1 AND until > $2
-- name: notes_set
INSERT INTO notes (key, value, until) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[])
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until
-- name: notes_forget
DELETE FROM notes WHERE key = ANY($1::bytea[])

-- name: file
SELECT f.hash, f.size, f.type, f.name, f.list, f.id FROM files AS f JOIN lists AS l ON l.pk = f.list WHERE f.location = $1 AND l.kind <> 'dead'
-- name: file_of
SELECT location, size, hash FROM files WHERE list = $1 AND id = $2
-- name: attached
SELECT f.location, f.size, f.hash, f.type, f.name FROM files AS f
WHERE f.list = (SELECT pk FROM lists WHERE parent = $1 AND kind = $2) AND f.id = $3
-- name: file_add
INSERT INTO files (location, list, id, hash, size, type, name) VALUES ($1, $2, $3, $4, $5, $6, $7)
-- name: file_remove
DELETE FROM files WHERE location = $1
-- name: holds
SELECT 1 FROM files AS f JOIN lists AS l ON l.pk = f.list WHERE f.hash = $1 AND l.kind <> 'dead' LIMIT 1

-- name: notify
SELECT pg_notify('foyer', $1), set_config('synchronous_commit', 'off', true)

-- name: sweep_lock
SELECT pg_try_advisory_xact_lock($1::bigint)
-- name: dead
SELECT pk FROM lists WHERE kind = 'dead' LIMIT 1
-- name: sweep_objects
DELETE FROM objects WHERE ctid = ANY(ARRAY(SELECT ctid FROM objects WHERE list = $1 LIMIT 500))
-- name: sweep_grants
DELETE FROM grants WHERE ctid = ANY(ARRAY(SELECT ctid FROM grants WHERE list = $1 LIMIT 1000))
-- name: sweep_members
DELETE FROM members WHERE ctid = ANY(ARRAY(SELECT ctid FROM members WHERE list = $1 LIMIT 1000))
-- name: sweep_files
DELETE FROM files WHERE ctid = ANY(ARRAY(SELECT ctid FROM files WHERE list = $1 LIMIT 500))
-- name: sweep_list
DELETE FROM lists WHERE pk = $1
-- name: notes_sweep
DELETE FROM notes WHERE key IN (SELECT key FROM notes WHERE until <= $1 LIMIT 50) AND until <= $1
-- name: floors_past
SELECT max(ts) FROM (SELECT ts FROM floors WHERE ts < $1 AND parent <> '#' ORDER BY ts LIMIT 500) AS past
-- name: floors_raise
INSERT INTO floors (parent, kind, ts) VALUES ('#', '', $1) ON CONFLICT (parent, kind) DO UPDATE SET ts = greatest(floors.ts, excluded.ts)
-- name: floors_sweep
DELETE FROM floors WHERE ts <= $1 AND parent <> '#'

-- name: quick
SELECT count(*) FROM (SELECT 1 FROM lists LIMIT 1) AS one

-- name: certificate_set
INSERT INTO certificates (key, value, modified) VALUES ($1, $2, clock_timestamp())
ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified
-- name: certificate
SELECT value, modified FROM certificates WHERE key = $1
-- name: certificates_below
SELECT key FROM certificates WHERE $1::text = '' OR (key > $1::text || '/' AND key < $1::text || '0') ORDER BY key
-- name: certificates_remove
DELETE FROM certificates WHERE key = $1::text OR (key > $1::text || '/' AND key < $1::text || '0')
-- name: certificate_lock
INSERT INTO certificate_locks AS l (name, holder, until) VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE l.until < clock_timestamp()
-- name: certificate_renew
UPDATE certificate_locks SET until = clock_timestamp() + $3::bigint * interval '1 millisecond' WHERE name = $1 AND holder = $2
-- name: certificate_unlock
DELETE FROM certificate_locks WHERE name = $1 AND holder = $2
