-- How often what a list holds has changed: what is read at one version is what is
-- read at it again.

ALTER TABLE lists ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
