-- What quotas count: of each list what its objects and tombstones weigh (kinto.Weight), and
-- of each owner the buckets themselves, whose list is everybody's.

UPDATE lists SET bytes = (
  SELECT coalesce(sum(64 + octet_length(id) + octet_length(data) + octet_length(permissions)
    + (octet_length(permissions) - octet_length(replace(permissions, '"', '')) + CASE WHEN lists.kind = 'group' THEN octet_length(data) - octet_length(replace(data, '"', '')) ELSE 0 END) / 2 * (32 + octet_length(id))), 0)
  FROM objects WHERE list = lists.pk)
WHERE kind <> 'dead';

ALTER TABLE owners ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0; -- of the bucket; of one called 'gone …', of what is left of the owner's former ones

UPDATE owners SET bytes = coalesce((
  SELECT 64 + octet_length(o.id) + octet_length(o.data) + octet_length(o.permissions) + (octet_length(o.permissions) - octet_length(replace(o.permissions, '"', ''))) / 2 * (32 + octet_length(o.id)) FROM objects AS o
  WHERE o.list = (SELECT pk FROM lists WHERE parent = '' AND kind = 'bucket') AND o.id = substr(owners.bucket, length('/buckets/') + 1) AND NOT o.deleted), 0);
