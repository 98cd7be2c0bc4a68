# SPDX-License-Identifier: LGPL-2.1-or-later
"""A web page for the owner of a mapped certificate, the whole path real: curl -> nginx (the front server,
njs, the back server, auth_pam) -> libpam -> pam_certmap.so -> certmapd -> SQLite, and the account on to an
application behind a proxy. With the shipped configuration examples as they are, in a booted systemd."""
import pathlib

import pytest

from web import CURL_CONNECT, Web, application, forged, make_certificates

EXAMPLE = pathlib.Path(__file__).resolve().parent
PLACE = "/etc/nginx/conf.d/certmap.conf"
BACK = "/run/nginx-certmap/socket"
MAP = "INSERT INTO mapping(account, certificate) VALUES('{}', readfile('/root/clients/{}.cer'))"


def install(box):
    box.sh(f"""
        mkdir -p /etc/nginx/tls /etc/nginx/njs
        cp /root/clients/server.pem /root/clients/server.key /etc/nginx/tls
        cp /root/clients/ca.pem /etc/nginx/tls/clients-ca.pem
        cp {EXAMPLE}/certmap.conf {PLACE}
        cp {EXAMPLE}/certmap.js /etc/nginx/njs
        cp {EXAMPLE}/tmpfiles.conf /etc/tmpfiles.d/nginx-certmap.conf
        mkdir -p /etc/systemd/system/nginx.service.d
        cp {EXAMPLE}/service.conf /etc/systemd/system/nginx.service.d/certmap.conf
        systemctl daemon-reload
        cp {EXAMPLE}/pam.d/nginx /etc/pam.d/nginx
        usermod --append --groups certmap-clients www-data
        systemd-tmpfiles --create /etc/tmpfiles.d/nginx-certmap.conf
    """)


@pytest.fixture(scope="module", name="running")
def start_nginx(booted):
    make_certificates(booted)
    install(booted)
    with application(booted):
        booted.run("systemctl", "start", "nginx")
        try:
            yield Web(booted, "nginx", "nginx", EXAMPLE / "certmap.conf", PLACE)
        finally:
            booted.run("systemctl", "stop", "nginx")


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


def test_without_certificate_401_with_the_mapped_one_the_page(web):
    assert_refused(web.visit())
    visit = web.visit(certificate="alice")
    assert_page_of("alice", visit)
    [verdict] = visit.verdicts
    assert verdict["CERTMAP_ASKED"] == verdict["CERTMAP_ACCOUNT"] == "alice"
    assert verdict["CERTMAP_PEER_UID"] == web.box.run("id", "-u", "www-data").strip()


def test_remote_user_can_not_be_forged_by_a_header(web):
    visit = web.visit(certificate="alice", headers=[
        "Remote-User: root", "REMOTE-USER: root", "REMOTE_USER: root", "Remote_User: root",
        "X-Remote-User: root"])
    assert_page_of("alice", visit)
    # The forgeries did travel: this one is nobody's, and arrived.
    assert visit.headers("X_REMOTE_USER") == ["root"]


def test_without_its_line_a_forged_remote_user_would_arrive(web):
    with web.changed(r"^\s*proxy_set_header\s+Remote-User.*$", ""):
        visit = web.visit(certificate="alice", headers=["Remote-User: root"])
        assert visit.headers("REMOTE_USER") == ["root"]


def test_header_with_an_underscore_is_dropped_even_where_other_servers_take_them(web):
    elsewhere = "/etc/nginx/conf.d/underscores.conf"
    web.box.write(elsewhere, "underscores_in_headers on;\n")
    try:
        web.configure(web.text)
        visit = web.visit(certificate="alice", headers=["Remote_User: root"])
        assert_page_of("alice", visit)
        with web.changed(r"^\s*underscores_in_headers.*$", ""):
            visit = web.visit(certificate="alice", headers=["Remote_User: root"])
            assert sorted(visit.headers("REMOTE_USER")) == ["alice", "root"]
    finally:
        web.box.run("rm", elsewhere)
        web.configure(web.text)


def test_evidence_is_not_handed_to_the_application(web):
    assert web.visit(certificate="alice").headers("AUTHORIZATION") == []


def test_application_is_reached_by_nobody_but_the_server(web):
    around = ["--unix-socket", "/run/webapp/socket", "--header", "Remote-User: root", "http://localhost/"]
    assert web.curl(*around, user="bob").exit_status == CURL_CONNECT
    # The same is answered for the one who may enter the directory.
    assert web.curl(*around, user="www-data").headers("REMOTE_USER") == ["root"]


def test_back_server_is_reached_by_nobody_but_the_front_one(web):
    around = ["--unix-socket", BACK, "--header", forged("alice", web.pem("alice")), "http://localhost/"]
    for account in ("bob", "alice", "daemon"):
        visit = web.curl(*around, user=account)
        assert (visit.exit_status, visit.module) == (CURL_CONNECT, [])
    # It would be a way in, and the mode of the directory is what bars it.
    assert_page_of("alice", web.curl(*around, user="www-data"))
    assert web.box.run("stat", "-c", "%U %a", "/run/nginx-certmap").strip() == "www-data 700"
    web.box.run("chmod", "0755", "/run/nginx-certmap")
    try:
        assert_page_of("alice", web.curl(*around, user="bob"))
    finally:
        web.box.run("chmod", "0700", "/run/nginx-certmap")


def test_no_port_and_no_host_name_leads_to_the_back_server(web):
    header = forged("alice", web.pem("alice"))
    listening = web.box.run("ss", "-H", "-ltn").split("\n")
    ports = {line.split()[3].rpartition(":")[2] for line in listening if line}
    # 80 is the site that comes with the package, which knows neither of the two.
    assert ports == {"80", "443"}
    for host in ("unix:/run/nginx-certmap/socket", "_", "localhost:80", "unix:"):
        for visit in (web.visit(headers=[header, f"Host: {host}"]),
                      web.curl("-4", "--header", header, "--header", f"Host: {host}", "http://localhost/")):
            assert "Remote-User" not in visit.body
            assert visit.module == []


def test_server_comes_back_after_a_restart_and_after_a_crash(web):
    web.configure(web.text)
    assert_page_of("alice", web.visit(certificate="alice"))
    # The main process alone: the whole group may have ExecStopPost= in it already.
    web.box.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "nginx")
    web.box.wait_for("the end of nginx", lambda: web.box.show("nginx", "ActiveState") == "failed")
    web.configure(web.text)
    assert_page_of("alice", web.visit(certificate="alice"))


def test_forged_authorization_without_certificate_is_replaced_by_nothing(web):
    header = forged("alice", web.pem("alice"))
    for sent in (header, header.replace("Authorization", "aUTHORIZATION"), "Proxy-" + header):
        visit = web.visit(headers=[sent])
        assert_refused(visit)
        assert visit.module == []
    # nginx itself takes no more than one.
    twice = web.visit(headers=[header, header])
    assert (twice.status, twice.module) == (400, [])


def test_without_its_line_a_forged_authorization_would_be_let_in(web):
    with web.changed(r"^\s*proxy_set_header\s+Authorization \$certmap.*$", ""):
        assert_page_of("alice", web.visit(headers=[forged("alice", web.pem("alice"))]))


def test_location_of_its_own_in_the_front_server_is_the_trap_that_the_example_names(web):
    with web.changed(r"^(\tlocation / \{\n\t\tproxy_pass\t\thttp://unix:/run/nginx-certmap/socket;)",
                     r"\tlocation /trap { proxy_pass http://unix:/run/nginx-certmap/socket;"
                     r" proxy_set_header Host $host; }\n\1"):
        header = forged("alice", web.pem("alice"))
        assert_page_of("alice", web.visit("/trap", headers=[header]))
        assert_refused(web.visit("/", headers=[header]))


def test_script_that_can_not_run_lets_nobody_in(web):
    header = forged("alice", web.pem("alice"))
    with web.changed(r"^(js_set\s.*) certmap.authorization;$", r"\1 certmap.misspelt;"):
        for visit in (web.visit(headers=[header]), web.visit(certificate="alice", headers=[header])):
            assert visit.status in (401, 500), visit.body
            assert visit.module == []


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


def test_certificate_of_an_unknown_ca_gets_as_far_as_nginx(web):
    map_only(web, "alice", "foreign")
    visit = web.visit(certificate="foreign")
    assert (visit.status, visit.module) == (400, [])
    assert "SSL certificate error" in visit.body


def test_certificate_of_an_unknown_ca_is_refused_by_the_script_where_nginx_takes_it(web):
    map_only(web, "alice", "foreign")
    with web.changed(r"^(\s*ssl_verify_client\s+)optional;$", r"\1optional_no_ca;"):
        visit = web.visit(certificate="foreign")
        assert_refused(visit)
        assert visit.module == []


def test_name_that_the_certificate_claims_decides_nothing(web):
    # Its common name is bob.
    map_only(web, "alice", "misnamed")
    assert_refused(web.visit(certificate="misnamed"), "account-mismatch")
    # Named alice:alice, which would ask for alice with a password that begins with "alice:".
    map_only(web, "alice", "colon")
    visit = web.visit(certificate="colon")
    assert_refused(visit)
    assert visit.module == []


def test_map_finds_the_account_of_another_name(web):
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


def test_root_is_refused_even_where_mapped(web):
    web.box.sql(MAP.format("root", "root"))
    visit = web.visit(certificate="root")
    assert_refused(visit, "allowed")
    assert "reason=root-refused" in visit.module[0]


def test_request_of_http_1_0_without_host_is_treated_alike(web):
    old = {"options": ["--http1.0", "--no-alpn", "--header", "Host:"], "host": "127.0.0.1"}
    workers = web.box.run("pgrep", "--uid", "www-data", "nginx")
    for host in ("127.0.0.1", "localhost"):
        old["host"] = host
        assert_page_of("alice", web.visit(certificate="alice", **old))
        assert_refused(web.visit(**old))
        assert_refused(web.visit(headers=[forged("alice", web.pem("alice"))], **old))
    # The back server too, where nothing stands in between.
    assert_page_of("alice", web.curl("--http1.0", "--header", "Host:", "--unix-socket", BACK, "--header",
                                     forged("alice", web.pem("alice")), "http://x/", user="www-data"))
    # None crashed.
    assert web.box.run("pgrep", "--uid", "www-data", "nginx") == workers


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
        f" https://localhost/ &\n" for number, name in enumerate(names))
    web.box.sh(f"cd /root/clients\n{script}wait\n")
    for number, name in enumerate(names):
        page = web.box.run("cat", f"/tmp/page-{number}")
        assert (f'["Remote-User", "{name}"]' in page) == (name != "reissued"), page
        assert ("401 Authorization Required" in page) == (name == "reissued"), page


def test_nobody_gets_in_while_certmapd_is_away(web):
    web.box.run("systemctl", "stop", "certmapd.socket", "certmapd.service")
    try:
        visit = web.visit(certificate="alice")
    finally:
        web.box.run("systemctl", "start", "certmapd.socket")
    assert_refused(visit)
    assert "reason=unavailable" in visit.module[0]


def test_client_is_named_in_the_verdict(web):
    visit = web.visit(certificate="alice")
    assert visit.verdicts[0]["CERTMAP_RHOST"] == "127.0.0.1"
