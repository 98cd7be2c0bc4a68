# SPDX-License-Identifier: LGPL-2.1-or-later
"""A web page for the owner of a mapped certificate, the whole path real: curl -> Apache (mod_ssl, mod_lua,
mod_auth_basic, mod_authnz_pam) -> libpam -> pam_certmap.so -> certmapd -> SQLite, and the account on to a
CGI program and to an application behind a proxy. With the shipped configuration examples as they are, in a
booted systemd."""
import pathlib

import pytest

from web import CURL_CONNECT, CURL_HANDSHAKE, Web, application, forged, make_certificates

EXAMPLE = pathlib.Path(__file__).resolve().parent
PLACE = "/etc/apache2/sites-available/certmap.conf"
THE_HOOK = r"^\s*LuaHookAccessChecker.*$"
MAP = "INSERT INTO mapping(account, certificate) VALUES('{}', readfile('/root/clients/{}.cer'))"


def install(box):
    box.sh(f"""
        mkdir -p /etc/apache2/tls
        cp /root/clients/server.pem /root/clients/server.key /etc/apache2/tls
        cp /root/clients/ca.pem /etc/apache2/tls/clients-ca.pem
        cp {EXAMPLE}/certmap.conf {PLACE}
        cp {EXAMPLE}/certmap.lua /etc/apache2/certmap.lua
        cp {EXAMPLE}/pam.d/apache /etc/pam.d/apache
        cp {EXAMPLE}/whoami /usr/lib/cgi-bin
        printf '#!/bin/sh\\nprintf "Content-Type: text/plain\\\\n\\\\n"\\nenv\\n' >/usr/lib/cgi-bin/environment
        chmod 0755 /usr/lib/cgi-bin/environment
        usermod --append --groups certmap-clients www-data
        a2enmod ssl lua headers authnz_pam cgid proxy_http >/dev/null
        a2ensite certmap >/dev/null
    """)


@pytest.fixture(scope="module", name="running")
def start_apache(booted):
    make_certificates(booted)
    install(booted)
    with application(booted):
        booted.run("systemctl", "start", "apache2")
        try:
            yield Web(booted, "apache", "apache2", EXAMPLE / "certmap.conf", PLACE)
        finally:
            booted.run("systemctl", "stop", "apache2")


@pytest.fixture(name="web")
def with_fresh_mapping(running, box):
    assert box is running.box
    return running


def assert_page_of(account, visit):
    assert visit.exit_status == 0, visit.body
    assert (visit.status, visit.reasons) == (200, ["allowed"]), visit.body
    assert visit.headers("REMOTE_USER") == [account]


def assert_refused(visit, *reasons):
    assert (visit.exit_status, visit.status) == (0, 401), visit.body
    assert visit.reasons == list(reasons)


def map_only(web, account, certificate):
    web.box.sql("DELETE FROM mapping;" + MAP.format(account, certificate))


def variables(visit):
    assert visit.status == 200, visit.body
    return dict(line.split("=", 1) for line in visit.body.splitlines() if "=" in line)


def test_without_certificate_401_with_the_mapped_one_the_page(web):
    assert_refused(web.visit())
    visit = web.visit(certificate="alice")
    assert_page_of("alice", visit)
    [verdict] = visit.verdicts
    assert verdict["CERTMAP_ASKED"] == verdict["CERTMAP_ACCOUNT"] == "alice"
    assert verdict["CERTMAP_PEER_UID"] == web.box.run("id", "-u", "www-data").strip()


def test_account_reaches_a_cgi_program_in_remote_user(web):
    for account in ("alice", "bob"):
        map_only(web, account, account)
        assert web.visit("/cgi-bin/whoami", account).body == account + "\n"
        seen = variables(web.visit("/cgi-bin/environment", account))
        assert seen["REMOTE_USER"] == account
        # The certificate in the password is not handed on.
        assert "HTTP_AUTHORIZATION" not in seen


def test_remote_user_can_not_be_forged_by_a_header(web):
    forgeries = ["REMOTE_USER: root", "Remote-User: root", "remote-user: root", "Remote_User: root",
                 "X-Remote-User: root"]
    visit = web.visit(certificate="alice", headers=forgeries)
    assert_page_of("alice", visit)
    # The forgeries did travel: this one is nobody's, and arrived.
    assert visit.headers("X_REMOTE_USER") == ["root"]
    seen = variables(web.visit("/cgi-bin/environment", "alice", headers=forgeries))
    assert seen["REMOTE_USER"] == "alice"
    assert seen["HTTP_X_REMOTE_USER"] == "root"


def test_without_its_line_a_forged_remote_user_would_arrive(web):
    with web.changed(r"^\s*RequestHeader\s+unset Remote_User$", ""):
        visit = web.visit(certificate="alice", headers=["Remote_User: root"])
        assert sorted(visit.headers("REMOTE_USER")) == ["alice", "root"]
    with web.changed(r"^\s*RequestHeader\s+set Remote-User.*$", ""):
        visit = web.visit(certificate="alice", headers=["Remote-User: root"])
        assert visit.headers("REMOTE_USER") == ["root"]


def test_evidence_is_not_handed_to_the_application(web):
    assert web.visit(certificate="alice").headers("AUTHORIZATION") == []


def test_application_is_reached_by_nobody_but_the_server(web):
    around = ["--unix-socket", "/run/webapp/socket", "--header", "Remote-User: root", "http://localhost/"]
    assert web.curl(*around, user="bob").exit_status == CURL_CONNECT
    # The same is answered for the one who may enter the directory.
    assert web.curl(*around, user="www-data").headers("REMOTE_USER") == ["root"]


def test_forged_authorization_without_certificate_is_deleted(web):
    header = forged("alice", web.pem("alice"))
    for headers in ([header], [header.replace("Authorization", "aUTHORIZATION")], [header, header],
                    ["Proxy-" + header]):
        visit = web.visit(headers=headers)
        assert_refused(visit)
        assert visit.module == []


def test_without_the_hook_a_forged_authorization_would_be_let_in(web):
    with web.changed(THE_HOOK, ""):
        assert_page_of("alice", web.visit(headers=[forged("alice", web.pem("alice"))]))


def test_hook_that_can_not_run_lets_nobody_in(web):
    header = forged("alice", web.pem("alice"))
    for hook in ("/etc/apache2/certmap.lua misspelt early", "/etc/apache2/missing.lua misspelt early"):
        with web.changed(THE_HOOK, f"LuaHookAccessChecker {hook}"):
            for visit in (web.visit(headers=[header]), web.visit(certificate="alice", headers=[header])):
                assert (visit.status, visit.module) == (500, [])


def test_forged_authorization_beside_a_certificate_counts_for_nothing(web):
    header = forged("alice", web.pem("alice"))
    visit = web.visit(certificate="bob", headers=[header])
    assert_refused(visit, "unmapped")
    assert visit.verdicts[0]["CERTMAP_ASKED"] == "bob"
    web.box.sql(MAP.format("bob", "bob"))
    assert_page_of("bob", web.visit(certificate="bob", headers=[header]))
    assert_page_of("alice", web.visit(certificate="alice", headers=[forged("root", "secret")]))


def test_certificate_of_the_same_ca_that_nobody_mapped_is_refused(web):
    assert_refused(web.visit(certificate="bob"), "unmapped")
    # The same names and the same key as the mapped one.
    assert_refused(web.visit(certificate="reissued"), "unmapped")


def test_certificate_of_an_unknown_ca_fails_the_handshake(web):
    visit = web.visit(certificate="foreign")
    assert visit.exit_status in CURL_HANDSHAKE, visit.body
    assert (visit.status, visit.module) == (0, [])


def test_certificate_of_an_unknown_ca_is_refused_by_the_hook_where_the_handshake_takes_it(web):
    map_only(web, "alice", "foreign")
    with web.changed(r"^(\s*SSLVerifyClient\s+)optional$", r"\1optional_no_ca"):
        visit = web.visit(certificate="foreign")
        assert_refused(visit)
        assert visit.module == []


def test_name_that_the_certificate_claims_decides_nothing(web):
    # Mapped to alice, and its common name is bob.
    map_only(web, "alice", "misnamed")
    assert_refused(web.visit(certificate="misnamed"), "account-mismatch")
    # Named alice:alice, which would ask for alice with a password that begins with "alice:".
    map_only(web, "alice", "colon")
    visit = web.visit(certificate="colon")
    assert_refused(visit)
    assert visit.module == []


def test_table_in_the_hook_finds_the_account_of_another_name(web):
    web.box.sql(MAP.format("bob", "tables"))
    assert_page_of("bob", web.visit(certificate="tables"))


def test_edit_is_in_force_at_the_next_request_of_an_open_connection(web):
    disable = "sqlite3 /var/lib/certmap/mappings.db 'UPDATE mapping SET enabled = 0'"
    assert web.visit_twice("keep", "true") == [[200, "TLSv1.3", False]] * 2
    assert web.visit_twice("keep", disable) == [[200, "TLSv1.3", False], [401, "TLSv1.3", False]]
    assert_refused(web.visit(certificate="alice"), "mapping-disabled")


@pytest.mark.parametrize("tls", ["TLSv1_2", "TLSv1_3"])
def test_resumed_session_carries_its_certificate(web, tls):
    version = tls.replace("_", ".")
    remove = "sqlite3 /var/lib/certmap/mappings.db 'DELETE FROM mapping'"
    assert web.visit_twice("resume", "true", tls=tls) == [[200, version, False], [200, version, True]]
    assert web.visit_twice("resume", remove, tls=tls) == [[200, version, False], [401, version, True]]


def test_account_without_a_shell_is_refused_though_its_certificate_is_mapped(web):
    web.box.run("usermod", "--shell", "/usr/sbin/nologin", "alice")
    try:
        visit = web.visit(certificate="alice")
    finally:
        web.box.run("usermod", "--shell", "/bin/sh", "alice")
    assert_refused(visit, "allowed")
    assert_page_of("alice", web.visit(certificate="alice"))


def test_www_data_can_not_ask_pam_unix_whether_an_account_is_expired(web):
    # Why the example does without it, and says so.
    stack = web.box.run("cat", "/etc/pam.d/apache")
    web.box.write("/etc/pam.d/apache", stack + "account required pam_unix.so\n")
    try:
        assert_refused(web.visit(certificate="alice"), "allowed")
    finally:
        web.box.write("/etc/pam.d/apache", stack)


def test_root_is_refused_even_where_mapped(web):
    web.box.sql(MAP.format("root", "root"))
    visit = web.visit(certificate="root")
    assert_refused(visit, "allowed")
    assert "reason=root-refused" in visit.module[0]


def test_request_of_http_1_0_without_host_is_treated_alike(web):
    # By its address, so that no name stands in the handshake either: Apache wants both or none.
    old = {"options": ["--http1.0", "--no-alpn", "--header", "Host:"], "host": "127.0.0.1"}
    assert_page_of("alice", web.visit(certificate="alice", **old))
    assert_refused(web.visit(**old))
    assert_refused(web.visit(headers=[forged("alice", web.pem("alice"))], **old))


def test_certificate_of_ten_kilobytes_fits(web):
    assert len(web.pem("big")) > 10000
    assert_refused(web.visit(certificate="big"), "unmapped")
    map_only(web, "alice", "big")
    assert_page_of("alice", web.visit(certificate="big"))


def test_visitors_at_once_each_get_their_own_page(web):
    web.box.sql(MAP.format("bob", "bob"))
    names = ["alice", "bob", "reissued"] * 8
    script = "".join(
        f"curl -sS -4 -o /tmp/page-{number} --cacert ca.pem --cert {name}.pem --key {name}.key"
        f" https://localhost/cgi-bin/whoami &\n" for number, name in enumerate(names))
    web.box.sh(f"cd /root/clients\n{script}wait\n")
    for number, name in enumerate(names):
        page = web.box.run("cat", f"/tmp/page-{number}")
        assert (page == f"{name}\n") == (name != "reissued"), page
        assert ("401 Unauthorized" in page) == (name == "reissued"), page


def test_nobody_gets_in_while_certmapd_is_away(web):
    web.box.run("systemctl", "stop", "certmapd.socket", "certmapd.service")
    try:
        visit = web.visit(certificate="alice")
    finally:
        web.box.run("systemctl", "start", "certmapd.socket")
    assert_refused(visit)
    assert "reason=unavailable" in visit.module[0]
