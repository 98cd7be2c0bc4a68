// SPDX-License-Identifier: LGPL-2.1-or-later
//
// /etc/nginx/njs/certmap.js: hands the verified client certificate to the back server, and so to PAM,
// as the password of a basic authentication. Goes with certmap.conf beside this file.

// "" is no header at all. NONE is no certificate, FAILED one that was not verified.
function authorization(r) {
	const v = r.variables;

	if (v.ssl_client_verify !== 'SUCCESS' || !v.certmap_claimed)
		return '';
	return 'Basic ' +
		Buffer.from(v.certmap_claimed + ':' + v.ssl_client_raw_cert).toString('base64');
}

export default { authorization };
