-- Grants name objects by their pk, which grows: those of new objects lie side by
-- side in the index, where those by id, which is often random, lay all over it.

ALTER TABLE grants RENAME TO grants_by_id;

CREATE TABLE grants (
  principal  TEXT    NOT NULL,
  list       INTEGER NOT NULL,
  object     INTEGER NOT NULL,  -- pk
  permission TEXT    NOT NULL,
  PRIMARY KEY (principal, list, object, permission)
) STRICT, WITHOUT ROWID;

INSERT INTO grants (principal, list, object, permission)
SELECT g.principal, g.list, o.pk, g.permission
FROM grants_by_id AS g JOIN objects AS o ON o.list = g.list AND o.id = g.id
ORDER BY 1, 2, 3, 4;

DROP TABLE grants_by_id;
