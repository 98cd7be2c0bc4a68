-- SPDX-License-Identifier: LGPL-2.1-or-later
--
-- What a next version might look like, for the tests alone: a column more in the tables that people
-- write. certmapctl-next embeds it behind the project's own migrations.
BEGIN IMMEDIATE;

CREATE TEMP TABLE migration_start (user_version);
CREATE TEMP TRIGGER migration_starts_at_1 BEFORE INSERT ON migration_start
WHEN NEW.user_version <> 1
BEGIN
	SELECT RAISE(ABORT, '0002-next.sql starts from version 1: nothing was changed.');
END;
INSERT INTO migration_start SELECT user_version FROM pragma_user_version;
DROP TABLE temp.migration_start;

PRAGMA user_version = 2;
ALTER TABLE mapping ADD COLUMN colour TEXT;
ALTER TABLE service ADD COLUMN colour TEXT;

COMMIT;
