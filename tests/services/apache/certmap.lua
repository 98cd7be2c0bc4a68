-- SPDX-License-Identifier: LGPL-2.1-or-later
--
-- /etc/apache2/certmap.lua: hands the verified client certificate to PAM, as the password of a
-- basic authentication. Goes with certmap.conf beside this file, which says where it runs.

require "apache2"

-- Which account a certificate asks for where its common name is not the account's name, by the
-- whole common name. This decides nothing: certmap lets a certificate pass only as the account that
-- it is mapped to, and anything else that is asked for here ends in 401 (account-mismatch).
local accounts = {
	["Robert Tables"] = "bob",
}

local function claimed_account(r)
	local common_name = r:ssl_var_lookup("SSL_CLIENT_S_DN_CN") or ""
	local account = accounts[common_name] or common_name
	-- No colon above all: what follows the first one would be read as part of the password.
	return account:match("^[%w_][%w_.-]*$")
end

function supply_certificate(r)
	-- First of all, whatever comes below: a certificate that the client typed proves nothing.
	r.headers_in["Authorization"] = nil

	-- NONE is no certificate; GENEROUS and FAILED are one that was not verified.
	if r:ssl_var_lookup("SSL_CLIENT_VERIFY") ~= "SUCCESS" then
		return apache2.DECLINED
	end
	local account = claimed_account(r)
	if account then
		r.headers_in["Authorization"] = "Basic " ..
			r:base64_encode(account .. ":" .. r:ssl_var_lookup("SSL_CLIENT_CERT"))
	end
	-- Not OK: that would be an opinion on whether access is allowed.
	return apache2.DECLINED
end
