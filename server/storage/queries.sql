-- Every statement but the migrations, by name. Parameters are numbered in the
-- order in which Go binds them.

-- name: begin
BEGIN
-- name: begin_immediate
BEGIN IMMEDIATE
-- name: commit
COMMIT
-- name: rollback
ROLLBACK
-- name: savepoint
SAVEPOINT job
-- name: release
RELEASE job
-- name: rollback_to
ROLLBACK TO job

-- name: list
SELECT pk, ts, live, tombstones, bytes, files, version FROM lists WHERE parent = ?1 AND kind = ?2
-- name: list_add
INSERT INTO lists (parent, kind, ts) VALUES (?1, ?2, ?3) RETURNING pk
-- name: list_set
UPDATE lists SET ts = ?2, live = ?3, tombstones = ?4, bytes = ?5, files = ?6, version = ?7 WHERE pk = ?1
-- name: lists
SELECT parent FROM lists WHERE kind = ?1 ORDER BY parent
-- name: totals
SELECT kind, sum(live), sum(tombstones) FROM lists WHERE kind <> 'dead' GROUP BY kind

-- name: floor
SELECT max(ts) FROM floors WHERE (parent, kind) IN (VALUES (?1, ?2), ('#', ''))
-- name: floor_forget
DELETE FROM floors WHERE parent = ?1 AND kind = ?2
-- name: former
SELECT ts FROM formers WHERE parent = ?1 AND kind = ?2
-- name: former_keep
INSERT INTO formers (parent, kind, ts) VALUES (?1, ?2, ?3) ON CONFLICT (parent, kind) DO UPDATE SET ts = max(ts, excluded.ts) RETURNING ts
-- name: floors_keep
INSERT INTO floors (parent, kind, ts)
SELECT parent, kind, ts FROM lists WHERE parent = ?1 OR (parent > ?1 || '/' AND parent < ?1 || '0')
ON CONFLICT (parent, kind) DO UPDATE SET ts = max(ts, excluded.ts) RETURNING parent, kind, ts
-- name: floors_past
SELECT max(ts) FROM (SELECT ts FROM floors WHERE ts < ?1 AND parent <> '#' ORDER BY ts LIMIT 500)
-- name: floors_raise
INSERT INTO floors (parent, kind, ts) VALUES ('#', '', ?1) ON CONFLICT (parent, kind) DO UPDATE SET ts = max(ts, excluded.ts) RETURNING ts
-- name: floors_sweep
DELETE FROM floors WHERE ts <= ?1 AND parent <> '#'

-- name: get
SELECT ts, data, permissions FROM objects WHERE list = ?1 AND id = ?2 AND deleted = 0
-- name: add
INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (list, id) DO NOTHING
-- name: replace
UPDATE objects SET ts = ?3, deleted = ?4, data = ?5, permissions = ?6 WHERE list = ?1 AND id = ?2 AND deleted = ?7

-- The order is that of the index by timestamp; select_ids looks ids up instead, in no order.
-- name: select
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
ORDER BY ts DESC
-- name: select_granted
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
  AND pk IN (SELECT object FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))
ORDER BY ts DESC
-- name: select_up
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
ORDER BY ts
-- name: select_up_granted
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
  AND pk IN (SELECT object FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))
ORDER BY ts
-- name: select_ids
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND +ts > ?2 AND +ts < ?3 AND deleted <= ?4
  AND id IN (SELECT value FROM json_each(?7))
-- name: select_ids_granted
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND +ts > ?2 AND +ts < ?3 AND deleted <= ?4
  AND pk IN (SELECT object FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))
  AND id IN (SELECT value FROM json_each(?7))
-- name: count
SELECT count(*) FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
-- name: count_granted
SELECT count(*) FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
  AND pk IN (SELECT object FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))

-- name: object
SELECT pk FROM objects WHERE list = ?1 AND id = ?2
-- name: grant
INSERT INTO grants (principal, list, object, permission) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING
-- name: revoke
DELETE FROM grants WHERE principal = ?1 AND list = ?2 AND object = ?3 AND permission = ?4

-- name: granted
SELECT lists.parent, lists.kind, objects.id, grants.permission
FROM grants JOIN lists ON lists.pk = grants.list JOIN objects ON objects.pk = grants.object
WHERE grants.principal IN (SELECT value FROM json_each(?1)) AND lists.kind <> 'dead'

-- name: groups
SELECT DISTINCT lists.parent, members.id FROM members JOIN lists ON lists.pk = members.list
WHERE members.member IN (SELECT value FROM json_each(?1)) AND lists.kind = ?2
ORDER BY 1, 2
-- name: join
INSERT INTO members (member, list, id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING
-- name: leave
DELETE FROM members WHERE list = ?1 AND id = ?2

-- name: purge
UPDATE lists SET parent = '#' || pk, kind = 'dead' WHERE parent = ?1 OR (parent > ?1 || '/' AND parent < ?1 || '0')
-- name: dead
SELECT pk FROM lists WHERE kind = 'dead' LIMIT 1
-- name: sweep_to
SELECT max(ts) FROM (SELECT ts FROM objects WHERE list = ?1 ORDER BY ts LIMIT 500)
-- name: sweep_grants
DELETE FROM grants WHERE (principal, list, object, permission) IN (
  SELECT principal.value, objects.list, objects.pk, granted.key
  FROM objects, json_each(objects.permissions) AS granted, json_each(granted.value) AS principal
  WHERE objects.list = ?1 AND objects.ts <= ?2 AND objects.permissions <> '')
-- name: sweep_members
DELETE FROM members WHERE list = ?1 AND id IN (SELECT id FROM objects WHERE list = ?1 AND ts <= ?2)
-- name: sweep_objects
DELETE FROM objects WHERE list = ?1 AND ts <= ?2
-- name: sweep_files
DELETE FROM files WHERE location IN (SELECT location FROM files WHERE list = ?1 LIMIT 500)
-- name: sweep_list
DELETE FROM lists WHERE pk = ?1

-- name: has_meta
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'
-- name: meta
SELECT value FROM meta WHERE name = ?1
-- name: meta_set
INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
-- name: meta_forget
DELETE FROM meta WHERE name = ?1

-- name: births_forget
DELETE FROM meta WHERE name > 'birth.' || ?1 || '/' AND name < 'birth.' || ?1 || '0'

-- name: owner
SELECT owner FROM owners WHERE bucket = ?1
-- name: owner_set
INSERT INTO owners (bucket, owner, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (bucket) DO UPDATE SET owner = excluded.owner, bytes = excluded.bytes
-- name: owner_weigh
UPDATE owners SET bytes = ?2 WHERE bucket = ?1 RETURNING bucket, owner, bytes
-- name: owner_bury
INSERT INTO owners (bucket, owner, bytes) SELECT 'gone ' || hex(owner), owner,
  ?2 + (SELECT coalesce(sum(64 + octet_length(parent) + iif(kind = 'collection', 64 * tombstones, 0)), 0) FROM lists WHERE parent = ?1 OR (parent > ?1 || '/' AND parent < ?1 || '0'))
FROM owners WHERE bucket = ?1
ON CONFLICT (bucket) DO UPDATE SET bytes = bytes + excluded.bytes RETURNING bucket, owner, bytes
-- name: owner_forget
DELETE FROM owners WHERE bucket = ?1
-- name: owners_forget
DELETE FROM owners
-- name: usage
SELECT sum(iif(kind = ?2, live, 0)), sum(bytes), sum(files) FROM (
  SELECT kind, live, lists.bytes, files FROM owners JOIN lists ON parent = bucket WHERE owner = ?1
  UNION ALL
  SELECT kind, live, lists.bytes, files FROM owners JOIN lists ON parent > bucket || '/' AND parent < bucket || '0' WHERE owner = ?1
  UNION ALL
  SELECT 'bucket', 0, bytes, 0 FROM owners WHERE owner = ?1)

-- name: note
SELECT value FROM notes WHERE key = ?1 AND until > ?2
-- name: note_set
INSERT INTO notes (key, value, until) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until
-- name: note_forget
DELETE FROM notes WHERE key = ?1
-- name: notes_over
SELECT 1 FROM notes WHERE until <= ?1 LIMIT 1
-- name: notes_sweep
DELETE FROM notes WHERE rowid IN (SELECT rowid FROM notes WHERE until <= ?1 LIMIT 50)

-- name: file
SELECT hash, size, type, name, list, id FROM files JOIN lists ON lists.pk = files.list WHERE location = ?1 AND kind <> 'dead'
-- name: file_of
SELECT location, size, hash, type, name FROM files WHERE list = ?1 AND id = ?2
-- name: file_add
INSERT INTO files (location, list, id, hash, size, type, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
-- name: file_remove
DELETE FROM files WHERE location = ?1
-- name: holds
SELECT 1 FROM files JOIN lists ON lists.pk = files.list WHERE hash = ?1 AND kind <> 'dead' LIMIT 1

-- The log of changes (capture.go).

-- name: log
SELECT seq, sum FROM log
-- name: log_set
UPDATE log SET seq = ?1, sum = ?2
-- name: log_head
SELECT seq, sum FROM changes WHERE seq > (SELECT seq FROM log) ORDER BY seq DESC LIMIT 1
-- name: log_bytes
SELECT sum(octet_length(body)) FROM changes WHERE seq > (SELECT seq FROM log)
-- name: log_add
INSERT INTO changes (seq, at, sum, body) VALUES (?1, ?2, ?3, ?4)
-- name: log_sum
SELECT sum FROM (SELECT seq, sum FROM log UNION ALL SELECT seq, sum FROM changes WHERE seq > (SELECT seq FROM log)) WHERE seq = ?1
-- name: log_after
SELECT seq, at, sum, body FROM changes WHERE seq > ?1 ORDER BY seq
-- name: log_past
SELECT 1 FROM changes WHERE seq <= (SELECT seq FROM log) LIMIT 1
-- name: log_sweep
DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM (SELECT seq FROM changes WHERE seq <= (SELECT seq FROM log) ORDER BY seq LIMIT 500))
-- name: followers
SELECT min(seq) FROM followers
-- name: unshipped
SELECT at FROM changes WHERE seq > (SELECT min(seq) FROM followers) ORDER BY seq LIMIT 1
-- name: follower_set
INSERT INTO followers (name, seq) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq
-- name: follower_move
UPDATE followers SET seq = max(seq, ?2) WHERE name = ?1
-- name: follower_forget
DELETE FROM followers WHERE name = ?1
-- name: followers_forget
DELETE FROM followers

-- Everything, table by table, from behind a place on (dump.go).

-- name: dump_lists
SELECT pk, parent, kind, ts FROM lists WHERE pk > ?1 AND kind <> 'dead' ORDER BY pk
-- name: dump_objects
SELECT pk, list, id, ts, deleted, data, permissions FROM objects WHERE pk > ?1 ORDER BY pk
-- name: dump_meta
SELECT name, value FROM meta WHERE name > ?1 ORDER BY name
-- name: dump_owners
SELECT bucket, owner, bytes FROM owners WHERE bucket > ?1 ORDER BY bucket
-- name: dump_notes
SELECT key, value, until FROM notes WHERE key > ?1 ORDER BY key
-- name: dump_floors
SELECT parent, kind, ts FROM floors WHERE (parent, kind) > (?1, ?2) ORDER BY parent, kind
-- name: dump_formers
SELECT parent, kind, ts FROM formers WHERE (parent, kind) > (?1, ?2) ORDER BY parent, kind
-- name: dump_files
SELECT location, list, id, hash, size, type, name FROM files WHERE location > ?1 ORDER BY location
-- name: contents
SELECT hash, max(size) FROM files JOIN lists ON lists.pk = files.list WHERE kind <> 'dead' GROUP BY hash ORDER BY hash
-- name: list_named
SELECT parent, kind FROM lists WHERE pk = ?1

-- What lines of the log come to in a new database (load.go).

-- name: load_list
INSERT INTO lists (parent, kind, ts) VALUES (?1, ?2, ?3) RETURNING pk
-- name: load_object
INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (list, id) DO UPDATE SET ts = excluded.ts, deleted = excluded.deleted, data = excluded.data, permissions = excluded.permissions
-- name: load_displace
UPDATE objects SET ts = -1 - pk WHERE list = ?1 AND ts = ?2
-- name: load_displaced
SELECT lists.parent, lists.kind, objects.id FROM objects JOIN lists ON lists.pk = objects.list WHERE objects.ts < 0 AND lists.kind <> 'dead' LIMIT 1
-- name: load_list_raise
UPDATE lists SET ts = max(ts, ?2) WHERE pk = ?1
-- name: load_list_set
UPDATE lists SET live = ?2, tombstones = ?3, bytes = ?4 WHERE pk = ?1
-- name: load_files
UPDATE lists SET files = coalesce((SELECT sum(size) FROM files WHERE list = lists.pk), 0)
-- name: load_file
INSERT OR REPLACE INTO files (location, list, id, hash, size, type, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
-- name: load_owner
INSERT INTO owners (bucket, owner, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (bucket) DO UPDATE SET owner = excluded.owner, bytes = excluded.bytes
-- name: load_floor
INSERT INTO floors (parent, kind, ts) VALUES (?1, ?2, ?3) ON CONFLICT (parent, kind) DO UPDATE SET ts = excluded.ts
-- name: load_former
INSERT INTO formers (parent, kind, ts) VALUES (?1, ?2, ?3) ON CONFLICT (parent, kind) DO UPDATE SET ts = excluded.ts

-- name: freelist
PRAGMA freelist_count
-- name: checkpoint
PRAGMA wal_checkpoint(PASSIVE)
-- name: check_quickly
PRAGMA quick_check(10)
-- name: check
PRAGMA integrity_check(10)
-- name: version
PRAGMA user_version
-- name: quick
SELECT count(*) FROM (SELECT 1 FROM lists LIMIT 1)
-- name: vacuum_into
VACUUM INTO ?1
