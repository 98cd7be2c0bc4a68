-- SPDX-License-Identifier: LGPL-2.1-or-later
--
-- Maps the certificate in alice.cer to the account alice, for the service proftpd. As root, in the
-- directory of alice.cer:
--
--     sqlite3 -bail /var/lib/certmap/mappings.db < map.sql
--
-- readfile() takes DER, PEM and the one-line base64 of IIS as they are.

.timeout 5000
BEGIN IMMEDIATE;

-- A service without a row is as the row '*' says, which is on unless somebody switched it off.
INSERT INTO service (name) SELECT 'proftpd'
	WHERE NOT EXISTS (SELECT 1 FROM service WHERE name = 'proftpd');
UPDATE service SET enabled = 1 WHERE name = 'proftpd';

INSERT INTO mapping (service, account, enabled, certificate)
	VALUES ('proftpd', 'alice', 1, readfile('alice.cer'));

COMMIT;

-- "pending" until the next lookup or certmapctl has read the certificate.
SELECT id, service, account, state FROM mapping_status WHERE service = 'proftpd';
