/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_trust.c owns the tests of chains and revocation: tables of certificates and lists that are
 * made for real, and tables of what must be found. The openssl command verifies the same chains;
 * where certmap means to differ from it, the row says why.
 */
#include "trust.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <wchar.h>

#include <cmocka.h>

#include "certificate.h"
#include "chain.h"
#include "openssl_memory.h"
#include "openssl_tool.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CA "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
#define CA_WITH_LENGTH(n) \
	"basicConstraints=critical,CA:TRUE,pathlen:" n "\nkeyUsage=critical,keyCertSign,cRLSign\n"
#define CLIENT "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
#define CLIENT_OF(usage) \
	"basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\nkeyUsage=" usage "\n"
#define LIMITED \
	CA "nameConstraints=critical,permitted;DNS:example.org,excluded;DNS:bad.example.org\n"
#define UNKNOWN_CRITICAL "1.2.3.4=critical,DER:0500\n"
#define LONG_UNITS "/OU=€€€€€€€€€€€€€€€€€€€€/OU=€€€€€€€€€€€€€€€€€€€€/OU=€€€€€€€€€€€€€€€€€€€€"
#define LONG_NAME LONG_UNITS LONG_UNITS LONG_UNITS LONG_UNITS

/* clang-format off */
/* What a row leaves out is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct chain_certificate certificates[] = {
	{ "root", "/CN=Root", NULL, "ec:root", CA },
	{ "sub", "/CN=Sub", "root", "ec:sub", CA },
	{ "alice", "/CN=alice", "sub", "ec:alice", CLIENT },
	{ "other", "/CN=Other", NULL, "ec:other", CA },

	{ "root-rsa", "/CN=Root RSA", NULL, "rsa:root", CA },
	{ "sub-rsa", "/CN=Sub RSA", "root-rsa", "rsa:sub", CA },
	{ "alice-rsa", "/CN=alice", "sub-rsa", "rsa:alice", CLIENT },
	{ "root-pss", "/CN=Root PSS", NULL, "pss:root", CA },
	{ "sub-pss", "/CN=Sub PSS", "root-pss", "pss:sub", CA },
	{ "alice-pss", "/CN=alice", "sub-pss", "pss:alice", CLIENT },
	{ "root-ed", "/CN=Root Ed25519", NULL, "ed25519:root", CA },
	{ "sub-ed", "/CN=Sub Ed25519", "root-ed", "ed25519:sub", CA },
	{ "alice-ed", "/CN=alice", "sub-ed", "ed25519:alice", CLIENT },
	{ "sub-mixed", "/CN=Sub mixed", "root-rsa", "ec:mixed", CA },
	{ "alice-mixed", "/CN=alice", "sub-mixed", "ed25519:mixed", CLIENT },

	/* The same authority, by others and at other times. */
	{ "third", "/CN=Third", NULL, "ec:third", CA },
	{ "sub-by-third", "/CN=Sub", "third", "ec:sub", CA },
	{ "sub-by-other", "/CN=Sub", "other", "ec:sub", CA },
	{ "sub-by-other-expired", "/CN=Sub", "other", "ec:sub", CA,
	  .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "sub-expired", "/CN=Sub", "root", "ec:sub", CA,
	  .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "sub-future", "/CN=Sub", "root", "ec:sub", CA,
	  .from_sec = DAY_SEC, .until_sec = 9 * DAY_SEC },
	{ "sub-brief", "/CN=Sub", "root", "ec:sub", CA, .from_sec = -10, .until_sec = 10 },
	{ "sub-next", "/CN=Sub", "root", "ec:sub", CA, .from_sec = 20, .until_sec = 30 },
	{ "root-expired", "/CN=Root", NULL, "ec:root", CA,
	  .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "alice-expired", "/CN=alice", "sub", "ec:alice", CLIENT,
	  .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },

	/* The same name with another key. */
	{ "root-new", "/CN=Root", NULL, "ec:root-new", CA },
	{ "sub-new", "/CN=Sub", "root", "ec:sub-new", CA },
	{ "alice-new", "/CN=alice", "sub-new", "ec:alice", CLIENT },
	{ "rolled-old", "/CN=Rolled", NULL, "ec:rolled-old", CA "subjectKeyIdentifier=hash" },
	{ "rolled-new", "/CN=Rolled", "rolled-old", "ec:rolled-new",
	  CA "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid" },
	{ "alice-rolled", "/CN=alice", "rolled-new", "ec:alice", CLIENT },
	{ "alice-forged", "/CN=alice", "sub", "ec:alice", CLIENT, .signed_by = "ec:mallory" },
	{ "server-forged", "/CN=alice", "sub", "ec:alice", "extendedKeyUsage=serverAuth",
	  .signed_by = "ec:mallory" },
	{ "sub-forged", "/CN=Sub", "root", "ec:sub", CA, .signed_by = "ec:mallory" },
	{ "root-identified", "/CN=Root", NULL, "ec:root", CA "subjectKeyIdentifier=hash" },
	{ "sub-identified", "/CN=Sub", "root-identified", "ec:sub",
	  CA "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid" },
	{ "alice-identified", "/CN=alice", "sub-identified", "ec:alice",
	  CLIENT "authorityKeyIdentifier=keyid" },

	/* Path length: what may be below the authority itself. */
	{ "root-0", "/CN=Root 0", NULL, "ec:root-0", CA_WITH_LENGTH("0") },
	{ "sub-0", "/CN=Sub 0", "root-0", "ec:sub-0", CA },
	{ "alice-0", "/CN=alice", "root-0", "ec:alice", CLIENT },
	{ "alice-below-0", "/CN=alice", "sub-0", "ec:alice", CLIENT },
	{ "root-1", "/CN=Root 1", NULL, "ec:root-1", CA_WITH_LENGTH("1") },
	{ "sub-1", "/CN=Sub 1", "root-1", "ec:sub-1", CA },
	{ "alice-below-1", "/CN=alice", "sub-1", "ec:alice", CLIENT },

	/* Name constraints. */
	{ "limited", "/CN=Limited", "root", "ec:limited", LIMITED },
	{ "limited-root", "/CN=Limited root", NULL, "ec:limited", LIMITED },
	{ "alice-permitted", "/CN=alice", "limited", "ec:alice",
	  CLIENT "subjectAltName=DNS:a.example.org" },
	{ "alice-not-permitted", "/CN=alice", "limited", "ec:alice",
	  CLIENT "subjectAltName=DNS:a.example.net" },
	{ "alice-excluded", "/CN=alice", "limited", "ec:alice",
	  CLIENT "subjectAltName=DNS:a.bad.example.org" },
	{ "alice-elsewhere", "/CN=alice", "limited-root", "ec:alice",
	  CLIENT "subjectAltName=DNS:a.example.net" },

	/* Security level 2. */
	{ "alice-sha1", "/CN=alice", "sub", "ec:alice", CLIENT, .digest = "SHA1" },
	{ "sub-sha1", "/CN=Sub", "root", "ec:sub", CA, .digest = "SHA1" },
	{ "root-sha1", "/CN=Root", NULL, "ec:root", CA, .digest = "SHA1" },
	{ "alice-weak", "/CN=alice", "sub", "weak:alice", CLIENT },
	{ "root-weak", "/CN=Root weak", NULL, "weak:root", CA },
	{ "alice-of-weak", "/CN=alice", "root-weak", "ec:alice", CLIENT },

	/* Usage. */
	{ "server", "/CN=alice", "sub", "ec:alice", "extendedKeyUsage=serverAuth" },
	{ "server-critical", "/CN=alice", "sub", "ec:alice",
	  "extendedKeyUsage=critical,serverAuth" },
	{ "unknown-usage", "/CN=alice", "sub", "ec:alice", "extendedKeyUsage=1.2.3.4" },
	{ "both-usages", "/CN=alice", "sub", "ec:alice", "extendedKeyUsage=serverAuth,clientAuth" },
	{ "any-usage", "/CN=alice", "sub", "ec:alice", "extendedKeyUsage=anyExtendedKeyUsage" },
	{ "no-usage", "/CN=alice", "sub", "ec:alice", "basicConstraints=CA:FALSE" },
	{ "version-1", "/CN=alice", "sub", "ec:alice", NULL },
	{ "agrees", "/CN=alice", "sub", "ec:alice", CLIENT_OF("keyAgreement") },
	{ "enciphers", "/CN=alice", "sub", "ec:alice", CLIENT_OF("keyEncipherment") },
	{ "signs-certificates", "/CN=alice", "sub", "ec:alice",
	  "basicConstraints=CA:TRUE\nkeyUsage=keyCertSign\n" },
	{ "sub-server", "/CN=Sub", "root", "ec:sub", CA "extendedKeyUsage=serverAuth" },
	{ "sub-client", "/CN=Sub", "root", "ec:sub", CA "extendedKeyUsage=clientAuth" },
	{ "sub-any", "/CN=Sub", "root", "ec:sub", CA "extendedKeyUsage=anyExtendedKeyUsage" },

	/* Authorities and none. */
	{ "alice-of-alice", "/CN=bob", "alice", "ec:bob", CLIENT },
	{ "sub-no-sign", "/CN=Sub", "root", "ec:sub",
	  "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,cRLSign" },
	{ "sub-no-basic", "/CN=Sub", "root", "ec:sub", "keyUsage=critical,keyCertSign,cRLSign" },
	{ "sub-no-list", "/CN=Sub", "root", "ec:sub",
	  "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign" },
	{ "sub-no-key-usage", "/CN=Sub", "root", "ec:sub", "basicConstraints=critical,CA:TRUE" },
	{ "sub-version-1", "/CN=Sub", "root", "ec:sub", NULL },
	{ "root-version-1", "/CN=Root", NULL, "ec:root", NULL },
	{ "self", "/CN=alice", NULL, "ec:self", CA },
	{ "self-client", "/CN=alice", NULL, "ec:self",
	  "basicConstraints=critical,CA:TRUE\nkeyUsage=digitalSignature,keyCertSign\n"
	  "extendedKeyUsage=clientAuth" },
	{ "self-no-authority", "/CN=alice", NULL, "ec:self", CLIENT },
	{ "alice-critical", "/CN=alice", "sub", "ec:alice", CLIENT UNKNOWN_CRITICAL },
	{ "alice-not-critical", "/CN=alice", "sub", "ec:alice", CLIENT "1.2.3.4=DER:0500\n" },
	{ "sub-critical", "/CN=Sub", "root", "ec:sub", CA UNKNOWN_CRITICAL },
	{ "alice-malformed", "/CN=alice", "sub", "ec:alice", "basicConstraints=DER:0500" },

	/* Eight certificates make the longest chain. */
	{ "long-1", "/CN=Long 1", "root", "ec:long", CA },
	{ "long-2", "/CN=Long 2", "long-1", "ec:long", CA },
	{ "long-3", "/CN=Long 3", "long-2", "ec:long", CA },
	{ "long-4", "/CN=Long 4", "long-3", "ec:long", CA },
	{ "long-5", "/CN=Long 5", "long-4", "ec:long", CA },
	{ "long-6", "/CN=Long 6", "long-5", "ec:long", CA },
	{ "long-7", "/CN=Long 7", "long-6", "ec:long", CA },
	{ "alice-of-6", "/CN=alice", "long-6", "ec:alice", CLIENT },
	{ "alice-of-7", "/CN=alice", "long-7", "ec:alice", CLIENT },

	/* Everybody may have issued everybody. */
	{ "mesh-1", "/CN=Mesh", NULL, "ec:mesh-1", CA }, { "mesh-2", "/CN=Mesh", NULL, "ec:mesh-2",
	  CA },
	{ "mesh-3", "/CN=Mesh", NULL, "ec:mesh-3", CA }, { "mesh-4", "/CN=Mesh", NULL, "ec:mesh-4",
	  CA },
	{ "mesh-5", "/CN=Mesh", NULL, "ec:mesh-5", CA }, { "mesh-6", "/CN=Mesh", NULL, "ec:mesh-6",
	  CA },
	{ "mesh-7", "/CN=Mesh", NULL, "ec:mesh-7", CA }, { "mesh-8", "/CN=Mesh", NULL, "ec:mesh-8",
	  CA },
	{ "mesh-9", "/CN=Mesh", NULL, "ec:mesh-9", CA }, { "mesh-10", "/CN=Mesh", NULL,
	  "ec:mesh-10", CA },
	{ "mesh-anchor", "/CN=Mesh", NULL, "ec:mesh-anchor", CA },
	{ "alice-of-mesh", "/CN=alice", "mesh-1", "ec:alice", CLIENT },

	/* Parts of a list, and names for people. */
	{ "alice-part", "/CN=alice", "sub", "ec:alice",
	  CLIENT "crlDistributionPoints=URI:http://crl.example.org/1.crl" },
	{ "alice-part-reasons", "/CN=alice", "sub", "ec:alice",
	  CLIENT "crlDistributionPoints=point\n[point]\nfullname=URI:http://crl.example.org/1.crl\n"
	  "reasons=keyCompromise\n" },
	{ "alice-part-issuer", "/CN=alice", "sub", "ec:alice",
	  CLIENT "crlDistributionPoints=point\n[point]\nfullname=URI:http://crl.example.org/1.crl\n"
	  "CRLissuer=dirName:name\n[name]\nCN=Somebody\n" },
	{ "sub-controls", "/O=a\nreason=allowed/CN=Controls", "root", "ec:controls", CA,
	  .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "alice-of-controls", "/CN=alice", "sub-controls", "ec:alice", CLIENT },
	{ "long-name-1", LONG_NAME "/CN=a", "sub", "ec:alice", CLIENT },
	{ "long-name-2", LONG_NAME "/CN=al", "sub", "ec:alice", CLIENT },
	{ "long-name-3", LONG_NAME "/CN=ali", "sub", "ec:alice", CLIENT },
	{ .name = NULL },
};

#define IDP(value) "issuingDistributionPoint=critical,@scope\n[scope]\n" value "\n"

static const struct chain_crl crls[] = {
	{ "root-list", "root" },
	{ "root-list-sub", "root", "sub" },
	{ "root-list-stale", "root", .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "root-list-sub-stale", "root", "sub", .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "other-list", "other" },
	{ "sub-list", "sub" },
	{ "sub-list-alice", "sub", "alice alice-part" },
	{ "sub-list-bob", "sub", "alice-new" },
	{ "sub-list-stale", "sub", .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "sub-list-alice-stale", "sub", "alice", .from_sec = -9 * DAY_SEC, .until_sec = -DAY_SEC },
	{ "sub-list-alice-newer", "sub", "alice", .from_sec = -10, .until_sec = DAY_SEC },
	{ "sub-list-newer", "sub", .from_sec = -10, .until_sec = DAY_SEC },
	{ "sub-list-future", "sub", .from_sec = DAY_SEC, .until_sec = 9 * DAY_SEC },
	{ "sub-list-alice-future", "sub", "alice", .from_sec = DAY_SEC, .until_sec = 9 * DAY_SEC },
	{ "sub-list-forged", "sub", .signed_by = "ec:mallory" },
	{ "sub-list-alice-forged", "sub", "alice", .signed_by = "ec:mallory" },
	{ "root-list-sub-forged", "root", "sub", .signed_by = "ec:mallory" },
	{ "sub-list-alice-by-root", "sub", "alice", .signed_by = "ec:root" },
	{ "sub-list-endless", "sub", .from_sec = -DAY_SEC, .until_sec = NO_NEXT_UPDATE },
	{ "sub-list-alice-endless", "sub", "alice",
	  .from_sec = -DAY_SEC, .until_sec = NO_NEXT_UPDATE },
	{ "sub-list-critical", "sub", .extensions = UNKNOWN_CRITICAL },
	{ "sub-list-alice-critical", "sub", "alice", .extensions = UNKNOWN_CRITICAL },
	{ "sub-list-numbered", "sub", .extensions = "2.5.29.20=DER:020107\n1.2.3.4=DER:0500\n" },
	{ "sub-list-critical-entry", "sub", "alice-new", .has_unknown_entries = true },
	{ "sub-list-delta", "sub", .extensions = "deltaCRL=critical,DER:020107" },
	{ "sub-list-indirect", "sub", .extensions = IDP("indirectCRL=TRUE") },
	{ "sub-list-attributes", "sub", .extensions = IDP("onlyAA=TRUE") },
	{ "sub-list-malformed", "sub", .extensions = "issuingDistributionPoint=critical,DER:0500" },
	{ "sub-list-some", "sub", .extensions = IDP("onlysomereasons=keyCompromise") },
	{ "sub-list-alice-some", "sub", "alice",
	  .extensions = IDP("onlysomereasons=keyCompromise") },
	{ "sub-list-users", "sub", .extensions = IDP("onlyuser=TRUE") },
	{ "sub-list-authorities", "sub", .extensions = IDP("onlyCA=TRUE") },
	{ "root-list-users", "root", .extensions = IDP("onlyuser=TRUE") },
	{ "root-list-authorities", "root", .extensions = IDP("onlyCA=TRUE") },
	{ "sub-list-part", "sub", .extensions = IDP("fullname=URI:http://crl.example.org/1.crl") },
	{ "sub-list-part-2", "sub",
	  .extensions = IDP("fullname=URI:http://crl.example.org/2.crl") },
	{ "sub-list-alice-part-2", "sub", "alice alice-part",
	  .extensions = IDP("fullname=URI:http://crl.example.org/2.crl") },
	{ "sub-list-alice-removed", "sub", "alice", .reason = 8 },
	{ "sub-list-alice-held", "sub", "alice", .reason = 6 },
	{ "sub-list-sha1", "sub", .digest = "SHA1" },
	{ "sub-list-backwards", "sub", .from_sec = DAY_SEC, .until_sec = -DAY_SEC },
	{ "sub-list-brief", "sub", .from_sec = -5, .until_sec = 5 },
	{ "sub-list-next", "sub", .from_sec = 15, .until_sec = 25 },
	{ "sub-new-list", "sub-new" },
	{ "sub-new-list-alice", "sub-new", "alice alice-new" },
	{ "root-rsa-list", "root-rsa" }, { "sub-rsa-list", "sub-rsa" },
	{ "sub-rsa-list-alice", "sub-rsa", "alice-rsa" },
	{ "root-pss-list", "root-pss" }, { "sub-pss-list", "sub-pss" },
	{ "sub-pss-list-alice", "sub-pss", "alice-pss" },
	{ "sub-pss-list-sha1", "sub-pss", .digest = "SHA1" },
	{ "root-ed-list", "root-ed" }, { "sub-ed-list", "sub-ed" },
	{ "sub-ed-list-alice", "sub-ed", "alice-ed" },
	{ .name = NULL },
};

/* What must be found with usage and without lists. A name after '!' is refused as material. */
static const struct chain_row {
	const char *name;
	const char *anchors, *intermediates, *leaf;
	enum trust_finding finding;
	const char *why;     /* is in the words */
	const char *differs; /* from the openssl command, and why */
} chain_rows[] = {
	{ "chain_of_three_is_trusted", "root", "sub", "alice", TRUST_TRUSTED, "" },
	{ "rsa_is_trusted", "root-rsa", "sub-rsa", "alice-rsa", TRUST_TRUSTED, "" },
	{ "rsa_pss_is_trusted", "root-pss", "sub-pss", "alice-pss", TRUST_TRUSTED, "" },
	{ "ed25519_is_trusted", "root-ed", "sub-ed", "alice-ed", TRUST_TRUSTED, "" },
	{ "mixed_algorithms_are_trusted", "root-rsa", "sub-mixed", "alice-mixed", TRUST_TRUSTED, ""
	  },
	{ "key_identifiers_are_followed", "root-identified", "sub-identified", "alice-identified",
	  TRUST_TRUSTED, "" },
	{ "intermediate_as_anchor_is_enough", "sub", "", "alice", TRUST_TRUSTED, "" },
	{ "anchors_need_no_intermediates_between", "root sub", "", "alice", TRUST_TRUSTED, "" },
	{ "other_material_is_in_nobodys_way", "other root-rsa root", "sub-rsa sub sub-ed", "alice",
	  TRUST_TRUSTED, "" },
	{ "issuer_that_is_not_there_is_untrusted", "root", "", "alice", TRUST_UNTRUSTED,
	  "no anchor or intermediate is its issuer: CN=alice" },
	{ "intermediate_without_its_anchor_is_untrusted", "other", "sub", "alice", TRUST_UNTRUSTED,
	  "no anchor or intermediate is its issuer: CN=Sub" },
	{ "root_as_intermediate_is_no_anchor", "other", "sub root", "alice", TRUST_UNTRUSTED,
	  "CN=Root" },
	{ "dead_end_nearest_to_an_anchor_is_told", "other", "sub root sub-by-third", "alice",
	  TRUST_UNTRUSTED, "its issuer: CN=Root" },
	{ "nothing_trusts_nothing", "", "", "alice", TRUST_UNTRUSTED, "no anchor" },

	{ "self_signed_is_untrusted", "root", "", "self", TRUST_UNTRUSTED, "CN=alice" },
	{ "self_signed_as_intermediate_is_untrusted", "root", "self", "self", TRUST_UNTRUSTED,
	  "CN=alice" },
	{ "mapped_anchor_is_trusted", "self-client", "", "self-client", TRUST_TRUSTED, "" },
	{ "mapped_anchor_must_be_for_clients", "self", "", "self", TRUST_WRONG_USAGE, "keyUsage" },
	{ "mapped_certificate_that_is_no_authority_is_no_anchor", "!self-no-authority", "",
	  "self-no-authority", TRUST_UNTRUSTED, "CN=alice",
	  "any certificate can be given to -trusted" },

	{ "forged_certificate_is_untrusted", "root", "sub", "alice-forged", TRUST_UNTRUSTED,
	  "signature failure: CN=alice" },
	{ "forged_intermediate_is_untrusted", "root", "sub-forged", "alice", TRUST_UNTRUSTED,
	  "signature failure: CN=Sub" },
	{ "forged_certificate_names_no_other_reason", "root", "sub", "server-forged",
	  TRUST_UNTRUSTED, "signature failure" },
	{ "forged_intermediate_does_not_hide_the_right_one", "root", "sub-forged sub", "alice",
	  TRUST_TRUSTED, "", "takes one path" },

	{ "expired_intermediate_is_untrusted", "root", "sub-expired", "alice", TRUST_UNTRUSTED,
	  "expired: CN=Sub" },
	{ "intermediate_of_tomorrow_is_untrusted", "root", "sub-future", "alice", TRUST_UNTRUSTED,
	  "not yet valid: CN=Sub" },
	{ "expired_anchor_is_untrusted", "root-expired", "sub", "alice", TRUST_UNTRUSTED,
	  "expired: CN=Root" },
	{ "expired_anchor_does_not_hide_the_renewed_one", "root-expired root", "sub", "alice",
	  TRUST_TRUSTED, "" },
	{ "expired_intermediate_does_not_hide_the_renewed_one", "root", "sub-expired sub", "alice",
	  TRUST_TRUSTED, "" },
	{ "mapped_certificates_own_time_is_another_gates", "root", "sub", "alice-expired",
	  TRUST_TRUSTED, "", "looks at it" },

	{ "cross_signed_by_the_anchor_is_trusted", "other", "sub-by-other", "alice", TRUST_TRUSTED,
	  "" },
	{ "second_path_is_found", "other", "sub sub-by-other", "alice", TRUST_TRUSTED, "",
	  "takes one path" },
	{ "second_path_is_found_in_the_other_order", "other", "sub-by-other sub", "alice",
	  TRUST_TRUSTED, "", "takes one path" },
	{ "path_that_is_not_expired_is_found", "root other", "sub-by-other-expired sub", "alice",
	  TRUST_TRUSTED, "" },
	{ "other_path_that_is_not_expired_is_found", "root other", "sub-expired sub-by-other",
	  "alice",
	  TRUST_TRUSTED, "" },
	{ "two_expired_paths_are_untrusted", "root other", "sub-expired sub-by-other-expired",
	  "alice",
	  TRUST_UNTRUSTED, "expired" },
	{ "path_without_wrong_usage_is_found", "root other", "sub-server sub-by-other", "alice",
	  TRUST_TRUSTED, "", "takes one path" },
	{ "wrong_usage_comes_further_than_expired", "root other", "sub-by-other-expired sub-server",
	  "alice", TRUST_WRONG_USAGE, "CN=Sub" },
	{ "anchor_with_the_name_but_another_key_is_tried", "root-new root", "sub", "alice",
	  TRUST_TRUSTED, "", "takes one path" },
	{ "anchor_with_the_name_but_another_key_is_no_anchor", "root-new", "sub", "alice",
	  TRUST_UNTRUSTED, "signature failure" },
	{ "intermediate_with_the_name_but_another_key_is_tried", "root", "sub-new sub", "alice",
	  TRUST_TRUSTED, "", "takes one path" },
	{ "authority_that_signed_its_next_key_is_trusted", "rolled-old", "rolled-new",
	  "alice-rolled",
	  TRUST_TRUSTED, "", "takes the anchor for the intermediate" },

	{ "path_length_is_kept", "root-0", "", "alice-0", TRUST_TRUSTED, "" },
	{ "path_length_exceeded_is_untrusted", "root-0", "sub-0", "alice-below-0", TRUST_UNTRUSTED,
	  "path length constraint" },
	{ "longer_path_length_is_kept", "root-1", "sub-1", "alice-below-1", TRUST_TRUSTED, "" },
	{ "chain_of_eight_is_trusted", "root", "long-1 long-2 long-3 long-4 long-5 long-6",
	  "alice-of-6", TRUST_TRUSTED, "" },
	{ "chain_of_nine_is_untrusted", "root", "long-1 long-2 long-3 long-4 long-5 long-6 long-7",
	  "alice-of-7", TRUST_UNTRUSTED, "too long", "goes deeper" },
	{ "chain_of_nine_is_cut_by_an_anchor", "root long-1",
	  "long-2 long-3 long-4 long-5 long-6 long-7", "alice-of-7", TRUST_TRUSTED, "" },

	{ "name_constraint_is_kept", "root", "limited", "alice-permitted", TRUST_TRUSTED, "" },
	{ "name_that_is_not_permitted_is_untrusted", "root", "limited", "alice-not-permitted",
	  TRUST_UNTRUSTED, "permitted subtree violation: CN=alice" },
	{ "name_that_is_excluded_is_untrusted", "root", "limited", "alice-excluded",
	  TRUST_UNTRUSTED,
	  "excluded subtree violation: CN=alice" },
	{ "constraints_of_the_anchor_count", "limited-root", "", "alice-elsewhere", TRUST_UNTRUSTED,
	  "permitted subtree violation" },

	{ "sha_1_is_untrusted", "root", "sub", "alice-sha1", TRUST_UNTRUSTED, "too weak" },
	{ "sha_1_of_an_intermediate_is_untrusted", "root", "sub-sha1", "alice", TRUST_UNTRUSTED,
	  "too weak" },
	{ "sha_1_of_an_anchor_is_nobodys_concern", "root-sha1", "sub", "alice", TRUST_TRUSTED, "" },
	{ "rsa_1024_is_untrusted", "root", "sub", "alice-weak", TRUST_UNTRUSTED, "key too weak" },
	{ "rsa_1024_of_an_anchor_is_untrusted", "root-weak", "", "alice-of-weak", TRUST_UNTRUSTED,
	  "key too weak" },

	{ "server_is_wrong_usage", "root", "sub", "server", TRUST_WRONG_USAGE,
	  "clientAuth: CN=alice" },
	{ "critical_server_is_wrong_usage", "root", "sub", "server-critical", TRUST_WRONG_USAGE,
	  "clientAuth" },
	{ "unknown_usage_is_wrong_usage", "root", "sub", "unknown-usage", TRUST_WRONG_USAGE,
	  "clientAuth" },
	{ "server_and_client_is_trusted", "root", "sub", "both-usages", TRUST_TRUSTED, "" },
	{ "any_usage_is_trusted", "root", "sub", "any-usage", TRUST_TRUSTED, "",
	  "does not count anyExtendedKeyUsage" },
	{ "no_usage_is_trusted", "root", "sub", "no-usage", TRUST_TRUSTED, "" },
	{ "version_1_is_trusted", "root", "sub", "version-1", TRUST_TRUSTED, "" },
	{ "key_agreement_is_trusted", "root", "sub", "agrees", TRUST_TRUSTED, "" },
	{ "key_encipherment_is_wrong_usage", "root", "sub", "enciphers", TRUST_WRONG_USAGE,
	  "keyUsage" },
	{ "signing_certificates_is_wrong_usage", "root", "sub", "signs-certificates",
	  TRUST_WRONG_USAGE, "keyUsage" },
	{ "usage_of_an_intermediate_counts", "root", "sub-server", "alice", TRUST_WRONG_USAGE,
	  "clientAuth: CN=Sub" },
	{ "usage_of_an_intermediate_for_clients_is_trusted", "root", "sub-client", "alice",
	  TRUST_TRUSTED, "" },
	{ "any_usage_of_an_intermediate_is_trusted", "root", "sub-any", "alice", TRUST_TRUSTED, "",
	  "does not count anyExtendedKeyUsage" },

	{ "issuer_that_is_no_authority_is_untrusted", "root", "sub !alice", "alice-of-alice",
	  TRUST_UNTRUSTED, "CN=bob" },
	{ "issuer_that_may_not_sign_is_untrusted", "root", "!sub-no-sign", "alice", TRUST_UNTRUSTED,
	  "CN=alice" },
	{ "issuer_without_basic_constraints_is_untrusted", "root", "!sub-no-basic", "alice",
	  TRUST_UNTRUSTED, "CN=alice", "takes keyUsage for it" },
	{ "issuer_without_key_usage_is_trusted", "root", "sub-no-key-usage", "alice", TRUST_TRUSTED,
	  "" },
	{ "intermediate_of_version_1_is_untrusted", "root", "!sub-version-1", "alice",
	  TRUST_UNTRUSTED, "CN=alice" },
	{ "root_of_version_1_is_trusted", "root-version-1", "sub", "alice", TRUST_TRUSTED, "" },
	{ "unknown_critical_extension_is_untrusted", "root", "sub", "alice-critical",
	  TRUST_UNTRUSTED, "unhandled critical extension: CN=alice" },
	{ "unknown_extension_is_trusted", "root", "sub", "alice-not-critical", TRUST_TRUSTED, "" },
	{ "unknown_critical_extension_of_an_intermediate_is_untrusted", "root", "sub-critical",
	  "alice", TRUST_UNTRUSTED, "unhandled critical extension: CN=Sub" },
	{ "malformed_extension_is_untrusted", "root", "sub", "alice-malformed", TRUST_UNTRUSTED,
	  "malformed extensions" },
};

#define GOOD TRUST_TRUSTED, false
#define REVOKED TRUST_REVOKED, false
#define DEGRADED TRUST_TRUSTED, true

/* The same for lists: what `require` and `prefer` make of them. */
static const struct list_row {
	const char *name;
	const char *anchors, *intermediates, *leaf, *lists;
	enum trust_finding required, preferred;
	bool degraded;
	const char *why;
	const char *differs;
} list_rows[] = {
	{ "clean_lists_are_trusted", "root", "sub", "alice", "root-list sub-list",
	  TRUST_TRUSTED, GOOD, "" },
	{ "list_of_others_is_trusted", "root", "sub", "alice", "root-list sub-list-bob",
	  TRUST_TRUSTED, GOOD, "" },
	{ "lists_of_rsa_are_trusted", "root-rsa", "sub-rsa", "alice-rsa",
	  "root-rsa-list sub-rsa-list", TRUST_TRUSTED, GOOD, "" },
	{ "lists_of_rsa_pss_are_trusted", "root-pss", "sub-pss", "alice-pss",
	  "root-pss-list sub-pss-list", TRUST_TRUSTED, GOOD, "" },
	{ "lists_of_ed25519_are_trusted", "root-ed", "sub-ed", "alice-ed",
	  "root-ed-list sub-ed-list", TRUST_TRUSTED, GOOD, "" },
	{ "revoked_by_rsa_is_revoked", "root-rsa", "sub-rsa", "alice-rsa",
	  "root-rsa-list sub-rsa-list-alice", TRUST_REVOKED, REVOKED, "revoked" },
	{ "revoked_by_rsa_pss_is_revoked", "root-pss", "sub-pss", "alice-pss",
	  "root-pss-list sub-pss-list-alice", TRUST_REVOKED, REVOKED, "revoked" },
	{ "revoked_by_ed25519_is_revoked", "root-ed", "sub-ed", "alice-ed",
	  "root-ed-list sub-ed-list-alice", TRUST_REVOKED, REVOKED, "revoked" },
	{ "anchor_needs_no_list", "sub", "", "alice", "sub-list", TRUST_TRUSTED, GOOD, "",
	  "wants one for the anchor too" },
	{ "mapped_anchor_needs_no_list", "self-client", "", "self-client", "", TRUST_TRUSTED, GOOD,
	  "",
	  "wants one for the anchor too" },

	{ "revoked_certificate_is_revoked", "root", "sub", "alice", "root-list sub-list-alice",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "revoked_intermediate_is_revoked", "root", "sub", "alice", "root-list-sub sub-list",
	  TRUST_REVOKED, REVOKED, "revoked: CN=Sub" },
	{ "revoked_although_the_other_list_is_missing", "root", "sub", "alice", "sub-list-alice",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "revoked_intermediate_although_the_other_list_is_missing", "root", "sub", "alice",
	  "root-list-sub", TRUST_REVOKED, REVOKED, "revoked: CN=Sub" },
	{ "certificate_on_hold_is_revoked", "root", "sub", "alice", "root-list sub-list-alice-held",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "certificate_removed_from_the_list_is_trusted", "root", "sub", "alice",
	  "root-list sub-list-alice-removed", TRUST_TRUSTED, GOOD, "" },

	{ "no_list_is_unknown", "root", "sub", "alice", "", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "there is no revocation list: CN=alice, of CN=Sub" },
	{ "no_list_of_the_root_is_unknown", "root", "sub", "alice", "sub-list",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "there is no revocation list: CN=Sub, of CN=Root" },
	{ "no_list_of_the_issuer_is_unknown", "root", "sub", "alice", "root-list",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "there is no revocation list: CN=alice, of CN=Sub" },
	{ "list_of_somebody_else_is_none", "root", "sub", "alice", "root-list other-list",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "there is no revocation list" },
	{ "stale_list_is_unknown", "root", "sub", "alice", "root-list sub-list-stale",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "is stale: CN=alice" },
	{ "stale_list_of_the_root_is_unknown", "root", "sub", "alice", "root-list-stale sub-list",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "is stale: CN=Sub" },
	{ "list_of_tomorrow_is_unknown", "root", "sub", "alice", "root-list sub-list-future",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "not yet valid: CN=alice" },
	{ "list_without_next_update_is_unknown", "root", "sub", "alice",
	  "root-list sub-list-endless",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "next update", "it is valid for ever" },
	{ "stale_list_beside_a_valid_one_is_trusted", "root", "sub", "alice",
	  "root-list sub-list-stale sub-list", TRUST_TRUSTED, GOOD, "" },

	{ "stale_list_still_revokes", "root", "sub", "alice", "root-list sub-list-alice-stale",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "stale_list_still_revokes_an_intermediate", "root", "sub", "alice",
	  "root-list-sub-stale sub-list", TRUST_REVOKED, REVOKED, "revoked: CN=Sub" },
	{ "list_of_tomorrow_revokes", "root", "sub", "alice", "root-list sub-list-alice-future",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "list_of_tomorrow_revokes_beside_a_valid_one", "root", "sub", "alice",
	  "root-list sub-list sub-list-alice-future", TRUST_REVOKED, REVOKED, "revoked: CN=alice",
	  "does not look at it" },
	{ "list_without_next_update_revokes", "root", "sub", "alice",
	  "root-list sub-list-alice-endless", TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "newer_list_takes_back", "root", "sub", "alice",
	  "root-list sub-list-alice-stale sub-list", TRUST_TRUSTED, GOOD, "" },
	{ "newer_list_takes_back_from_a_valid_one", "root", "sub", "alice",
	  "root-list sub-list-alice sub-list-newer", TRUST_TRUSTED, GOOD, "",
	  "takes the one that is stale last" },
	{ "older_list_does_not_take_back", "root", "sub", "alice",
	  "root-list sub-list-alice-newer sub-list", TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "newest_list_that_names_counts", "root", "sub", "alice",
	  "root-list sub-list-alice-stale sub-list sub-list-alice-newer", TRUST_REVOKED, REVOKED,
	  "revoked: CN=alice", "takes one list" },
	{ "newest_list_that_names_counts_in_the_other_order", "root", "sub", "alice",
	  "root-list sub-list-alice-newer sub-list sub-list-alice-stale", TRUST_REVOKED, REVOKED,
	  "revoked: CN=alice", "takes one list" },
	{ "newest_list_that_clears_counts", "root", "sub", "alice",
	  "root-list sub-list sub-list-alice sub-list-newer", TRUST_TRUSTED, GOOD, "",
	  "takes one list" },
	{ "newest_list_that_clears_counts_in_the_other_order", "root", "sub", "alice",
	  "root-list sub-list-newer sub-list-alice sub-list", TRUST_TRUSTED, GOOD, "",
	  "takes one list" },
	{ "list_of_the_same_time_does_not_take_back", "root", "sub", "alice",
	  "root-list sub-list sub-list-alice", TRUST_REVOKED, REVOKED, "revoked: CN=alice",
	  "takes either" },
	{ "list_of_tomorrow_does_not_take_back", "root", "sub", "alice",
	  "root-list sub-list-alice sub-list-future", TRUST_REVOKED, REVOKED, "revoked: CN=alice" },

	{ "list_of_another_key_is_unknown", "root", "sub", "alice", "root-list sub-list-forged",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "signed by another key: CN=alice" },
	{ "list_of_another_key_never_revokes", "root", "sub", "alice",
	  "root-list sub-list-alice-forged", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "signed by another key: CN=alice" },
	{ "list_of_another_key_never_revokes_an_intermediate", "root", "sub", "alice",
	  "root-list-sub-forged sub-list", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "signed by another key: CN=Sub" },
	{ "list_signed_by_the_issuers_issuer_never_revokes", "root", "sub", "alice",
	  "root-list sub-list-alice-by-root", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "signed by another key: CN=alice" },
	{ "list_of_another_key_is_in_nobodys_way", "root", "sub", "alice",
	  "root-list sub-list-alice-forged sub-list", TRUST_TRUSTED, GOOD, "", "takes one list" },
	{ "list_of_another_key_does_not_clear", "root", "sub", "alice",
	  "sub-list-forged root-list sub-list-alice", TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "lists_of_both_keys_of_an_authority_go_together", "root", "sub sub-new", "alice",
	  "root-list sub-new-list-alice sub-list", TRUST_TRUSTED, GOOD, "", "takes one list" },
	{ "list_of_the_new_key_revokes_what_it_signed", "root", "sub sub-new", "alice-new",
	  "root-list sub-list sub-new-list-alice", TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "issuer_that_may_not_sign_lists_is_unknown", "root", "sub-no-list", "alice",
	  "root-list sub-list", TRUST_REVOCATION_UNKNOWN, DEGRADED, "may not sign revocation lists"
	  },

	{ "unknown_critical_extension_of_a_list_is_unknown", "root", "sub", "alice",
	  "root-list !sub-list-critical", TRUST_REVOCATION_UNKNOWN, DEGRADED, "no revocation list"
	  },
	{ "unknown_critical_extension_never_revokes", "root", "sub", "alice",
	  "root-list !sub-list-alice-critical", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "no revocation list" },
	{ "unknown_critical_extension_of_an_entry_is_unknown", "root", "sub", "alice",
	  "root-list !sub-list-critical-entry", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "no revocation list" },
	{ "unknown_extension_of_a_list_is_trusted", "root", "sub", "alice",
	  "root-list sub-list-numbered", TRUST_TRUSTED, GOOD, "" },
	{ "delta_list_is_unknown", "root", "sub", "alice", "root-list !sub-list-delta",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "no revocation list" },
	{ "indirect_list_is_unknown", "root", "sub", "alice", "root-list !sub-list-indirect",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "no revocation list", "can be told to take them" },
	{ "list_of_attribute_certificates_is_unknown", "root", "sub", "alice",
	  "root-list !sub-list-attributes", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "no revocation list" },
	{ "list_of_sha_1_is_unknown", "root", "sub", "alice", "root-list !sub-list-sha1",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "no revocation list",
	  "has no security level for lists" },
	{ "list_of_rsa_pss_with_sha_1_is_unknown", "root-pss", "sub-pss", "alice-pss",
	  "root-pss-list !sub-pss-list-sha1", TRUST_REVOCATION_UNKNOWN, DEGRADED,
	  "no revocation list", "has no security level for lists" },

	{ "list_of_some_reasons_is_unknown", "root", "sub", "alice", "root-list sub-list-some",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "list_of_some_reasons_revokes", "root", "sub", "alice", "root-list sub-list-alice-some",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "list_of_users_covers_a_user", "root", "sub", "alice", "root-list sub-list-users",
	  TRUST_TRUSTED, GOOD, "" },
	{ "list_of_users_does_not_cover_an_authority", "root", "sub", "alice",
	  "root-list-users sub-list", TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "list_of_authorities_covers_an_authority", "root", "sub", "alice",
	  "root-list-authorities sub-list", TRUST_TRUSTED, GOOD, "" },
	{ "list_of_authorities_does_not_cover_a_user", "root", "sub", "alice",
	  "root-list sub-list-authorities", TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "part_that_the_certificate_names_covers_it", "root", "sub", "alice-part",
	  "root-list sub-list-part sub-list-part-2", TRUST_TRUSTED, GOOD, "" },
	{ "another_part_does_not_cover_it", "root", "sub", "alice-part",
	  "root-list sub-list-part-2",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "part_does_not_cover_who_names_none", "root", "sub", "alice", "root-list sub-list-part",
	  TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "part_of_some_reasons_does_not_cover", "root", "sub", "alice-part-reasons",
	  "root-list sub-list-part", TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "part_of_another_list_issuer_does_not_cover", "root", "sub", "alice-part-issuer",
	  "root-list sub-list-part", TRUST_REVOCATION_UNKNOWN, DEGRADED, "does not cover" },
	{ "part_revokes_whom_it_names", "root", "sub", "alice", "root-list sub-list-alice-part-2",
	  TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "complete_list_covers_who_names_a_part", "root", "sub", "alice-part",
	  "root-list sub-list",
	  TRUST_TRUSTED, GOOD, "" },

	{ "path_that_is_not_revoked_is_found", "root other", "sub sub-by-other", "alice",
	  "root-list-sub other-list sub-list", TRUST_TRUSTED, GOOD, "", "takes one path" },
	{ "path_with_lists_is_found", "root other", "sub sub-by-other", "alice",
	  "other-list sub-list", TRUST_TRUSTED, GOOD, "", "takes one path" },
	{ "certificate_is_revoked_on_every_path", "root other", "sub sub-by-other", "alice",
	  "root-list other-list sub-list-alice", TRUST_REVOKED, REVOKED, "revoked: CN=alice" },
	{ "usage_comes_before_revocation", "root", "sub", "server", "", TRUST_WRONG_USAGE,
	  TRUST_WRONG_USAGE, false, "clientAuth" },
	{ "trust_comes_before_revocation", "other", "sub", "alice", "sub-list-alice",
	  TRUST_UNTRUSTED, TRUST_UNTRUSTED, false, "no anchor" },
};
/* clang-format on */

static const struct trust_rule without_lists = { .require_client_auth = true,
	.revocation = TRUST_REVOCATION_NONE };
static const struct trust_rule with_lists = { .require_client_auth = true,
	.revocation = TRUST_REVOCATION_REQUIRE };
static const struct trust_rule where_possible = { .require_client_auth = true,
	.revocation = TRUST_REVOCATION_PREFER };

typedef enum error adder(struct trust_material *, struct span, const char **);

static const char *add_exactly(struct trust_material *material, adder *add, struct span der)
{
	struct span copy = span_exact_copy(der);
	const char *problem = "untouched";

	assert_int_equal(add(material, copy, &problem), OK);
	free((void *)copy.bytes);
	return problem;
}

/* The next of the names between spaces in *rest, or NULL. */
static const char *next_name(char **rest)
{
	const char *name;

	while ((name = strsep(rest, " ")))
		if (*name)
			return name;
	return NULL;
}

static void add_all(struct trust_material *material, adder *add, const char *names)
{
	char copy[256], *rest = copy;
	const char *name, *problem;

	snprintf(copy, sizeof(copy), "%s", names);
	while ((name = next_name(&rest))) {
		const bool is_refused = *name == '!';

		problem = add_exactly(material, add, chain_der(name + is_refused));
		if (is_refused)
			assert_non_null(problem);
		else if (problem)
			fail_msg("%s: %s", name, problem);
	}
}

static struct trust_material *material_new(
	const char *anchors, const char *intermediates, const char *lists)
{
	struct trust_material *material = NULL;

	assert_int_equal(trust_material_new(&material), OK);
	add_all(material, trust_add_anchor, anchors);
	add_all(material, trust_add_intermediate, intermediates);
	add_all(material, trust_add_crl, lists);
	return material;
}

static struct trust_verdict check_der(struct trust_material *material,
	const struct trust_rule *rule, struct span der, int64_t relative_sec)
{
	struct span copy = span_exact_copy(der);
	struct trust_verdict verdict;

	memset(&verdict, 0xa5, sizeof(verdict));
	assert_int_equal(trust_check(material, rule, copy, NOW_SEC + relative_sec, &verdict), OK);
	free((void *)copy.bytes);
	return verdict;
}

static struct trust_verdict check(struct trust_material *material, const struct trust_rule *rule,
	const char *leaf, int64_t relative_sec)
{
	return check_der(material, rule, chain_der(leaf), relative_sec);
}

static void assert_verdict(const struct trust_verdict *verdict, enum trust_finding finding,
	bool degraded, const char *why)
{
	if (verdict->finding != finding || verdict->degraded != degraded ||
		!strstr(verdict->why, why))
		fail_msg("finding %d, degraded %d: \"%s\"", verdict->finding, verdict->degraded,
			verdict->why);
	/* A yes without a "but" has nothing to say, and anything else has. */
	assert_int_equal(verdict->why[0] == '\0', finding == TRUST_TRUSTED && !degraded);
	assert_true(verdict->stands_from_sec <= NOW_SEC && verdict->stands_until_sec >= NOW_SEC);
}

static void arguments_add(char *ret, size_t size, const char *option, const char *names)
{
	char copy[256], *rest = copy;
	const char *name;

	snprintf(copy, sizeof(copy), "%s", names);
	while ((name = next_name(&rest))) {
		const size_t length = strlen(ret);

		name += *name == '!';
		assert_true(span_is_present(chain_der(name)));
		snprintf(ret + length, size - length, " %s %s.pem", option, name);
	}
}

/* What `openssl verify` says of the same files. */
static bool is_verified_by_openssl(
	const char *anchors, const char *intermediates, const char *leaf, const char *lists)
{
	char command[4096];
	int status;

	snprintf(command, sizeof(command),
		"openssl verify -no-CAfile -no-CApath -no-CAstore -auth_level 2 -partial_chain "
		"-purpose sslclient -attime %" PRId64 "%s",
		NOW_SEC, lists ? " -crl_check_all -extended_crl" : "");
	arguments_add(command, sizeof(command), "-trusted", anchors);
	arguments_add(command, sizeof(command), "-untrusted", intermediates);
	arguments_add(command, sizeof(command), "-CRLfile", lists ? lists : "");
	arguments_add(command, sizeof(command), "", leaf);
	strcat(command, " >/dev/null 2>&1");
	status = system(command);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 127);
	return WEXITSTATUS(status) == 0;
}

static void chain_is_judged(void **state)
{
	const struct chain_row *row = *state;
	struct trust_material *material = material_new(row->anchors, row->intermediates, "");
	struct trust_verdict verdict = check(material, &without_lists, row->leaf, 0);

	assert_verdict(&verdict, row->finding, false, row->why);
	trust_material_free(material);
	if (!row->differs && *row->anchors)
		assert_int_equal(
			is_verified_by_openssl(row->anchors, row->intermediates, row->leaf, NULL),
			row->finding == TRUST_TRUSTED);
}

static void list_is_judged(void **state)
{
	const struct list_row *row = *state;
	struct trust_material *material =
		material_new(row->anchors, row->intermediates, row->lists);
	struct trust_verdict required = check(material, &with_lists, row->leaf, 0);
	struct trust_verdict preferred = check(material, &where_possible, row->leaf, 0);

	assert_verdict(&required, row->required, false, row->why);
	assert_verdict(&preferred, row->preferred, row->degraded, row->why);
	trust_material_free(material);
	if (!row->differs)
		assert_int_equal(is_verified_by_openssl(
					 row->anchors, row->intermediates, row->leaf, row->lists),
			row->required == TRUST_TRUSTED);
}

/* Material. */

static void what_is_not_material_is_told_in_words(void **state)
{
	static const struct {
		adder *add;
		const char *name, *problem;
	} cases[] = {
		{ trust_add_anchor, "alice", "not the certificate of a certificate authority" },
		{ trust_add_intermediate, "alice", "not the certificate of a certificate" },
		{ trust_add_anchor, "self-no-authority", "not the certificate of a certificate" },
		{ trust_add_anchor, "sub-no-sign", "not the certificate of a certificate" },
		{ trust_add_anchor, "sub-no-basic", "not the certificate of a certificate" },
		{ trust_add_intermediate, "root-version-1", "not the certificate of a" },
		{ trust_add_anchor, "root-list", "not an X.509 certificate" },
		{ trust_add_intermediate, "root-list", "not an X.509 certificate" },
		{ trust_add_anchor, "alice-malformed", "malformed extensions" },
		{ trust_add_crl, "root", "not a revocation list" },
		{ trust_add_crl, "sub-list-delta", "delta" },
		{ trust_add_crl, "sub-list-indirect", "indirect" },
		{ trust_add_crl, "sub-list-attributes", "attribute certificates" },
		{ trust_add_crl, "sub-list-malformed", "malformed scope" },
		{ trust_add_crl, "sub-list-critical", "critical extension" },
		{ trust_add_crl, "sub-list-critical-entry", "critical extension" },
		{ trust_add_crl, "sub-list-sha1", "too weak" },
		{ trust_add_crl, "sub-pss-list-sha1", "too weak" },
		{ trust_add_crl, "sub-list-backwards", "before it" },
	};
	struct trust_material *material = material_new("", "", "");

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *problem = add_exactly(material, cases[i].add, chain_der(cases[i].name));

		if (!problem || !strstr(problem, cases[i].problem))
			fail_msg("%s: %s", cases[i].name, problem ? problem : "taken");
	}
	trust_material_free(material);
}

static void bytes_that_are_nothing_are_told_in_words(void **state)
{
	adder *const adders[] = { trust_add_anchor, trust_add_intermediate, trust_add_crl };
	struct trust_material *material = material_new("", "", "");
	struct bytes *longer = bytes_new();
	const char *problem = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(adders); i++) {
		const struct span good = chain_der(i == 2 ? "root-list" : "root");

		for (size_t length = 0; length < good.length; length++)
			assert_non_null(
				add_exactly(material, adders[i], span_of(good.bytes, length)));
		longer->length = 0;
		bytes_add(longer, good.bytes, good.length);
		bytes_add(longer, "", 1);
		problem = add_exactly(material, adders[i], bytes_span(longer));
		assert_non_null(problem);
		assert_non_null(strstr(problem, "bytes follow"));
		problem = NULL;
		assert_int_equal(adders[i](material, span_of(NULL, 0), &problem), OK);
		assert_non_null(problem);
	}
	free(longer);
	trust_material_free(material);
}

static void certificate_added_twice_is_an_anchor_if_it_ever_was(void **state)
{
	struct trust_material *first = material_new("root sub", "sub root", "");
	struct trust_material *second = material_new("", "root sub root", "");
	struct trust_verdict verdict;

	(void)state;
	verdict = check(first, &without_lists, "alice", 0);
	assert_verdict(&verdict, TRUST_TRUSTED, false, "");
	verdict = check(second, &without_lists, "alice", 0);
	assert_verdict(&verdict, TRUST_UNTRUSTED, false, "CN=Root");
	add_all(second, trust_add_anchor, "root");
	verdict = check(second, &without_lists, "alice", 0);
	assert_verdict(&verdict, TRUST_TRUSTED, false, "");
	trust_material_free(first);
	trust_material_free(second);
}

static void material_may_be_null_when_freed(void **state)
{
	(void)state;
	trust_material_free(NULL);
}

/* Rules. */

static void rule_without_usage_takes_any(void **state)
{
	static const struct trust_rule rule = { .require_client_auth = false,
		.revocation = TRUST_REVOCATION_NONE };
	static const char *const leaves[] = { "server", "enciphers", "alice" };
	struct trust_material *material = material_new("root", "sub", "");

	(void)state;
	for (size_t i = 0; i < COUNT(leaves); i++) {
		struct trust_verdict verdict = check(material, &rule, leaves[i], 0);

		assert_verdict(&verdict, TRUST_TRUSTED, false, "");
	}
	trust_material_free(material);
}

static void rule_that_says_nothing_requires_lists(void **state)
{
	static const struct trust_rule rule = { 0 };
	struct trust_material *material = material_new("root", "sub", "");
	struct trust_verdict verdict = check(material, &rule, "alice", 0);

	(void)state;
	assert_verdict(&verdict, TRUST_REVOCATION_UNKNOWN, false, "no revocation list");
	trust_material_free(material);
}

static void rule_without_lists_looks_at_none(void **state)
{
	struct trust_material *material =
		material_new("root", "sub", "root-list-sub sub-list-alice");
	struct trust_verdict verdict = check(material, &without_lists, "alice", 0);

	(void)state;
	assert_verdict(&verdict, TRUST_TRUSTED, false, "");
	trust_material_free(material);
}

static void verdict_denies_when_zero(void **state)
{
	const struct trust_verdict verdict = { 0 };

	(void)state;
	assert_int_equal(verdict.finding, TRUST_UNTRUSTED);
}

/* The list remembers whom it was judged with: two keys of one name in turns. */
static void one_material_judges_many_certificates(void **state)
{
	struct trust_material *material =
		material_new("root", "sub sub-new", "root-list sub-list-bob sub-new-list-alice");

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct trust_verdict verdict = check(material, &with_lists, "alice", 0);

		assert_verdict(&verdict, TRUST_TRUSTED, false, "");
		verdict = check(material, &with_lists, "alice-new", 0);
		assert_verdict(&verdict, TRUST_REVOKED, false, "revoked: CN=alice");
	}
	trust_material_free(material);
	material = material_new("root", "sub sub-new", "root-list sub-list");
	for (size_t i = 0; i < 3; i++) {
		struct trust_verdict verdict = check(material, &with_lists, "alice", 0);

		assert_verdict(&verdict, TRUST_TRUSTED, false, "");
		verdict = check(material, &with_lists, "alice-new", 0);
		assert_verdict(&verdict, TRUST_REVOCATION_UNKNOWN, false, "another key");
	}
	trust_material_free(material);
}

/* Times: both ends belong to the validity (RFC 5280 4.1.2.5), of lists too. */

static void assert_at(struct trust_material *material, const struct trust_rule *rule, int64_t sec,
	enum trust_finding finding, int64_t from_sec, int64_t until_sec)
{
	struct trust_verdict verdict = check(material, rule, "alice", sec);

	if (verdict.finding != finding || verdict.stands_from_sec != NOW_SEC + from_sec ||
		verdict.stands_until_sec != NOW_SEC + until_sec)
		fail_msg("at %d: finding %d, from %d until %d: %s", (int)sec, verdict.finding,
			(int)(verdict.stands_from_sec - NOW_SEC),
			(int)(verdict.stands_until_sec - NOW_SEC), verdict.why);
}

static void intermediate_is_valid_from_its_first_to_its_last_second(void **state)
{
	const int64_t far = INT64_C(1000) * DAY_SEC;
	struct trust_material *material = material_new("root", "sub-brief", "");

	(void)state;
	assert_at(material, &without_lists, -11, TRUST_UNTRUSTED, -far, -11);
	assert_at(material, &without_lists, -10, TRUST_TRUSTED, -10, 10);
	assert_at(material, &without_lists, 0, TRUST_TRUSTED, -10, 10);
	assert_at(material, &without_lists, 10, TRUST_TRUSTED, -10, 10);
	assert_at(material, &without_lists, 11, TRUST_UNTRUSTED, 11, far);
	trust_material_free(material);
}

static void list_is_valid_from_its_first_to_its_last_second(void **state)
{
	struct trust_material *material = material_new("root", "sub", "root-list sub-list-brief");

	(void)state;
	assert_at(material, &with_lists, -6, TRUST_REVOCATION_UNKNOWN, -DAY_SEC, -6);
	assert_at(material, &with_lists, -5, TRUST_TRUSTED, -5, 5);
	assert_at(material, &with_lists, 5, TRUST_TRUSTED, -5, 5);
	assert_at(material, &with_lists, 6, TRUST_REVOCATION_UNKNOWN, 6, DAY_SEC);
	assert_at(material, &where_possible, -6, TRUST_TRUSTED, -DAY_SEC, -6);
	assert_at(material, &where_possible, 6, TRUST_TRUSTED, 6, DAY_SEC);
	trust_material_free(material);
}

static void anchor_is_valid_from_its_first_to_its_last_second(void **state)
{
	struct trust_material *material = material_new("sub-brief", "", "");

	(void)state;
	assert_int_equal(check(material, &without_lists, "alice", -11).finding, TRUST_UNTRUSTED);
	assert_int_equal(check(material, &without_lists, "alice", -10).finding, TRUST_TRUSTED);
	assert_int_equal(check(material, &without_lists, "alice", 10).finding, TRUST_TRUSTED);
	assert_int_equal(check(material, &without_lists, "alice", 11).finding, TRUST_UNTRUSTED);
	trust_material_free(material);
}

static void lists_without_next_update_narrow_nothing(void **state)
{
	struct trust_material *material = material_new("", "", "sub-list-endless");
	struct trust_verdict verdict = check(material, &with_lists, "alice", 0);

	(void)state;
	assert_int_equal(verdict.stands_from_sec, NOW_SEC - DAY_SEC);
	assert_true(verdict.stands_until_sec == INT64_MAX);
	trust_material_free(material);
}

static void lists_that_are_not_looked_at_narrow_nothing(void **state)
{
	struct trust_material *material = material_new("", "", "sub-list");
	struct trust_verdict verdict = check(material, &without_lists, "alice", 0);

	(void)state;
	assert_true(verdict.stands_from_sec == INT64_MIN);
	assert_true(verdict.stands_until_sec == INT64_MAX);
	trust_material_free(material);
}

/* In each second: a verdict that was remembered is the one that would be found. */
static void verdict_stands_as_long_as_it_says(void **state)
{
	struct trust_material *material = material_new(
		"root", "sub-brief sub-next", "root-list sub-list-brief sub-list-next");
	const struct trust_rule *const rules[] = { &without_lists, &with_lists, &where_possible };
	size_t changes = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rules); i++) {
		struct trust_verdict kept = check(material, rules[i], "alice", -20);

		for (int64_t sec = -19; sec <= 40; sec++) {
			struct trust_verdict now = check(material, rules[i], "alice", sec);
			const bool is_same =
				now.finding == kept.finding && now.degraded == kept.degraded;

			assert_true(now.stands_from_sec <= NOW_SEC + sec);
			assert_true(now.stands_until_sec >= NOW_SEC + sec);
			changes += !is_same;
			if (!is_same) {
				assert_int_equal(kept.stands_until_sec, NOW_SEC + sec - 1);
				assert_int_equal(now.stands_from_sec, NOW_SEC + sec);
			}
			kept = now;
		}
	}
	/* The intermediates are valid from -10 to 10 and from 20 to 30, which are four changes; the
	 * lists cover -5 to 5 of the one and 20 to 25 of the other, which are three more. */
	assert_int_equal(changes, 4 + 7 + 7);
	trust_material_free(material);
}

/* Hostile material and mapped certificates. */

static void paths_are_not_tried_for_ever(void **state)
{
	struct trust_material *material = material_new("mesh-anchor",
		"mesh-2 mesh-3 mesh-4 mesh-5 mesh-6 mesh-7 mesh-8 mesh-9 mesh-10", "");
	const clock_t begin = clock();
	struct trust_verdict verdict = check(material, &without_lists, "alice-of-mesh", 0);

	(void)state;
	assert_verdict(&verdict, TRUST_UNTRUSTED, false, "too many chains");
	/* 9 + 9*8 + 9*8*7 ... would be 600,000 paths. */
	assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);
	trust_material_free(material);
}

static void shortest_path_is_found_among_many(void **state)
{
	struct trust_material *material = material_new(
		"", "mesh-2 mesh-3 mesh-4 mesh-5 mesh-6 mesh-7 mesh-8 mesh-9 mesh-10", "");
	struct trust_verdict verdict;

	(void)state;
	add_all(material, trust_add_anchor, "root mesh-1");
	verdict = check(material, &without_lists, "alice-of-mesh", 0);
	assert_verdict(&verdict, TRUST_TRUSTED, false, "");
	trust_material_free(material);
}

static void same_certificate_again_and_again_takes_no_place(void **state)
{
	struct trust_material *material = material_new("root", "", "");
	struct trust_verdict verdict;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		add_all(material, trust_add_intermediate, "sub-forged");
	add_all(material, trust_add_intermediate, "sub");
	verdict = check(material, &without_lists, "alice", 0);
	assert_verdict(&verdict, TRUST_TRUSTED, false, "");
	trust_material_free(material);
}

static void names_are_escaped_in_the_words(void **state)
{
	struct trust_material *material = material_new("root", "sub-controls", "");
	struct trust_verdict verdict = check(material, &without_lists, "alice-of-controls", 0);

	(void)state;
	assert_string_equal(verdict.why, "expired: CN=Controls,O=a\\0Areason=allowed");
	trust_material_free(material);
}

static void words_are_cut_at_a_whole_character(void **state)
{
	static const char *const leaves[] = { "long-name-1", "long-name-2", "long-name-3" };
	struct trust_material *material = material_new("other", "", "");

	(void)state;
	for (size_t i = 0; i < COUNT(leaves); i++) {
		struct trust_verdict verdict = check(material, &without_lists, leaves[i], 0);
		const char *why = verdict.why;
		mbstate_t shift = { 0 };

		assert_in_range(strlen(why), TRUST_WHY_MAX_BYTES - 5, TRUST_WHY_MAX_BYTES - 1);
		assert_int_not_equal(mbsrtowcs(NULL, &why, 0, &shift), (size_t)-1);
	}
	trust_material_free(material);
}

static void mapped_bytes_that_are_no_certificate_are_untrusted(void **state)
{
	struct trust_material *material = material_new("root", "sub", "");
	const struct span good = chain_der("alice");
	struct trust_verdict verdict;

	(void)state;
	for (size_t length = 0; length < good.length; length++) {
		verdict = check_der(material, &without_lists, span_of(good.bytes, length), 0);
		assert_int_equal(verdict.finding, TRUST_UNTRUSTED);
		assert_true(verdict.why[0] != '\0');
	}
	verdict = check_der(material, &without_lists, chain_der("root-list"), 0);
	assert_verdict(&verdict, TRUST_UNTRUSTED, false, "not an X.509 certificate");
	trust_material_free(material);
}

static struct bytes *mutated_new(struct span from, uint64_t *seed)
{
	struct bytes *der = bytes_new();

	bytes_add(der, from.bytes, from.length);
	bytes_mutate(der, seed);
	return der;
}

/* The signature covers every byte but its own. */
static void mutated_certificate_is_never_trusted(void **state)
{
	struct trust_material *material = material_new("root", "sub", "root-list sub-list");
	uint64_t seed = 0x9e3779b97f4a7c15u;
	size_t judged = 0;

	(void)state;
	for (size_t round = 0; round < 2000; round++) {
		struct bytes *der = mutated_new(chain_der("alice"), &seed);
		struct trust_verdict verdict = check_der(material, &with_lists, bytes_span(der), 0);

		if (!span_is_equal(bytes_span(der), chain_der("alice")))
			assert_int_equal(verdict.finding, TRUST_UNTRUSTED);
		judged += strstr(verdict.why, "signature failure") != NULL;
		free(der);
	}
	assert_in_range(judged, 1, 1999);
	trust_material_free(material);
}

static void mutated_list_neither_revokes_nor_clears(void **state)
{
	static const char *const lists[] = { "sub-list", "sub-list-alice", "sub-list-part" };
	uint64_t seed = 0x2545f4914f6cdd1du;
	size_t taken = 0;

	(void)state;
	for (size_t round = 0; round < 2000; round++) {
		const struct span from = chain_der(lists[round % COUNT(lists)]);
		struct trust_material *material = material_new("root", "sub", "root-list");
		struct bytes *der = mutated_new(from, &seed);

		taken += !add_exactly(material, trust_add_crl, bytes_span(der));
		if (!span_is_equal(bytes_span(der), from))
			assert_int_equal(check(material, &with_lists, "alice", 0).finding,
				TRUST_REVOCATION_UNKNOWN);
		free(der);
		trust_material_free(material);
	}
	assert_in_range(taken, 1, 1999);
}

static void mutated_authority_is_never_an_anchor(void **state)
{
	uint64_t seed = 0x853c49e6748fea9bu;
	size_t taken = 0;

	(void)state;
	for (size_t round = 0; round < 2000; round++) {
		struct trust_material *material = material_new("root", "", "");
		struct bytes *der = mutated_new(chain_der("sub"), &seed);

		taken += !add_exactly(material, trust_add_intermediate, bytes_span(der));
		if (!span_is_equal(bytes_span(der), chain_der("sub")))
			assert_int_equal(check(material, &without_lists, "alice", 0).finding,
				TRUST_UNTRUSTED);
		free(der);
		trust_material_free(material);
	}
	assert_in_range(taken, 1, 1999);
}

/* Memory. A verdict is remembered: one that is only so because memory was short for a moment must
 * be an error, whichever allocation it was. */

static enum error add_or_fail(struct trust_material *material, adder *add, const char *name)
{
	const char *problem = "untouched";
	enum error error = add(material, chain_der(name), &problem);

	if (error == OK)
		assert_null(problem);
	else
		assert_string_equal(problem, "untouched");
	return error;
}

static enum error add_material(struct trust_material *material, const char *list)
{
	enum error error;

	if ((error = add_or_fail(material, trust_add_anchor, "root")) == OK &&
		(error = add_or_fail(material, trust_add_intermediate, "sub")) == OK &&
		(error = add_or_fail(material, trust_add_crl, "root-list")) == OK)
		error = add_or_fail(material, trust_add_crl, list);
	return error;
}

/* Whether any allocation failed. */
static bool judge_with_failure(const char *list, enum trust_finding finding, size_t n, bool is_on)
{
	struct trust_material *material = material_new("", "", "");
	struct trust_verdict verdict, untouched;
	bool is_whole, failed;
	enum error error;

	memset(&untouched, 0xa5, sizeof(untouched));
	verdict = untouched;
	openssl_memory_fail(n, is_on);
	error = add_material(material, list);
	is_whole = error == OK;
	if (is_whole)
		error = trust_check(
			material, &where_possible, chain_der("alice"), NOW_SEC, &verdict);
	failed = openssl_memory_has_failed();
	openssl_memory_fail(0, false);
	if (error != OK)
		assert_memory_equal(&verdict, &untouched, sizeof(verdict));
	/* Nothing of it is remembered. */
	if (is_whole && error != OK)
		verdict = check(material, &where_possible, "alice", 0);
	if (is_whole && (verdict.finding != finding || verdict.degraded))
		fail_msg("allocation %zu, error %d: %s", n, error, verdict.why);
	trust_material_free(material);
	return failed;
}

/* Fails each allocation in turn, or where it must be quick, each that is `stride` further. */
static void fail_each_allocation(
	const char *list, enum trust_finding finding, bool is_on, size_t stride)
{
	size_t n = 1;

	/* Made when first asked for, which must not be while allocations fail. */
	trust_material_free(material_new("root", "sub", "root-list sub-list sub-list-alice"));
	assert_true(span_is_present(chain_der("alice")));
	while (judge_with_failure(list, finding, n, is_on))
		n += getenv("CERTMAP_SLOW") ? 1 : stride;
	assert_in_range(n, 100, 100000);
}

static void short_memory_is_never_a_verdict(void **state)
{
	(void)state;
	fail_each_allocation("sub-list", TRUST_TRUSTED, false, 5);
	fail_each_allocation("sub-list-alice", TRUST_REVOKED, false, 7);
}

static void no_memory_at_all_is_never_a_verdict(void **state)
{
	(void)state;
	fail_each_allocation("sub-list", TRUST_TRUSTED, true, 5);
	fail_each_allocation("sub-list-alice", TRUST_REVOKED, true, 7);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(what_is_not_material_is_told_in_words),
		cmocka_unit_test(bytes_that_are_nothing_are_told_in_words),
		cmocka_unit_test(certificate_added_twice_is_an_anchor_if_it_ever_was),
		cmocka_unit_test(material_may_be_null_when_freed),
		cmocka_unit_test(rule_without_usage_takes_any),
		cmocka_unit_test(rule_that_says_nothing_requires_lists),
		cmocka_unit_test(rule_without_lists_looks_at_none),
		cmocka_unit_test(verdict_denies_when_zero),
		cmocka_unit_test(one_material_judges_many_certificates),
		cmocka_unit_test(intermediate_is_valid_from_its_first_to_its_last_second),
		cmocka_unit_test(list_is_valid_from_its_first_to_its_last_second),
		cmocka_unit_test(anchor_is_valid_from_its_first_to_its_last_second),
		cmocka_unit_test(lists_without_next_update_narrow_nothing),
		cmocka_unit_test(lists_that_are_not_looked_at_narrow_nothing),
		cmocka_unit_test(verdict_stands_as_long_as_it_says),
		cmocka_unit_test(paths_are_not_tried_for_ever),
		cmocka_unit_test(shortest_path_is_found_among_many),
		cmocka_unit_test(same_certificate_again_and_again_takes_no_place),
		cmocka_unit_test(names_are_escaped_in_the_words),
		cmocka_unit_test(words_are_cut_at_a_whole_character),
		cmocka_unit_test(mapped_bytes_that_are_no_certificate_are_untrusted),
		cmocka_unit_test(mutated_certificate_is_never_trusted),
		cmocka_unit_test(mutated_list_neither_revokes_nor_clears),
		cmocka_unit_test(mutated_authority_is_never_an_anchor),
		cmocka_unit_test(short_memory_is_never_a_verdict),
		cmocka_unit_test(no_memory_at_all_is_never_a_verdict),
	};
	static struct CMUnitTest tests[COUNT(others) + COUNT(chain_rows) + COUNT(list_rows)];
	size_t count = COUNT(others);

	if (!openssl_memory_take() ||
		!setlocale(LC_CTYPE, "C.UTF-8") || certificate_init() != OK)
		tool_fail("OpenSSL or the locale is not as expected");
	tool_enter();
	atexit(certificate_done);
	chain_begin(certificates, crls);
	memcpy(tests, others, sizeof(others));
	for (size_t i = 0; i < COUNT(chain_rows); i++)
		tests[count++] = (struct CMUnitTest){ .name = chain_rows[i].name,
			.test_func = chain_is_judged,
			.initial_state = (void *)&chain_rows[i] };
	for (size_t i = 0; i < COUNT(list_rows); i++)
		tests[count++] = (struct CMUnitTest){ .name = list_rows[i].name,
			.test_func = list_is_judged,
			.initial_state = (void *)&list_rows[i] };
	return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
