# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stored credential: who asks for it, and that the modules below get it after every gate and
nobody else ever. pam_exec stands below and writes down what it finds in PAM_AUTHTOK."""
import os
import pwd

import pytest

from fake_daemon import allowed
from pam_stage import AUTHINFO_UNAVAIL, BUF_ERR, LOG_ERR, SUCCESS, SYSTEM_ERR

CERTIFICATE = "the certificate of nobody"
SECRET = "xyzzy-plugh-plover"
OTHER = "what the client typed"
NOBODY_UID = pwd.getpwnam("nobody").pw_uid
SANITIZED = os.environ.get("CERTMAP_SANITIZE", "none") != "none"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gets a credential")


class Below:
    """A stack with pam_exec below the module, which goes on whatever the module says."""

    def __init__(self, pam, options="source=env:CERT"):
        self.pam = pam
        self.path = pam.directory / "below"
        self.path.write_text("")
        self.path.chmod(0o666)
        script = pam.directory / "write-down"
        script.write_text(f"tr -d '\\0' >>{self.path}; echo >>{self.path}\n")
        # pam_exec asks the client where there is no PAM_AUTHTOK; the driver answers.
        pam.service("", lines=pam.line(options, control="[default=ignore]") +
                    f"auth required pam_exec.so quiet expose_authtok /bin/sh {script}\n")

    def run(self, *commands, user="nobody", certificate=CERTIFICATE):
        return self.pam.run(f"start:svc:{user}", f"answer:{OTHER}", *commands, "authenticate",
                            "show", environment={"CERT": certificate})

    @property
    def saw(self):
        return self.path.read_text().splitlines()


@pytest.fixture(name="below")
def make_below(pam):
    return Below(pam)


@needs_root
def test_root_asks_for_it_and_the_module_below_gets_it(pam, below):
    with pam.says("nobody", credential=SECRET) as daemon:
        run = below.run()
    assert daemon.requests[0]["credential_wanted"] == b"\1"
    assert run.code == SUCCESS
    assert below.saw == [SECRET]


@needs_root
def test_without_one_in_the_reply_nothing_is_set(pam, below):
    with pam.says("nobody"):
        below.run()
    assert below.saw == [OTHER]


def test_ordinary_user_does_not_ask_and_gets_none_that_comes_all_the_same(pam):
    if os.geteuid() == 0:
        pam.become_nobody()
    below = Below(pam)
    with pam.says("nobody", credential=SECRET) as daemon:
        run = below.run()
    assert daemon.requests[0].get("credential_wanted", b"\0") == b"\0"
    assert run.certmap_environment["CERTMAP_ACCOUNT"] == "nobody"
    assert below.saw == [OTHER]


def test_account_phase_does_not_ask(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody", credential=SECRET) as daemon:
        run = pam.run("start:svc:nobody", "authenticate", "account",
                      environment={"CERT": CERTIFICATE})
    assert run.codes == [SUCCESS, SUCCESS]
    assert daemon.requests[1].get("credential_wanted", b"\0") == b"\0"


@needs_root
@pytest.mark.parametrize("user, account, changes", [
    ("nobody", "daemon", {}),                                # account-mismatch
    ("no-such-user", "no-such-user", {}),                    # account-missing
    ("nobody", "nobody", {"uid": NOBODY_UID + 1}),           # account-changed
    ("root", "root", {}),                                    # root-refused
    ("nobody", "nobody", {"credential": SECRET + "\0"}),     # credential-unavailable
])
def test_refusal_of_the_module_itself_sets_nothing(pam, below, user, account, changes):
    with pam.says(account, **{"credential": SECRET, **changes}):
        run = below.run(user=user)
    assert below.saw == [OTHER]
    assert run.certmap_environment == {}


@needs_root
@pytest.mark.parametrize("credential", [SECRET + "\0", "\0", "\0" + SECRET, "a\0b", "x" * 1023 + "\0"])
def test_nul_in_it_is_a_refusal_of_its_own(pam, credential):
    pam.service("source=env:CERT")
    with pam.says("nobody", credential=credential):
        run = pam.run("start:svc:nobody", "authenticate", "show",
                      environment={"CERT": CERTIFICATE})
    assert run.code == AUTHINFO_UNAVAIL
    assert run.line.startswith("reason=credential-unavailable ")
    assert run.priorities == [LOG_ERR]
    assert SECRET not in run.line


@needs_root
def test_credential_beside_a_refusal_is_no_answer_and_sets_nothing(pam, below):
    with pam.refuses("unmapped", credential=SECRET):
        run = below.run()
    assert "reason=unavailable" in run.line
    assert below.saw == [OTHER]


@needs_root
@pytest.mark.parametrize("length", [1, 1024])
def test_longest_and_shortest_arrive_whole(pam, below, length):
    with pam.says("nobody", credential="z" * length):
        below.run()
    # pam_exec hands on what fits into PAM_MAX_RESP_SIZE.
    assert below.saw == ["z" * min(length, 511)]


@needs_root
def test_set_mode_delivers_for_the_adopted_account(pam):
    below = Below(pam, "source=env:CERT user=set")
    with pam.says("nobody", credential=SECRET):
        run = below.run(user="")
    assert run.value("user") == "nobody"
    assert below.saw == [SECRET]


@needs_root
def test_it_takes_the_place_of_evidence_in_the_same_item(pam):
    below = Below(pam, "source=authtok")
    with pam.says("nobody", credential=SECRET) as daemon:
        run = below.run()
    assert daemon.requests[0]["evidence"] == OTHER.encode()
    assert run.code == SUCCESS
    assert below.saw == [SECRET]


@needs_root
def test_no_log_line_shows_it(pam):
    below = Below(pam, "source=env:CERT debug")
    with pam.says("nobody", credential=SECRET):
        run = below.run()
    assert len(run.raw_log) > 1
    assert SECRET not in "\n".join(run.raw_log)
    assert SECRET not in str(run.events)


@needs_root
@pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow is too large to be searched")
@pytest.mark.parametrize("account", ["nobody", "daemon"])  # allowed, refused
def test_nothing_of_it_is_left_in_the_memory_of_the_service(pam, account):
    pam.service("source=env:CERT")
    with pam.says(account, credential=SECRET):
        run = pam.run("start:svc:nobody", "authenticate", "search:" + SECRET[::-1],
                      "search:" + CERTIFICATE[::-1], environment={"CERT": CERTIFICATE})
    found = [int(event[1]) for event in run.events if event[0] == "found"]
    # What nobody wipes is found.
    assert found[0] == 0 and found[1] > 0


@needs_root
@pytest.mark.skipif(SANITIZED, reason="the driver fails no allocation of a sanitizer")
def test_short_memory_for_it_is_an_error_and_never_a_yes_without_it(pam):
    pam.service("source=env:CERT")
    codes, extra = [], {}
    with pam.daemon(lambda request: allowed(request, "nobody", **extra)):
        for extra in ({}, {"credential": SECRET}):
            run = pam.run("out-of-memory:svc:nobody", environment={"CERT": CERTIFICATE})
            codes.append([int(event[2]) for event in run.events if event[0] == "failing"])
    assert {code for both in codes for code in both} <= {SUCCESS, BUF_ERR, SYSTEM_ERR}
    # One allocation more, the copy in PAM_AUTHTOK; and where it fails, a refusal more.
    assert len(codes[1]) == len(codes[0]) + 1
    assert codes[1].count(BUF_ERR) == codes[0].count(BUF_ERR) + 1


@needs_root
@pytest.mark.skipif(SANITIZED, reason="the driver fails no allocation of a sanitizer")
def test_refusal_for_short_memory_takes_it_back(pam):
    below = Below(pam, "source=env:CERT user=set")
    with pam.says("nobody", credential=SECRET):
        run = pam.run(f"answer:{OTHER}", "out-of-memory:svc:", environment={"CERT": CERTIFICATE})
    starts = [i for i, event in enumerate(run.events) if event[0] == "failing"]
    # Where libpam itself fails, no module is called.
    is_allowed = [["pamenv", "CERTMAP_ACCOUNT=nobody"] in run.events[begin:end]
                  for begin, end in zip(starts, starts[1:] + [None])
                  if int(run.events[begin][2]) == SUCCESS]
    assert is_allowed.count(False) > 5
    assert below.saw == [SECRET if is_one else OTHER for is_one in is_allowed]
