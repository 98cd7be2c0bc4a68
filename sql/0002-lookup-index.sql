-- SPDX-License-Identifier: LGPL-2.1-or-later
--
-- Version 2 of the certmap database: an index that has what a lookup asks of a mapping.
--
--   sqlite3 -bail mappings.db < 0002-lookup-index.sql        (or: certmapctl migrate)
--
-- The statement of the lookup names the index, so that no planner's guess takes another way: a
-- daemon of this version needs a database of this version. Edits by hand are what they were.

BEGIN IMMEDIATE;

-- The start: a certmap database of version 1 and no other. `.bail`, or -bail, makes this the last
-- statement where it fails; nothing has been written then.
CREATE TEMP TABLE migration_start (application_id, user_version);
CREATE TEMP TRIGGER migration_starts_at_1 BEFORE INSERT ON migration_start
WHEN NEW.application_id <> 0x434d4150 OR NEW.user_version <> 1
BEGIN
	SELECT RAISE(ABORT, '0002-lookup-index.sql starts from version 1 of a certmap database, and this is not one: nothing was changed. `PRAGMA user_version` shows its version.');
END;
INSERT INTO migration_start
	SELECT a.application_id, v.user_version
	FROM pragma_application_id AS a, pragma_user_version AS v;
DROP TABLE temp.migration_start;

PRAGMA user_version = 2;

-- 140 rows on a page, where the certificates of the table leave room for four. One of this name is
-- in databases that were made between the two versions, from a tree that was never released.
DROP INDEX IF EXISTS mapping_lookup;
CREATE INDEX mapping_lookup ON mapping
	(id, service, account, enabled, valid_from, valid_until, account_uid, replaces, staged_until);

COMMIT;
