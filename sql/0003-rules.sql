-- SPDX-License-Identifier: LGPL-2.1-or-later
--
-- Version 3 of the certmap database: rules that edits by hand got past.
--
--   sqlite3 -bail mappings.db < 0003-rules.sql        (or: certmapctl migrate)
--
-- No table, column or view changes. What is in the database already is left as it is.

BEGIN IMMEDIATE;

-- The start: a certmap database of version 2 and no other. `.bail`, or -bail, makes this the last
-- statement where it fails; nothing has been written then.
CREATE TEMP TABLE migration_start (application_id, user_version);
CREATE TEMP TRIGGER migration_starts_at_2 BEFORE INSERT ON migration_start
WHEN NEW.application_id <> 0x434d4150 OR NEW.user_version <> 2
BEGIN
	SELECT RAISE(ABORT, '0003-rules.sql starts from version 2 of a certmap database, and this is not one: nothing was changed. `PRAGMA user_version` shows its version.');
END;
INSERT INTO migration_start
	SELECT a.application_id, v.user_version
	FROM pragma_application_id AS a, pragma_user_version AS v;
DROP TABLE temp.migration_start;

PRAGMA user_version = 3;

-- Two of its rules are new: a NULL in `enabled` is refused, and the SELECT that shows the row in the
-- way finds it as a pasted text, too, which to SQLite equals no file.
DROP TRIGGER mapping_rule_check;
CREATE TRIGGER mapping_rule_check INSTEAD OF INSERT ON mapping_rule
BEGIN
	INSERT INTO service_name_rule VALUES (NEW.service);
	INSERT INTO account_name_rule VALUES (NEW.account);

	-- OR REPLACE writes the default, 1, in the place of a NULL, behind all the rules below: an account
	-- would get a second enabled certificate.
	SELECT RAISE(ABORT, 'enabled is NULL: it must be 0 or 1. Left out of an INSERT, it is 1.')
	WHERE NEW.enabled IS NULL;

	SELECT CASE
	WHEN NEW.certificate IS NULL
		THEN RAISE(ABORT, 'certificate is NULL: none was given, or readfile() found no such file (the path is relative to where sqlite3 was started).')
	WHEN typeof(NEW.certificate) NOT IN ('text', 'blob')
		THEN RAISE(ABORT, 'certificate must be the file itself, readfile(''alice.cer''), or its text.')
	WHEN length(bytes) > 65536
		THEN RAISE(ABORT, 'certificate is over 65536 bytes.')
	WHEN instr(bytes, CAST('PRIVATE KEY-----' AS BLOB))
		THEN RAISE(ABORT, 'certificate holds a private key, which belongs to its owner alone: give the certificate without it.')
	-- DER: a SEQUENCE of over 127 bytes. The rest is read by certmapd, see fact.problem.
	WHEN substr(bytes, 1, 1) = x'30' AND substr(bytes, 2, 1) BETWEEN x'80' AND x'84'
		THEN NULL
	WHEN instr(bytes, x'00')
		THEN RAISE(ABORT, 'certificate is neither DER nor text: it holds a NUL byte. (Is it UTF-16? Save it as DER or base64.)')
	WHEN instr(bytes, CAST('-----BEGIN CERTIFICATE-----' AS BLOB))
		THEN CASE
		WHEN instr(substr(bytes, instr(bytes, CAST('-----BEGIN CERTIFICATE-----' AS BLOB)) + 27),
				CAST('-----BEGIN CERTIFICATE-----' AS BLOB))
			THEN RAISE(ABORT, 'certificate holds two certificates: give the one of the client alone, without its chain.')
		WHEN NOT instr(bytes, CAST('-----END CERTIFICATE-----' AS BLOB))
			THEN RAISE(ABORT, 'certificate is cut short: the line END CERTIFICATE is missing.')
		END
	WHEN instr(bytes, CAST('-----BEGIN ' AS BLOB))
		THEN RAISE(ABORT, 'certificate is PEM of something else: the text must say BEGIN CERTIFICATE.')
	WHEN ltrim(text, char(9, 10, 13, 32)) NOT GLOB 'MI*'
			OR text GLOB '*[^A-Za-z0-9+/=' || char(9, 10, 13, 32) || ']*'
		THEN RAISE(ABORT, 'certificate is none: it must be readfile(''alice.cer'') in DER or PEM, or pasted PEM, or base64 in one line. (Was it the name of a file? readfile() reads it.)')
	END
	FROM (SELECT CAST(NEW.certificate AS BLOB) AS bytes, CAST(NEW.certificate AS TEXT) AS text);

	SELECT RAISE(ABORT, 'this certificate is mapped already for this service, and stands for one account only. It is: SELECT id, service, account, enabled FROM mapping WHERE CAST(certificate AS BLOB) = readfile(''alice.cer'');')
	WHERE EXISTS (SELECT 1 FROM mapping
		WHERE substr(CAST(certificate AS BLOB), -80, 40) =
				substr(CAST(NEW.certificate AS BLOB), -80, 40)
			AND CAST(certificate AS BLOB) = CAST(NEW.certificate AS BLOB)
			AND service = NEW.service AND id IS NOT NEW.id);

	SELECT RAISE(ABORT, 'this account has its enabled certificate for this service already: disable that mapping first, or raise service.certificates_per_account. It is: SELECT * FROM mapping_status WHERE service = ''*'' AND account = ''alice''; (your service and account)')
	WHERE NEW.enabled = 1 AND
		(SELECT count(*) FROM mapping WHERE service = NEW.service AND account = NEW.account
			AND enabled = 1 AND id IS NOT NEW.id) >=
		coalesce((SELECT certificates_per_account FROM service WHERE name = NEW.service),
			(SELECT certificates_per_account FROM service WHERE name = '*'));

	SELECT CASE
	WHEN NEW.enabled <> 0
		THEN RAISE(ABORT, 'a mapping that replaces another is staged with enabled = 0.')
	WHEN NOT EXISTS (SELECT 1 FROM mapping WHERE id = NEW.replaces AND id IS NOT NEW.id
			AND service = NEW.service AND account = NEW.account)
		THEN RAISE(ABORT, 'replaces must be the id of another mapping of the same service and account.')
	END
	WHERE NEW.replaces IS NOT NULL AND NEW.replaces IS NOT NEW.old_replaces;
END;

-- An id is given once. Of a mapping that is gone it would make one line of the log, or one entry of
-- the history, name two; and a mapping staged to replace that one would replace its successor.
DROP TRIGGER mapping_insert;
CREATE TRIGGER mapping_insert BEFORE INSERT ON mapping
BEGIN
	-- An id that exists, however it came: INSERT OR REPLACE would delete that row.
	SELECT RAISE(ABORT, 'a mapping with this id exists: leave the id out to add one, or UPDATE it.')
	WHERE EXISTS (SELECT 1 FROM mapping WHERE id = NEW.id);
	SELECT RAISE(ABORT, 'a mapping that is gone had this id, and logs and history name it so: leave the id out.')
	WHERE NEW.id BETWEEN 1 AND (SELECT seq FROM sqlite_sequence WHERE name = 'mapping');
	INSERT INTO mapping_rule VALUES (NEW.id, NEW.service, NEW.account, NEW.enabled, NEW.replaces,
		NULL, NEW.certificate);
END;

DROP TRIGGER trust_insert;
CREATE TRIGGER trust_insert BEFORE INSERT ON trust
BEGIN
	SELECT RAISE(ABORT, 'a row of trust with this id exists: leave the id out to add one, or UPDATE it.')
	WHERE EXISTS (SELECT 1 FROM trust WHERE id = NEW.id);
	SELECT RAISE(ABORT, 'a row of trust that is gone had this id, and the history names it so: leave the id out.')
	WHERE NEW.id BETWEEN 1 AND (SELECT seq FROM sqlite_sequence WHERE name = 'trust');
	INSERT INTO trust_rule VALUES (NEW.service, NEW.content);
END;

-- Who takes staged_until for valid_until would believe that a mapping ends, which never does. One
-- that stays behind where a staging is called off does no harm.
CREATE TRIGGER mapping_staged_until_insert BEFORE INSERT ON mapping
WHEN NEW.staged_until IS NOT NULL AND NEW.replaces IS NULL
BEGIN
	SELECT RAISE(ABORT, 'staged_until is for a staged mapping, which has replaces and enabled = 0. valid_until ends one that is in force.');
END;

CREATE TRIGGER mapping_staged_until_update BEFORE UPDATE ON mapping
WHEN NEW.staged_until IS NOT OLD.staged_until AND NEW.staged_until IS NOT NULL
	AND NEW.replaces IS NULL
BEGIN
	SELECT RAISE(ABORT, 'staged_until is for a staged mapping, which has replaces and enabled = 0. valid_until ends one that is in force.');
END;

COMMIT;
