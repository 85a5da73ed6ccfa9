-- What quotas count: of each list what its objects and tombstones weigh (kinto.Weight), and
-- of each owner the buckets themselves, whose list is everybody's.

UPDATE lists SET bytes = (
  SELECT coalesce(sum(64 + octet_length(id) + octet_length(data) + octet_length(permissions)
    + (octet_length(permissions) - octet_length(replace(permissions, '"', '')) + iif(lists.kind = 'group', octet_length(data) - octet_length(replace(data, '"', '')), 0)) / 2 * (32 + octet_length(id))), 0)
  FROM objects WHERE list = lists.pk)
WHERE kind <> 'dead';

ALTER TABLE owners ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0; -- of the bucket; of one called 'gone …', of what is left of the owner's former ones

UPDATE owners SET bytes = coalesce((
  SELECT 64 + octet_length(id) + octet_length(data) + octet_length(permissions) + (octet_length(permissions) - octet_length(replace(permissions, '"', ''))) / 2 * (32 + octet_length(id)) FROM objects
  WHERE list = (SELECT pk FROM lists WHERE parent = '' AND kind = 'bucket') AND id = substr(owners.bucket, length('/buckets/') + 1) AND deleted = 0), 0);
