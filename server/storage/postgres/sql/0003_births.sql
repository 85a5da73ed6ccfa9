-- Names that were given up before births were kept; names of accounts, whatever their
-- case; addresses of attachments without the name that the server had.

INSERT INTO meta (name, value)
SELECT 'birth.' || lists.parent || '/' || lists.kind || 's/' || objects.id, convert_to('1', 'UTF8')
FROM objects JOIN lists ON lists.pk = objects.list
WHERE objects.deleted AND lists.kind IN ('bucket', 'collection', 'group')
ON CONFLICT DO NOTHING;

INSERT INTO meta (name, value)
SELECT 'auth.reserved.' || objects.id, convert_to('1', 'UTF8')
FROM objects JOIN lists ON lists.pk = objects.list
WHERE objects.deleted AND lists.kind = 'account'
ON CONFLICT DO NOTHING;

INSERT INTO meta (name, value)
SELECT 'auth.name.' || lower(objects.id), convert_to(objects.id, 'UTF8')
FROM objects JOIN lists ON lists.pk = objects.list
WHERE lists.kind = 'account' ORDER BY objects.deleted, objects.id
ON CONFLICT DO NOTHING;

UPDATE objects SET data = regexp_replace(objects.data,
  '("attachment":\{"filename":"(?:[^"\\]|\\.)*","location":")[^"]*/' || regexp_replace(files.location, '([^a-zA-Z0-9/_-])', '\\\1', 'g') || '","hash":"',
  '\1foyer-attachment:' || files.location || '","hash":"')
FROM files WHERE files.list = objects.list AND files.id = objects.id AND NOT objects.deleted;

UPDATE lists SET bytes = (SELECT coalesce(sum(octet_length(data)), 0) FROM objects WHERE list = lists.pk AND NOT deleted)
WHERE pk IN (SELECT list FROM files);

UPDATE generation SET n = (random() * 1e15)::bigint;
