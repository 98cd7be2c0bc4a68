-- SPDX-License-Identifier: LGPL-2.1-or-later
--
-- Version 1 of the certmap database: the mappings, the policy of services, what is worked out
-- from them, and their history.
--
--   sqlite3 -bail mappings.db < 0001-initial.sql        (or: certmapctl init)
--
-- People write `mapping`, `service` and `credential`, with any sqlite3 shell. certmapd and
-- certmapctl write `fact` and empty `pending`. Triggers write `history` and fill `pending`. The
-- two sides are different tables, so that the daemon never rewrites a row that it watches.
--
-- Every rule on what people write stands in a trigger, because triggers can say what is wrong and
-- can't be switched off by a pragma as CHECK and foreign keys can. RAISE takes a fixed text in
-- SQLite 3.40, so a text gives the SELECT that shows the row in the way.

BEGIN IMMEDIATE;

-- The start: an empty database and no other. `.bail`, or -bail, makes this the last statement
-- where it fails; nothing has been written then.
CREATE TEMP TABLE migration_start (application_id, user_version, objects);
CREATE TEMP TRIGGER migration_starts_empty BEFORE INSERT ON migration_start
WHEN NEW.application_id <> 0 OR NEW.user_version <> 0 OR NEW.objects <> 0
BEGIN
	SELECT RAISE(ABORT, '0001-initial.sql starts from an empty database, and this one is not empty: nothing was changed. A certmap database of an older version is brought up to date by `certmapctl migrate`.');
END;
INSERT INTO migration_start
	SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
	FROM pragma_application_id AS a, pragma_user_version AS v;
DROP TABLE temp.migration_start;

PRAGMA application_id = 0x434d4150; -- 'CMAP': file(1) and certmapd know the database by it
PRAGMA user_version = 1;            -- the number of the last migration


-- What people write ---------------------------------------------------------------------------

-- One certificate stands for one account, in one service or in all of them.
CREATE TABLE mapping (
	-- Given by SQLite and never again to another row, so that a log line names one mapping for
	-- ever. It can't be changed.
	id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),
	-- PAM service name (the file in /etc/pam.d) in lower case; '*' is every service.
	service TEXT NOT NULL DEFAULT '*',
	-- The system account (getpwnam(3)) that the certificate stands for, byte for byte.
	account TEXT NOT NULL,
	-- 0: refused as mapping-disabled (or staged, where `replaces` is set).
	enabled INTEGER NOT NULL DEFAULT 1
		CONSTRAINT "enabled is 0 or 1" CHECK (enabled IN (0, 1)),
	-- The id of the mapping that this one will take over from: the staging of a renewed
	-- certificate. NULL: none; it becomes NULL when this one is enabled.
	replaces INTEGER,
	-- When the staging lapses, Unix seconds, UTC; that second belongs to it. NULL: never. It
	-- becomes NULL when this mapping is enabled.
	staged_until INTEGER
		CONSTRAINT "staged_until is in Unix seconds: unixepoch('2027-01-31 18:00') gives them"
		CHECK (staged_until BETWEEN 0 AND 253402300799),
	-- The mapping's own validity, Unix seconds, UTC; both ends belong to it. NULL: no limit.
	-- unixepoch('2027-01-31 18:00') gives such a number.
	valid_from INTEGER
		CONSTRAINT "valid_from is in Unix seconds: unixepoch('2027-01-31 18:00') gives them"
		CHECK (valid_from BETWEEN 0 AND 253402300799),
	valid_until INTEGER
		CONSTRAINT "valid_until is in Unix seconds: unixepoch('2027-01-31 18:00') gives them"
		CHECK (valid_until BETWEEN 0 AND 253402300799),
	-- The uid that the account must have; NULL: not bound. A name given to another uid is
	-- refused as account-changed.
	account_uid INTEGER
		CONSTRAINT "account_uid is a uid" CHECK (account_uid BETWEEN 0 AND 4294967294),
	-- For people: "alice's laptop".
	note TEXT,
	-- readfile('alice.cer') in DER or PEM, or pasted text: PEM, or base64 in one line. It stands
	-- last because it is long, and others are read without it.
	certificate ANY NOT NULL,
	CONSTRAINT "valid_until is before valid_from" CHECK (valid_until >= valid_from)
) STRICT;

-- Counts an account's certificates, and finds the exact rows that hide a '*' row.
CREATE INDEX mapping_account ON mapping (service, account, enabled);

-- Finds the same bytes again without an index over whole certificates: 40 bytes that end 40 before
-- the end lie in the signature, in every form that people store.
CREATE INDEX mapping_bytes ON mapping (substr(CAST(certificate AS BLOB), -80, 40));

-- The policy of a service. A service without a row, and NULL in a row, mean "as in the row '*'".
CREATE TABLE service (
	-- PAM service name in lower case; '*' holds the defaults and is always there.
	name TEXT NOT NULL PRIMARY KEY,
	-- 0: every lookup for the service is refused as service-disabled.
	enabled INTEGER
		CONSTRAINT "enabled is 0, 1 or NULL" CHECK (enabled IN (0, 1)),
	-- 0: the service sees its own mappings alone, not those of '*'.
	inherit INTEGER
		CONSTRAINT "inherit is 0, 1 or NULL" CHECK (inherit IN (0, 1)),
	-- How many enabled mappings an account may have in this scope: 1 is one-to-one.
	certificates_per_account INTEGER
		CONSTRAINT "certificates_per_account is 1 to 1000 or NULL"
		CHECK (certificates_per_account BETWEEN 1 AND 1000),
	-- 1: a line with accept=names counts here. Weak: whoever gets a certificate of these names from
	-- any issuer that the TLS service trusts comes in. 0: evidence-not-accepted.
	accept_names INTEGER
		CONSTRAINT "accept_names is 0, 1 or NULL" CHECK (accept_names IN (0, 1)),
	-- 1: a line with accept=name counts here. The weakest of all: one attribute of the subject.
	accept_name INTEGER
		CONSTRAINT "accept_name is 0, 1 or NULL" CHECK (accept_name IN (0, 1)),
	-- 1: a mapped certificate must also chain up to an anchor of `trust`, or it is untrusted-issuer,
	-- and be made for clients (clientAuth), or it is wrong-usage. Without an anchor nobody passes.
	require_trust INTEGER
		CONSTRAINT "require_trust is 0, 1 or NULL" CHECK (require_trust IN (0, 1)),
	-- What revocation lists mean where require_trust is 1. A certificate on a list is always revoked.
	-- 'require': a list that is missing or stale is revocation-unknown. 'prefer': it is let pass, and
	-- logged each time. 'off': lists are not looked at.
	revocation TEXT
		CONSTRAINT "revocation is 'require', 'prefer', 'off' or NULL"
		CHECK (revocation IN ('require', 'prefer', 'off')),
	-- 1: the session gets the stored credential; where it can't, the login is refused as
	-- credential-unavailable. Only a service that asks as root gets one.
	deliver_credential INTEGER
		CONSTRAINT "deliver_credential is 0, 1 or NULL" CHECK (deliver_credential IN (0, 1)),
	-- 1: every lookup is answered as if there were no certificate, and the log says what the answer
	-- would have been: for switching over without locking anybody out.
	shadow INTEGER
		CONSTRAINT "shadow is 0, 1 or NULL" CHECK (shadow IN (0, 1)),
	-- For people.
	note TEXT,
	CONSTRAINT "the row '*' holds the defaults: none of them can be NULL" CHECK (name <> '*' OR
		(enabled IS NOT NULL AND inherit IS NOT NULL AND certificates_per_account IS NOT NULL
			AND accept_names IS NOT NULL AND accept_name IS NOT NULL
			AND require_trust IS NOT NULL AND revocation IS NOT NULL
			AND deliver_credential IS NOT NULL AND shadow IS NOT NULL))
) STRICT, WITHOUT ROWID; -- so that no REPLACE can delete a row by its rowid

INSERT INTO service (name, enabled, inherit, certificates_per_account, accept_names, accept_name,
		require_trust, revocation, deliver_credential, shadow, note)
	VALUES ('*', 1, 1, 1, 0, 0, 0, 'require', 0, 0, 'defaults of every service');

-- What the certificates of a service are checked with, where service.require_trust is 1.
CREATE TABLE trust (
	-- Given by SQLite and never again to another row. It can't be changed.
	id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),
	-- PAM service name in lower case, or '*'. Anchors of '*' count for a service that has no anchor of
	-- its own; intermediates and lists of '*' count for every service.
	service TEXT NOT NULL DEFAULT '*',
	-- 'anchor': a certificate that is believed (RFC 5280 6.1.1). 'intermediate': one that helps to
	-- get there, and gives no trust. 'crl': a revocation list (RFC 5280 5).
	kind TEXT NOT NULL
		CONSTRAINT "kind is 'anchor', 'intermediate' or 'crl'"
		CHECK (kind IN ('anchor', 'intermediate', 'crl')),
	-- For people: where it came from.
	note TEXT,
	-- readfile('ca.pem'), readfile('ca.crl'): one certificate or list, in DER or PEM.
	content ANY NOT NULL
) STRICT;

CREATE INDEX trust_service ON trust (service);

-- The password that a session gets beside its account, sealed. It belongs to the account, so a
-- renewed certificate needs no new sealing.
CREATE TABLE credential (
	-- As in mapping; bound into the seal, so neither can be changed.
	service TEXT NOT NULL,
	account TEXT NOT NULL,
	-- AES-256-GCM over the password; written by certmapctl credential.
	sealed BLOB NOT NULL,
	PRIMARY KEY (service, account)
) STRICT, WITHOUT ROWID; -- as above


-- What is worked out --------------------------------------------------------------------------

-- What certmapd and certmapctl read out of a mapping's certificate. One row per mapping that is
-- not pending. Nothing is re-encoded: `der` are the bytes under the armour.
CREATE TABLE fact (
	-- mapping.id
	mapping_id INTEGER PRIMARY KEY,
	-- The mapping's service, for the index.
	service TEXT NOT NULL,
	-- SHA-256 of `der`. NULL where the armour could not be taken off.
	fingerprint BLOB CHECK (length(fingerprint) = 32),
	-- SHA-256 of the certificate's SubjectPublicKeyInfo in DER.
	key_fingerprint BLOB CHECK (length(key_fingerprint) = 32),
	-- For people, RFC 4514: decoration, never compared.
	subject TEXT,
	issuer TEXT,
	-- The same two names as stunnel prints them, compared whole in accept=names. NULL: too long.
	subject_line TEXT,
	issuer_line TEXT,
	-- Hexadecimal.
	serial TEXT,
	-- The certificate's own validity, Unix seconds, UTC; both ends belong to it.
	not_before INTEGER,
	not_after INTEGER,
	-- Why this mapping can't be used, in words: "two certificates in one text", "duplicate of
	-- mapping 7", ... NULL: it can.
	problem TEXT,
	-- The certificate, byte for byte. Last, because it is long.
	der BLOB,
	CHECK (problem IS NOT NULL OR (fingerprint IS NOT NULL AND key_fingerprint IS NOT NULL AND
		not_before IS NOT NULL AND not_after IS NOT NULL AND der IS NOT NULL))
) STRICT;

-- The way of a lookup, and the last guard of one-to-one: in a scope a certificate that can be used
-- stands in one row. (In another encoding it gets past the triggers below, which compare bytes.)
CREATE UNIQUE INDEX fact_certificate ON fact (fingerprint, service) WHERE problem IS NULL;

-- accept=key. Several certificates may hold one key.
CREATE INDEX fact_key ON fact (key_fingerprint, service) WHERE problem IS NULL;

-- accept=names.
CREATE INDEX fact_names ON fact (subject_line, issuer_line) WHERE problem IS NULL;

-- What names one of many in a certificate's subject (commonName, UID, emailAddress,
-- x500UniqueIdentifier, serialNumber), in UTF-8: accept=name.
CREATE TABLE fact_name (
	-- The attribute's value: "alice" of CN=alice.
	value TEXT NOT NULL,
	mapping_id INTEGER NOT NULL,
	PRIMARY KEY (value, mapping_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX fact_name_mapping ON fact_name (mapping_id);

-- When a mapping was last used, and how often. certmapd writes it in batches, seconds later, and what
-- it had not written is lost when it is killed: it is for finding mappings that nobody uses.
CREATE TABLE usage (
	-- mapping.id
	mapping_id INTEGER PRIMARY KEY,
	-- Unix seconds, UTC.
	last_used INTEGER NOT NULL,
	-- Logins that were allowed.
	uses INTEGER NOT NULL
) STRICT;

-- Finds the duplicates that wait for the row in their way to go.
CREATE INDEX fact_problem ON fact (fingerprint) WHERE problem IS NOT NULL;

CREATE TRIGGER fact_deleted AFTER DELETE ON fact
BEGIN
	DELETE FROM fact_name WHERE mapping_id = OLD.mapping_id;
END;

-- Mappings whose facts are not worked out yet. certmapd does that at the next lookup.
CREATE TABLE pending (
	-- mapping.id
	mapping_id INTEGER PRIMARY KEY,
	-- The mapping's service: a lookup asks whether rows of its own service are among a million of
	-- others, and must not read them all.
	service TEXT NOT NULL
) STRICT;

CREATE INDEX pending_service ON pending (service);


-- What happened -------------------------------------------------------------------------------

-- Every change of mapping, service and credential, also from a bare shell.
CREATE TABLE history (
	-- In the order of the changes.
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	-- Unix seconds, UTC.
	at INTEGER NOT NULL DEFAULT (unixepoch()),
	-- Who, where certmapctl did it; NULL is a shell.
	who TEXT,
	-- The table, and what happened to its row: insert, update or delete.
	object TEXT NOT NULL,
	change TEXT NOT NULL,
	-- mapping.id; NULL for the other tables, whose key stands in old and new.
	mapping_id INTEGER,
	-- The row before and after as JSON, without certificate and sealed.
	old TEXT,
	new TEXT,
	-- The certificate that an update or delete took away. (The one that came is in the mapping, or
	-- further down here. Revocation lists are not kept: they are large, and come again.)
	old_certificate ANY
) STRICT;

CREATE INDEX history_mapping ON history (mapping_id);

-- Empty but inside of certmapctl's transactions: it writes the acting person's name before a
-- change and takes it away before COMMIT, and the triggers copy it to history.who.
CREATE TABLE actor (
	-- As history.who.
	name TEXT NOT NULL,
	-- While the history is pruned: entries before this, in Unix seconds, may be deleted.
	prunes_before INTEGER
) STRICT;

CREATE TRIGGER history_insert BEFORE INSERT ON history
WHEN EXISTS (SELECT 1 FROM history WHERE id = NEW.id)
BEGIN
	SELECT RAISE(ABORT, 'history is written once: a row with this id exists.');
END;

-- With -1, which stands for "not given yet" in the trigger above, or with the highest number, one
-- forged entry would stop every later change.
CREATE TRIGGER history_inserted AFTER INSERT ON history
WHEN NEW.id <> 1 + max(coalesce((SELECT max(id) FROM history WHERE id < NEW.id), 0),
	coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'history'), 0))
BEGIN
	SELECT RAISE(ABORT, 'history numbers its entries itself: leave the id out.');
END;

CREATE TRIGGER history_update BEFORE UPDATE ON history
BEGIN
	SELECT RAISE(ABORT, 'history is not rewritten.');
END;

CREATE TRIGGER history_delete BEFORE DELETE ON history
WHEN NOT EXISTS (SELECT 1 FROM actor WHERE prunes_before > OLD.at)
BEGIN
	SELECT RAISE(ABORT, 'history is not deleted: `certmapctl history prune` shortens it, and leaves an entry that says so.');
END;


-- The rules of names -------------------------------------------------------------------------

-- SQLite has no procedures: such a view holds no rows, and its trigger is the one place for a rule
-- that several triggers share.
CREATE VIEW service_name_rule AS SELECT service FROM mapping WHERE 0;

CREATE TRIGGER service_name_check INSTEAD OF INSERT ON service_name_rule
BEGIN
	SELECT CASE
	WHEN typeof(NEW.service) <> 'text' OR length(CAST(NEW.service AS BLOB)) NOT BETWEEN 1 AND 64
		THEN RAISE(ABORT, 'service must be a PAM service name of 1 to 64 bytes, or ''*'' for every service.')
	WHEN NEW.service <> lower(NEW.service)
		THEN RAISE(ABORT, 'service must be in lower case, as libpam hands it on.')
	WHEN NEW.service <> '*' AND (NEW.service GLOB '*[^a-z0-9._+@-]*' OR NEW.service GLOB '[.-]*'
			OR instr(CAST(NEW.service AS BLOB), x'00'))
		THEN RAISE(ABORT, 'service must be the name of a file in /etc/pam.d, or ''*'' for every service.')
	END;
END;

CREATE VIEW account_name_rule AS SELECT account FROM mapping WHERE 0;

CREATE TRIGGER account_name_check INSTEAD OF INSERT ON account_name_rule
BEGIN
	SELECT CASE
	WHEN typeof(NEW.account) <> 'text' OR length(CAST(NEW.account AS BLOB)) NOT BETWEEN 1 AND 256
		THEN RAISE(ABORT, 'account must be the name of an account, 1 to 256 bytes of text.')
	WHEN NEW.account GLOB '*[' || char(1) || '-' || char(31) || char(127) || ':]*'
			OR instr(CAST(NEW.account AS BLOB), x'00') OR NEW.account GLOB '-*'
			OR NEW.account <> trim(NEW.account)
		THEN RAISE(ABORT, 'account must be the name of an account: no white space around it, no control character, no colon, no ''-'' in front.')
	END;
END;


-- The rules of a mapping ----------------------------------------------------------------------

-- The rules that INSERT and UPDATE share.
CREATE VIEW mapping_rule AS
	SELECT id, service, account, enabled, replaces, replaces AS old_replaces, certificate
	FROM mapping WHERE 0;

CREATE TRIGGER mapping_rule_check INSTEAD OF INSERT ON mapping_rule
BEGIN
	INSERT INTO service_name_rule VALUES (NEW.service);
	INSERT INTO account_name_rule VALUES (NEW.account);

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

	SELECT RAISE(ABORT, 'this certificate is mapped already for this service, and stands for one account only. It is: SELECT id, service, account, enabled FROM mapping WHERE certificate = readfile(''alice.cer'');')
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

CREATE TRIGGER mapping_insert BEFORE INSERT ON mapping
BEGIN
	-- An id that exists, however it came: INSERT OR REPLACE would delete that row.
	SELECT RAISE(ABORT, 'a mapping with this id exists: leave the id out to add one, or UPDATE it.')
	WHERE EXISTS (SELECT 1 FROM mapping WHERE id = NEW.id);
	INSERT INTO mapping_rule VALUES (NEW.id, NEW.service, NEW.account, NEW.enabled, NEW.replaces,
		NULL, NEW.certificate);
END;

-- Not "UPDATE OF id": the same column is also reached as rowid.
CREATE TRIGGER mapping_update BEFORE UPDATE ON mapping
BEGIN
	SELECT RAISE(ABORT, 'the id of a mapping can''t be changed: logs and history name it.')
	WHERE NEW.id IS NOT OLD.id;
	INSERT INTO mapping_rule VALUES (OLD.id, NEW.service, NEW.account, NEW.enabled, NEW.replaces,
		OLD.replaces, NEW.certificate);
END;


-- What follows from a change ------------------------------------------------------------------

-- Another row's place: one procedure, as above. The duplicates of a certificate that goes away
-- are looked at again, then its facts go.
CREATE VIEW fact_release AS SELECT mapping_id FROM fact WHERE 0;

CREATE TRIGGER fact_release_run INSTEAD OF INSERT ON fact_release
BEGIN
	INSERT INTO pending
		SELECT other.mapping_id, other.service FROM fact AS other
		WHERE other.problem IS NOT NULL AND other.mapping_id <> NEW.mapping_id
			AND other.fingerprint = (SELECT fingerprint FROM fact WHERE mapping_id = NEW.mapping_id)
			AND NOT EXISTS (SELECT 1 FROM pending WHERE mapping_id = other.mapping_id);
	DELETE FROM fact WHERE mapping_id = NEW.mapping_id;
	DELETE FROM pending WHERE mapping_id = NEW.mapping_id;
END;

CREATE TRIGGER mapping_inserted AFTER INSERT ON mapping
BEGIN
	INSERT INTO pending VALUES (NEW.id, NEW.service);
	INSERT INTO history (who, object, change, mapping_id, new) VALUES (
		(SELECT name FROM actor), 'mapping', 'insert', NEW.id,
		json_object('service', NEW.service, 'account', NEW.account, 'enabled', NEW.enabled,
			'replaces', NEW.replaces, 'staged_until', NEW.staged_until,
			'valid_from', NEW.valid_from, 'valid_until', NEW.valid_until, 'account_uid', NEW.account_uid, 'note', NEW.note));
END;

-- A staging is used up when it takes force, however that came. Else a mapping that is disabled much
-- later would count as staged once more, and its next login would put it into force again.
CREATE TRIGGER mapping_took_force AFTER UPDATE ON mapping
WHEN NEW.enabled = 1 AND NEW.replaces IS NOT NULL
BEGIN
	UPDATE mapping SET replaces = NULL, staged_until = NULL WHERE id = NEW.id;
END;

CREATE TRIGGER mapping_updated AFTER UPDATE ON mapping
BEGIN
	INSERT INTO history (who, object, change, mapping_id, old, new, old_certificate) VALUES (
		(SELECT name FROM actor), 'mapping', 'update', OLD.id,
		json_object('service', OLD.service, 'account', OLD.account, 'enabled', OLD.enabled,
			'replaces', OLD.replaces, 'staged_until', OLD.staged_until,
			'valid_from', OLD.valid_from, 'valid_until', OLD.valid_until, 'account_uid', OLD.account_uid, 'note', OLD.note),
		json_object('service', NEW.service, 'account', NEW.account, 'enabled', NEW.enabled,
			'replaces', NEW.replaces, 'staged_until', NEW.staged_until,
			'valid_from', NEW.valid_from, 'valid_until', NEW.valid_until, 'account_uid', NEW.account_uid, 'note', NEW.note),
		CASE WHEN NEW.certificate IS NOT OLD.certificate THEN OLD.certificate END);
END;

CREATE TRIGGER mapping_changed AFTER UPDATE ON mapping
WHEN NEW.certificate IS NOT OLD.certificate OR NEW.service IS NOT OLD.service
BEGIN
	INSERT INTO fact_release VALUES (OLD.id);
	INSERT INTO pending VALUES (NEW.id, NEW.service);
END;

-- Who changes a row that has a problem asks to look again.
CREATE TRIGGER mapping_mended AFTER UPDATE ON mapping
WHEN EXISTS (SELECT 1 FROM fact WHERE mapping_id = OLD.id AND problem IS NOT NULL)
	AND NOT EXISTS (SELECT 1 FROM pending WHERE mapping_id = OLD.id)
BEGIN
	INSERT INTO pending VALUES (NEW.id, NEW.service);
END;

CREATE TRIGGER mapping_deleted AFTER DELETE ON mapping
BEGIN
	INSERT INTO fact_release VALUES (OLD.id);
	DELETE FROM usage WHERE mapping_id = OLD.id;
	INSERT INTO history (who, object, change, mapping_id, old, old_certificate) VALUES (
		(SELECT name FROM actor), 'mapping', 'delete', OLD.id,
		json_object('service', OLD.service, 'account', OLD.account, 'enabled', OLD.enabled,
			'replaces', OLD.replaces, 'staged_until', OLD.staged_until,
			'valid_from', OLD.valid_from, 'valid_until', OLD.valid_until, 'account_uid', OLD.account_uid, 'note', OLD.note),
		OLD.certificate);
END;


-- The rules of a service ----------------------------------------------------------------------

-- One procedure again: after any change of a limit no account may be over it.
CREATE VIEW service_limit AS SELECT name FROM service WHERE 0;

CREATE TRIGGER service_limit_check INSTEAD OF INSERT ON service_limit
BEGIN
	SELECT RAISE(ABORT, 'an account has more enabled certificates than certificates_per_account would allow. They are: SELECT service, account, count(*) FROM mapping WHERE enabled GROUP BY 1, 2 ORDER BY 3 DESC;')
	WHERE EXISTS (SELECT 1 FROM mapping WHERE enabled = 1 GROUP BY service, account
		HAVING count(*) > coalesce(
			(SELECT certificates_per_account FROM service WHERE name = mapping.service),
			(SELECT certificates_per_account FROM service WHERE name = '*')));
END;

CREATE TRIGGER service_insert BEFORE INSERT ON service
BEGIN
	INSERT INTO service_name_rule VALUES (NEW.name);
	SELECT RAISE(ABORT, 'this service has its row: UPDATE service SET ... WHERE name = ''...'';')
	WHERE EXISTS (SELECT 1 FROM service WHERE name = NEW.name);
END;

CREATE TRIGGER service_update BEFORE UPDATE ON service
WHEN NEW.name IS NOT OLD.name
BEGIN
	SELECT RAISE(ABORT, 'the name of a service can''t be changed: insert a row of the new name and delete the old one.');
END;

CREATE TRIGGER service_delete BEFORE DELETE ON service
WHEN OLD.name = '*'
BEGIN
	SELECT RAISE(ABORT, 'the row ''*'' holds the defaults of every service and can''t be deleted.');
END;

CREATE TRIGGER service_inserted AFTER INSERT ON service
BEGIN
	INSERT INTO service_limit SELECT NEW.name WHERE NEW.certificates_per_account IS NOT NULL;
	INSERT INTO history (who, object, change, new) VALUES (
		(SELECT name FROM actor), 'service', 'insert',
		json_object('name', NEW.name, 'enabled', NEW.enabled, 'inherit', NEW.inherit,
			'certificates_per_account', NEW.certificates_per_account,
			'accept_names', NEW.accept_names, 'accept_name', NEW.accept_name,
			'require_trust', NEW.require_trust, 'revocation', NEW.revocation,
			'deliver_credential', NEW.deliver_credential, 'shadow', NEW.shadow,
			'note', NEW.note));
END;

CREATE TRIGGER service_updated AFTER UPDATE ON service
BEGIN
	INSERT INTO service_limit SELECT NEW.name
		WHERE NEW.certificates_per_account IS NOT OLD.certificates_per_account;
	INSERT INTO history (who, object, change, old, new) VALUES (
		(SELECT name FROM actor), 'service', 'update',
		json_object('name', OLD.name, 'enabled', OLD.enabled, 'inherit', OLD.inherit,
			'certificates_per_account', OLD.certificates_per_account,
			'accept_names', OLD.accept_names, 'accept_name', OLD.accept_name,
			'require_trust', OLD.require_trust, 'revocation', OLD.revocation,
			'deliver_credential', OLD.deliver_credential, 'shadow', OLD.shadow,
			'note', OLD.note),
		json_object('name', NEW.name, 'enabled', NEW.enabled, 'inherit', NEW.inherit,
			'certificates_per_account', NEW.certificates_per_account,
			'accept_names', NEW.accept_names, 'accept_name', NEW.accept_name,
			'require_trust', NEW.require_trust, 'revocation', NEW.revocation,
			'deliver_credential', NEW.deliver_credential, 'shadow', NEW.shadow,
			'note', NEW.note));
END;

CREATE TRIGGER service_deleted AFTER DELETE ON service
BEGIN
	INSERT INTO service_limit SELECT OLD.name WHERE OLD.certificates_per_account IS NOT NULL;
	INSERT INTO history (who, object, change, old) VALUES (
		(SELECT name FROM actor), 'service', 'delete',
		json_object('name', OLD.name, 'enabled', OLD.enabled, 'inherit', OLD.inherit,
			'certificates_per_account', OLD.certificates_per_account,
			'accept_names', OLD.accept_names, 'accept_name', OLD.accept_name,
			'require_trust', OLD.require_trust, 'revocation', OLD.revocation,
			'deliver_credential', OLD.deliver_credential, 'shadow', OLD.shadow,
			'note', OLD.note));
END;


-- The rules of trust -------------------------------------------------------------------------

-- One procedure again, for INSERT and UPDATE.
CREATE VIEW trust_rule AS SELECT service, content FROM trust WHERE 0;

CREATE TRIGGER trust_rule_check INSTEAD OF INSERT ON trust_rule
BEGIN
	INSERT INTO service_name_rule VALUES (NEW.service);
	SELECT CASE
	WHEN NEW.content IS NULL
		THEN RAISE(ABORT, 'content is NULL: none was given, or readfile() found no such file (the path is relative to where sqlite3 was started).')
	WHEN typeof(NEW.content) NOT IN ('text', 'blob')
			OR length(CAST(NEW.content AS BLOB)) NOT BETWEEN 1 AND 16777216
		THEN RAISE(ABORT, 'content must be the file itself, readfile(''ca.pem''), of at most 16 MiB.')
	WHEN instr(CAST(NEW.content AS BLOB), CAST('PRIVATE KEY-----' AS BLOB))
		THEN RAISE(ABORT, 'content holds a private key, which must stay where it is: give the certificate without it.')
	END;
END;

CREATE TRIGGER trust_insert BEFORE INSERT ON trust
BEGIN
	SELECT RAISE(ABORT, 'a row of trust with this id exists: leave the id out to add one, or UPDATE it.')
	WHERE EXISTS (SELECT 1 FROM trust WHERE id = NEW.id);
	INSERT INTO trust_rule VALUES (NEW.service, NEW.content);
END;

CREATE TRIGGER trust_update BEFORE UPDATE ON trust
BEGIN
	SELECT RAISE(ABORT, 'the id of a row of trust can''t be changed: the history names it.')
	WHERE NEW.id IS NOT OLD.id;
	INSERT INTO trust_rule VALUES (NEW.service, NEW.content);
END;

CREATE TRIGGER trust_inserted AFTER INSERT ON trust
BEGIN
	INSERT INTO history (who, object, change, new) VALUES (
		(SELECT name FROM actor), 'trust', 'insert',
		json_object('id', NEW.id, 'service', NEW.service, 'kind', NEW.kind, 'note', NEW.note));
END;

CREATE TRIGGER trust_updated AFTER UPDATE ON trust
BEGIN
	INSERT INTO history (who, object, change, old, new, old_certificate) VALUES (
		(SELECT name FROM actor), 'trust', 'update',
		json_object('id', OLD.id, 'service', OLD.service, 'kind', OLD.kind, 'note', OLD.note),
		json_object('id', NEW.id, 'service', NEW.service, 'kind', NEW.kind, 'note', NEW.note),
		CASE WHEN NEW.content IS NOT OLD.content AND OLD.kind <> 'crl' THEN OLD.content END);
END;

CREATE TRIGGER trust_deleted AFTER DELETE ON trust
BEGIN
	INSERT INTO history (who, object, change, old, old_certificate) VALUES (
		(SELECT name FROM actor), 'trust', 'delete',
		json_object('id', OLD.id, 'service', OLD.service, 'kind', OLD.kind, 'note', OLD.note),
		CASE WHEN OLD.kind <> 'crl' THEN OLD.content END);
END;


-- The rules of a credential -------------------------------------------------------------------

CREATE TRIGGER credential_insert BEFORE INSERT ON credential
BEGIN
	INSERT INTO service_name_rule VALUES (NEW.service);
	INSERT INTO account_name_rule VALUES (NEW.account);
	SELECT RAISE(ABORT, 'this account has its credential for this service: UPDATE or DELETE it first.')
	WHERE EXISTS (SELECT 1 FROM credential WHERE service = NEW.service AND account = NEW.account);
END;

CREATE TRIGGER credential_update BEFORE UPDATE ON credential
WHEN NEW.service IS NOT OLD.service OR NEW.account IS NOT OLD.account
BEGIN
	SELECT RAISE(ABORT, 'a credential is sealed for its service and account: seal a new one instead.');
END;

CREATE TRIGGER credential_inserted AFTER INSERT ON credential
BEGIN
	INSERT INTO history (who, object, change, new) VALUES (
		(SELECT name FROM actor), 'credential', 'insert',
		json_object('service', NEW.service, 'account', NEW.account));
END;

CREATE TRIGGER credential_updated AFTER UPDATE ON credential
BEGIN
	INSERT INTO history (who, object, change, old, new) VALUES (
		(SELECT name FROM actor), 'credential', 'update',
		json_object('service', OLD.service, 'account', OLD.account),
		json_object('service', NEW.service, 'account', NEW.account));
END;

CREATE TRIGGER credential_deleted AFTER DELETE ON credential
BEGIN
	INSERT INTO history (who, object, change, old) VALUES (
		(SELECT name FROM actor), 'credential', 'delete',
		json_object('service', OLD.service, 'account', OLD.account));
END;


-- What a person wants to see ------------------------------------------------------------------

-- Every mapping with its state in words, without the certificates. Times are UTC.
CREATE VIEW mapping_status AS
	SELECT m.id, m.service, m.account,
		CASE
		WHEN p.mapping_id IS NOT NULL OR f.mapping_id IS NULL THEN 'pending'
		WHEN f.problem IS NOT NULL THEN 'problem'
		WHEN m.enabled = 0 AND m.replaces IS NOT NULL THEN 'staged'
		WHEN m.enabled = 0 THEN 'disabled'
		WHEN coalesce(s.enabled, d.enabled) = 0 THEN 'service disabled'
		WHEN m.valid_from > unixepoch() THEN 'not yet valid'
		WHEN m.valid_until < unixepoch() THEN 'expired'
		WHEN f.not_before > unixepoch() THEN 'certificate not yet valid'
		WHEN f.not_after < unixepoch() THEN 'certificate expired'
		ELSE 'in force'
		END AS state,
		f.problem, f.subject, f.issuer, f.serial,
		lower(hex(f.fingerprint)) AS fingerprint,
		datetime(f.not_before, 'unixepoch') AS not_before,
		datetime(f.not_after, 'unixepoch') AS not_after,
		datetime(m.valid_from, 'unixepoch') AS valid_from,
		datetime(m.valid_until, 'unixepoch') AS valid_until,
		m.replaces, datetime(m.staged_until, 'unixepoch') AS staged_until, m.account_uid, m.note,
		datetime(u.last_used, 'unixepoch') AS last_used, u.uses
	FROM mapping AS m
		LEFT JOIN usage AS u ON u.mapping_id = m.id
		LEFT JOIN fact AS f ON f.mapping_id = m.id
		LEFT JOIN pending AS p ON p.mapping_id = m.id
		LEFT JOIN service AS s ON s.name = m.service
		LEFT JOIN service AS d ON d.name = '*';

COMMIT;

-- Readers never wait for a writer. It is a property of the file and can't change in a transaction.
PRAGMA journal_mode = WAL;
