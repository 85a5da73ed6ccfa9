-- Names that were given up before births were kept; names of accounts, whatever their
-- case; addresses of attachments without the name that the server had.

INSERT INTO meta (name, value)
SELECT 'birth.' || lists.parent || '/' || lists.kind || 's/' || objects.id, CAST('1' AS BLOB)
FROM objects JOIN lists ON lists.pk = objects.list
WHERE objects.deleted = 1 AND lists.kind IN ('bucket', 'collection', 'group')
ON CONFLICT DO NOTHING;

INSERT INTO meta (name, value)
SELECT 'auth.reserved.' || objects.id, CAST('1' AS BLOB)
FROM objects JOIN lists ON lists.pk = objects.list
WHERE objects.deleted = 1 AND lists.kind = 'account'
ON CONFLICT DO NOTHING;

INSERT INTO meta (name, value)
SELECT 'auth.name.' || lower(objects.id), CAST(objects.id AS BLOB)
FROM objects JOIN lists ON lists.pk = objects.list
WHERE lists.kind = 'account' ORDER BY objects.deleted, objects.id
ON CONFLICT DO NOTHING;

-- What follows the last quotation mark before the location is the address up to it.
WITH
  told AS (
    SELECT objects.pk, instr(objects.data, '"attachment":{"filename":') AS at, substr(objects.data, instr(objects.data, '"attachment":{"filename":')) AS tail, files.location
    FROM files JOIN objects ON objects.list = files.list AND objects.id = files.id
    WHERE objects.deleted = 0 AND instr(objects.data, '"attachment":{"filename":') > 0),
  head AS (
    SELECT pk, at, tail, instr(tail, '/' || location || '","hash":"') AS slash, substr(tail, 1, instr(tail, '/' || location || '","hash":"') - 1) AS head
    FROM told WHERE instr(tail, '/' || location || '","hash":"') > 0),
  found AS (
    SELECT pk, at, tail, slash, length(rtrim(head, replace(head, '"', ''))) AS mark FROM head)
UPDATE objects SET data = substr(data, 1, found.at - 1) || substr(found.tail, 1, found.mark) || 'foyer-attachment:' || substr(found.tail, found.slash + 1)
FROM found WHERE found.pk = objects.pk AND substr(found.tail, found.mark - 11, 12) = '"location":"';

UPDATE lists SET bytes = (SELECT coalesce(sum(octet_length(data)), 0) FROM objects WHERE list = lists.pk AND deleted = 0)
WHERE pk IN (SELECT list FROM files);
