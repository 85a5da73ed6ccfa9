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
SELECT pk, ts FROM lists WHERE parent = ?1 AND kind = ?2
-- name: list_add
INSERT INTO lists (parent, kind, ts) VALUES (?1, ?2, ?3) RETURNING pk
-- name: list_ts
SELECT ts FROM lists WHERE pk = ?1
-- name: list_tick
UPDATE lists SET ts = max(ts + 1, ?2) WHERE pk = ?1 RETURNING ts
-- name: list_set
UPDATE lists SET ts = ?2 WHERE pk = ?1

-- name: get
SELECT ts, data, permissions FROM objects WHERE list = ?1 AND id = ?2 AND deleted = 0
-- name: put
INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (list, id) DO UPDATE SET ts = excluded.ts, deleted = excluded.deleted, data = excluded.data, permissions = excluded.permissions

-- The order is that of the index by timestamp; select_ids looks ids up instead, in no order.
-- name: select
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
ORDER BY ts DESC
-- name: select_granted
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
  AND id IN (SELECT id FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))
ORDER BY ts DESC
-- name: select_up
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
ORDER BY ts
-- name: select_up_granted
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
  AND id IN (SELECT id FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))
ORDER BY ts
-- name: select_ids
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND +ts > ?2 AND +ts < ?3 AND deleted <= ?4
  AND id IN (SELECT value FROM json_each(?7))
-- name: select_ids_granted
SELECT id, ts, deleted, data, permissions FROM objects
WHERE list = ?1 AND +ts > ?2 AND +ts < ?3 AND deleted <= ?4
  AND id IN (SELECT id FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))
  AND id IN (SELECT value FROM json_each(?7))
-- name: count
SELECT count(*) FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
-- name: count_granted
SELECT count(*) FROM objects
WHERE list = ?1 AND ts > ?2 AND ts < ?3 AND deleted <= ?4
  AND id IN (SELECT id FROM grants WHERE principal IN (SELECT value FROM json_each(?5)) AND list = ?1 AND permission IN (SELECT value FROM json_each(?6)))

-- name: grant
INSERT INTO grants (principal, list, id, permission) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING
-- name: revoke
DELETE FROM grants WHERE principal = ?1 AND list = ?2 AND id = ?3 AND permission = ?4

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
DELETE FROM grants WHERE (principal, list, id, permission) IN (
  SELECT principal.value, objects.list, objects.id, granted.key
  FROM objects, json_each(objects.permissions) AS granted, json_each(granted.value) AS principal
  WHERE objects.list = ?1 AND objects.ts <= ?2 AND objects.permissions <> '')
-- name: sweep_members
DELETE FROM members WHERE list = ?1 AND id IN (SELECT id FROM objects WHERE list = ?1 AND ts <= ?2)
-- name: sweep_objects
DELETE FROM objects WHERE list = ?1 AND ts <= ?2
-- name: sweep_list
DELETE FROM lists WHERE pk = ?1

-- name: meta
SELECT value FROM meta WHERE name = ?1
-- name: meta_set
INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
-- name: meta_forget
DELETE FROM meta WHERE name = ?1

-- name: version
PRAGMA user_version
-- name: quick
SELECT count(*) FROM (SELECT 1 FROM lists LIMIT 1)
