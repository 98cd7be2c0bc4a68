# SPDX-License-Identifier: LGPL-2.1-or-later
"""sections.py owns what is measured: a function for each part of the table."""
import collections
import socket
import sqlite3
import statistics
import subprocess
import time

import measure
import peers
import people
import servers
from report import Row, at_least, at_most, usec

Plan = collections.namedtuple("Plan", "sizes rounds msec clients flood_clients edits starts")
FULL = Plan((1000, 100000, 1000000), 7, 300, (1, 4, 32), 32, 40, 15)
QUICK = Plan((200, 400, 800), 1, 40, (1, 2), 2, 2, 1)
PEER_SIZE_MAX = 100000
MIB = 1024

# Figures of one slice that are told per request.
CPU = "cpu_nsec"


def count_words(number):
    return f"{number:,}".replace(",", " ")


def clients_words(number):
    return f"{number} client" + ("s" if number > 1 else "")


class Bench:
    """What the sections share: programs, people, databases, running daemons."""

    def __init__(self, directory, programs, plan, has_journal):
        self.directory = directory
        self.programs = programs
        self.plan = plan
        self.has_journal = has_journal
        (directory / "pki").mkdir(exist_ok=True)
        self.people = people.People(directory / "pki")
        self.largest = plan.sizes[-1]
        self.source = directory / "people.db"
        self.ended = []
        self.databases = {}
        self.daemons = {}
        self.rows = []
        self.points = []
        self.bulk = None
        if has_journal:
            self.own(servers.log_drain(programs["floor"], directory))

    def own(self, process):
        self.ended.append(process)
        return process

    def end(self):
        for process in reversed(self.ended):
            process.end()

    def add(self, *arguments, **more):
        self.rows.append(Row(*arguments, **more))

    def load(self, kind, clients, cases, *arguments, msec=None):
        return measure.run_load(self.programs["load"], kind, clients, msec or self.plan.msec,
                                cases, *arguments)

    def socket(self, name):
        return self.directory / f"{name}.socket"

    def daemon(self, database, name):
        return self.own(servers.certmapd(self.programs["certmapd"], database, self.socket(name),
                                         self.directory / f"{name}.log", self.has_journal))

    def questions(self, size):
        return people.Questions(self.people, size, self.directory / f"cases{size}")

    # Databases, made once.

    def make_source(self):
        if not self.source.exists():
            self.people.write_source(self.source, self.largest)

    def database(self, size):
        """With so many mappings, all of them in force."""
        if size not in self.databases:
            database = people.Database(self.directory / f"db{size}", size)
            if database.is_new:
                self.fill(database)
            self.databases[size] = database
        return self.databases[size]

    def fill(self, database):
        """As a person does, with the largest one watched: what it takes is a figure of its own."""
        self.make_source()
        base = min(self.plan.sizes[0], database.count)
        database.shell(database.insert_statement(self.source, 0, base))
        daemon = self.daemon(database, f"fill{database.count}")
        self.await_in_force(database, daemon)
        if database.count > base:
            figures = self.insert_rest(database, base, daemon)
            if database.count == self.largest:
                self.bulk = figures
        database.disable_last()
        daemon.end()

    def stir(self, name):
        """certmapd looks for what is new when it is asked, by whomever."""
        try:
            people.certmap_client.exchange(str(self.socket(name)), people.request(b"x", "nobody"))
        except people.certmap_client.Unusable:
            pass

    def await_in_force(self, database, daemon):
        while database.has_pending():
            daemon.is_alive()
            self.stir(f"fill{database.count}")

    def insert_rest(self, database, base, daemon):
        """Inserts, and asks for those who are mapped already until all are in force."""
        name = f"fill{database.count}"
        cases = self.questions(base).hit()

        def ask():
            daemon.is_alive()
            return self.load("exchange", 1, cases, self.socket(name))

        usual = [ask() for _ in range(self.plan.rounds)]
        start = time.monotonic()
        with open(self.directory / "insert.log", "wb") as log, subprocess.Popen(
                database.command(), stdin=subprocess.PIPE, stdout=log, stderr=log) as shell:
            shell.stdin.write(
                database.insert_statement(self.source, base, database.count).encode())
            shell.stdin.close()
            meanwhile = [ask()]
            while shell.poll() is None:
                meanwhile.append(ask())
        inserted = time.monotonic()
        if shell.returncode != 0:
            raise measure.Wrong((self.directory / "insert.log").read_text(encoding="utf-8"))
        after = [ask()]
        while database.has_pending():
            after.append(ask())
        return {"inserted": inserted - start, "in force": time.monotonic() - start,
                "usual": usual, "inserting": meanwhile, "settling": after}

    def served(self, size):
        """A daemon on this database, which goes on."""
        if size not in self.daemons:
            self.daemons[size] = self.daemon(self.database(size), f"d{size}")
        return self.daemons[size]

    def slice(self, server, cases, path, clients, msec=None):
        """A function that takes one slice, with the CPU time of the server for each request."""
        def take():
            before = server.cpu_nsec()
            figures = self.load("exchange", clients, cases, path, msec=msec)
            # load's warm-up is not counted, but served.
            asked = figures["count"] * (1 + 50 / (msec or self.plan.msec))
            figures[CPU] = (server.cpu_nsec() - before) / asked
            return figures
        return take

    def floors(self):
        """The raw exchange: `floor` waits with epoll, `block` does not."""
        if "serve" in self.daemons:
            return
        size = self.largest
        self.served(size)
        number = self.questions(size).enabled_numbers()[0]
        question = people.request(self.people.pem(number), self.people.account(number))
        reply = self.directory / "reply"
        reply.write_bytes(people.certmap_client.exchange(str(self.socket(f"d{size}")), question))
        for verb in ("serve", "block"):
            self.daemons[verb] = self.own(servers.floor_server(
                self.programs["floor"], verb, self.socket(verb), reply,
                self.directory / f"{verb}.log"))

    def floor_slice(self, clients, verb="serve", msec=None):
        self.floors()
        return self.slice(self.daemons[verb], self.questions(self.largest).floor(),
                          self.socket(verb), clients, msec)

    def hit_slice(self, size, clients, kind="hit", msec=None):
        server = self.served(size)
        cases = getattr(self.questions(size), kind)()
        return self.slice(server, cases, self.socket(f"d{size}"), clients, msec)


def lookup(bench):
    """Through the protocol: sizes, verdicts, numbers of clients, CPU."""
    plan, largest, smallest = bench.plan, bench.largest, bench.plan.sizes[0]
    for clients in plan.clients:
        variants = {"floor": bench.floor_slice(clients),
                    "block": bench.floor_slice(clients, "block")}
        for size in plan.sizes:
            variants[f"hit {size}"] = bench.hit_slice(size, clients)
        for kind in ("miss", "malformed", "disabled"):
            variants[kind] = bench.hit_slice(largest, clients, kind)
        for size in plan.sizes[:-1]:
            variants[f"miss {size}"] = bench.hit_slice(size, clients, "miss")
        rounds = measure.Rounds(variants, plan.rounds)
        _tell_lookup(bench, rounds, clients)
        if clients == 1:
            ratio = rounds.ratio(f"hit {largest}", f"hit {smallest}", "p50")
            bench.add("Lookup through the protocol", f"hit at {count_words(largest)} mappings, "
                      f"over one at {count_words(smallest)}, p50", "", ratio,
                      at_most(1.2, ratio), key="a hit, to one in the smallest database, p50")
            bench.points = [(size, rounds.median("floor", "p50") / 1000,
                             rounds.median(f"hit {size}", "p50") / 1000,
                             rounds.median("miss" if size == largest else f"miss {size}",
                                           "p50") / 1000) for size in plan.sizes]


def _tell_lookup(bench, rounds, clients):
    section = f"Lookup through the protocol, {clients_words(clients)} (ratio: to the raw exchange)"
    largest = f"hit {bench.largest}"
    for name in ("floor", "block"):
        words = "raw exchange" + (", blocking in accept()" if name == "block" else "")
        bench.add(section, f"{words}: p50; p99; a second", _three(rounds, name),
                  rounds.ratio(name, "floor", "p50"),
                  key="the raw exchange: p50; p99; a second, one client"
                  if clients == 1 and name == "floor" else None)
    for size in bench.plan.sizes:
        name = f"hit {size}"
        ratio = rounds.ratio(name, "floor", "p50")
        is_key = clients == 1 and name == largest
        bench.add(section, f"hit, {count_words(size)} mappings: p50; p99; a second",
                  _three(rounds, name), ratio, at_most(1.6, ratio) if is_key else None,
                  f"a hit, {count_words(size)} mappings: p50; p99; a second" if is_key else None)
    ratio = rounds.ratio(largest, "floor", "p99")
    bench.add(section, "the last one's p99", usec(rounds.median(largest, "p99")), ratio,
              at_most(2.5, ratio) if clients == 1 else None,
              "its p99" if clients == 1 else None)
    ratio = rounds.ratio(largest, "floor", "per_sec")
    bench.add(section, "its lookups a second", f"{rounds.median(largest, 'per_sec'):.0f}", ratio,
              at_least(0.6, ratio) if clients == 32 else None,
              "hits a second, 32 clients" if clients == 32 else None)
    bench.add(section, "its CPU time of certmapd, for each",
              usec(rounds.median(largest, CPU)), rounds.ratio(largest, "floor", CPU),
              key="CPU time of certmapd for a hit" if clients == 1 else None)
    for kind in ("miss", "malformed", "disabled"):
        ratio = rounds.ratio(kind, largest, "p50")
        bench.add(section, f"{kind}: p50; p99; a second (ratio: to a hit)", _three(rounds, kind),
                  ratio, at_most(2, ratio) if kind != "disabled" else None,
                  f"{kind}: p50; p99; a second (ratio: to a hit)"
                  if clients == 1 and kind != "disabled" else None)


def _three(rounds, name):
    return (f"{usec(rounds.median(name, 'p50'))}; {usec(rounds.median(name, 'p99'))}; "
            f"{rounds.median(name, 'per_sec'):.0f}")


def login(bench):
    """pam_authenticate() with pam_certmap, and with a stack that does nothing."""
    largest = bench.largest
    bench.served(largest)
    services = bench.directory / "pam.d"
    services.mkdir(exist_ok=True)
    (services / people.SERVICE).write_text(
        f"auth required {bench.programs['module']} source=pamenv:CERT "
        f"socket={bench.socket(f'd{largest}')}\n", encoding="ascii")
    (services / "empty").write_text("auth required pam_permit.so\n", encoding="ascii")
    (services / "other").write_text("auth required pam_deny.so\n", encoding="ascii")
    cases = bench.questions(largest).login()
    for clients in bench.plan.clients:
        def of(service, clients=clients):
            return lambda: bench.load("login", clients, cases, services, service)
        rounds = measure.Rounds({"floor": bench.floor_slice(clients), "empty": of("empty"),
                                 "certmap": of(people.SERVICE)}, bench.plan.rounds)
        section = (f"A login through libpam, {clients_words(clients)} "
                   "(ratio: to the raw exchange)")
        bench.add(section, "pam_authenticate(), empty stack: p50",
                  usec(rounds.median("empty", "p50")))
        bench.add(section, "pam_authenticate(), pam_certmap: p50",
                  usec(rounds.median("certmap", "p50")), rounds.ratio("certmap", "floor", "p50"))
        ratio = rounds.ratio("certmap", "floor", "p50", less="empty")
        bench.add(section, "pam_authenticate(), less the empty stack: p50",
                  usec(rounds.median("certmap", "p50") - rounds.median("empty", "p50")), ratio,
                  at_most(1.9, ratio) if clients == 1 else None,
                  "pam_authenticate(), less that of an empty stack: p50" if clients == 1 else None)
        bench.add(section, "pam_start() to pam_end(), empty stack; pam_certmap: p50",
                  f"{usec(rounds.median('empty', 'whole_p50'))}; "
                  f"{usec(rounds.median('certmap', 'whole_p50'))}")
        bench.add(section, "logins a second, empty stack; pam_certmap",
                  f"{rounds.median('empty', 'per_sec'):.0f}; "
                  f"{rounds.median('certmap', 'per_sec'):.0f}")


def memory(bench):
    """Of a daemon that has answered for every part of the largest database."""
    server = bench.served(bench.largest)
    bench.hit_slice(bench.largest, bench.plan.clients[-1], msec=bench.plan.msec * 5)()
    kib = server.memory_kib()
    value = kib["VmRSS"] / MIB
    bench.add("Memory", f"resident, {count_words(bench.largest)} mappings", f"{value:.1f} MiB",
              target=at_most(16, value, " MiB"),
              key=f"memory of certmapd, {count_words(bench.largest)} mappings")
    bench.add("Memory", "of that its own; of files (libraries, shared index of the WAL); at most",
              f"{kib['RssAnon'] / MIB:.1f}; {(kib['RssFile'] + kib['RssShmem']) / MIB:.1f}; "
              f"{kib['VmHWM'] / MIB:.1f} MiB")


def _cold(bench, name, command, question, expected, environment=None):
    """From the first byte to the end of the answer; what systemd itself would add is left out."""
    path = bench.socket(name)
    path.unlink(missing_ok=True)
    process = servers.Process(["systemd-socket-activate", "-l", path, *command],
                              bench.directory / f"{name}.log", path.exists, env=environment)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(servers.PATIENCE_SEC)
            start = time.perf_counter_ns()
            connection.connect(str(path))
            connection.sendall(question)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            elapsed = time.perf_counter_ns() - start
        if expected not in answer:
            raise measure.Wrong(f"{name}: another answer than expected")
        return {"nsec": elapsed}
    finally:
        process.end()


def cold(bench):
    """Socket activation: certmapd against a program that only answers."""
    bench.floors()

    def of(size):
        number = bench.questions(size).enabled_numbers()[0]
        account = bench.people.account(number)
        name = f"cold{size}"
        log = bench.directory / f"{name}.log"
        return lambda: _cold(
            bench, name, servers.certmapd_command(bench.programs["certmapd"],
                                                  bench.database(size)),
            people.request(bench.people.pem(number), account), people.allowed(account),
            servers.journal_environment(log) if bench.has_journal else None)

    question = people.request(bench.people.pem(0), bench.people.account(0))
    variants = {"empty": lambda: _cold(
        bench, "empty", [bench.programs["floor"], "activated", bench.directory / "reply"],
        question, b"allowed")}
    for size in {bench.plan.sizes[0], bench.largest}:
        bench.database(size)
        variants[f"certmapd {size}"] = of(size)
    rounds = measure.Rounds(variants, bench.plan.starts)
    section = "Cold start, first byte to first answer (ratio: to an empty process)"
    bench.add(section, "a process that only answers", usec(rounds.median("empty", "nsec")))
    for size in sorted({bench.plan.sizes[0], bench.largest}):
        ratio = rounds.ratio(f"certmapd {size}", "empty", "nsec")
        bench.add(section, f"certmapd, {count_words(size)} mappings",
                  usec(rounds.median(f"certmapd {size}", "nsec")), ratio, at_most(6, ratio),
                  "cold start by socket activation (ratio: to an empty process)"
                  if size == bench.largest else None)


def edit(bench):
    """From COMMIT to the answer that shows it. Every edit must be in force at the next lookup."""
    size = bench.largest
    bench.served(size)
    writer = sqlite3.connect(bench.database(size).path, isolation_level=None, timeout=60)
    stranger = bench.questions(size).strangers()[0]
    account = bench.people.account(stranger)
    question = people.request(bench.people.pem(stranger), account)

    def ask(word):
        start = time.perf_counter_ns()
        answer = people.certmap_client.exchange(str(bench.socket(f"d{size}")), question,
                                                check=False)
        elapsed = time.perf_counter_ns() - start
        if people.certmap_client.field(0x8001, word) not in answer:
            raise measure.Wrong(f"an edit is not in force at the next lookup: {word} expected")
        return elapsed

    steps = {
        "insert": (b"allowed", "INSERT INTO mapping(account, certificate) VALUES (?, ?)",
                   (account, bench.people.certificate(stranger))),
        "disable": (b"mapping-disabled", "UPDATE mapping SET enabled = 0 WHERE account = ?",
                    (account,)),
        "enable": (b"allowed", "UPDATE mapping SET enabled = 1 WHERE account = ?", (account,)),
        "delete": (b"unmapped", "DELETE FROM mapping WHERE account = ?", (account,)),
    }
    taken = {name: [] for name in (*steps, "none")}
    for _ in range(bench.plan.edits):
        for name, (word, statement, values) in steps.items():
            writer.execute(statement, values)
            taken[name].append(ask(word))
        taken["none"].append(ask(b"unmapped"))
    writer.close()
    usual = statistics.median(taken["none"])
    section = f"An edit, {count_words(size)} mappings (ratio: to a lookup without one)"
    for name in steps:
        value = statistics.median(taken[name])
        bench.add(section, f"{name}: the next lookup, at which it is in force", usec(value),
                  value / usual, key="the lookup that follows an insert, which is in force at it "
                  "(ratio: to a lookup without)" if name == "insert" else None)


def bulk(bench):
    """A million rows by the bare shell, while those who are mapped log in."""
    bench.database(bench.largest)
    figures = bench.bulk
    section = "Insert in bulk"
    if figures is None:
        bench.add(section, "by the sqlite3 shell", "not measured: the database was there already")
        return
    count = count_words(bench.largest - bench.plan.sizes[0])
    seconds = figures["in force"]
    bench.add(section, f"{count} rows by the sqlite3 shell: inserted; all in force",
              f"{figures['inserted']:.1f} s; {seconds:.1f} s",
              target=at_most(90, seconds, " s"),
              key=f"{count} rows by the sqlite3 shell: inserted; all in force")
    usual = statistics.median(slice_["p99"] for slice_ in figures["usual"])
    for when in ("inserting", "settling"):
        p99 = statistics.median(slice_["p99"] for slice_ in figures[when])
        bench.add(section, f"p99 of a hit while {when} (ratio: to before)", usec(p99), p99 / usual,
                  at_most(4, p99 / usual),
                  key="p99 of a hit while they are being read (ratio: to before)"
                  if when == "settling" else None)
        bench.add(section, f"the slowest hit while {when}",
                  usec(max(slice_["max"] for slice_ in figures[when])))


def import_(bench):
    """As many rows by `certmapctl import`."""
    section = "Insert in bulk"
    size = bench.largest
    certmapctl = bench.programs["certmapctl"]
    words = subprocess.run([certmapctl, "--help"], check=False, stdout=subprocess.PIPE).stdout
    if b"\n  import " not in words:
        bench.add(section, "by certmapctl import", "not built")
        return
    table = bench.directory / "people.csv"
    bench.people.write_csv(table, size)
    database = people.Database(bench.directory / "imported")
    start = time.monotonic()
    done = subprocess.run(
        [certmapctl, f"--database={database.path}", "import", "--quiet", "--no-uid", table],
        check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        raise measure.Wrong(f"certmapctl import: {done.stderr.decode()[-500:]}")
    in_force = "all in force" if not database.has_pending() else "not in force yet"
    bench.add(section, f"{count_words(size)} rows by certmapctl import",
              f"{seconds:.1f} s, {in_force}")


def peers_(bench):
    """Other programs on the same work."""
    size = max((size for size in bench.plan.sizes if size <= PEER_SIZE_MAX), default=bench.largest)
    questions = bench.questions(size)
    asked = questions.fingerprints()
    bench.make_source()
    rows = _fingerprint_rows(bench, size)
    started, variants = [], {"floor": bench.floor_slice(1), "certmap": bench.hit_slice(size, 1)}
    try:
        for number, kind in enumerate(peers.ALL):
            if not kind.is_there():
                continue
            peer = kind(bench.directory / f"peer{number}", rows)
            started.append(peer)
            how, arguments = peer.load_arguments()
            variants[peer.name] = (
                lambda how=how, cases=peer.cases(asked), arguments=arguments:
                bench.load(how, 1, cases, *arguments))
        rounds = measure.Rounds(variants, bench.plan.rounds)
    finally:
        for peer in started:
            peer.end()
    section = f"Peers, {count_words(size)} rows, one client (ratio: to the raw exchange)"
    for name in ["certmap"] + [kind.name for kind in peers.ALL]:
        if name not in variants:
            bench.add(section, name, "not installed")
            continue
        words = "certmap, the whole certificate" if name == "certmap" else name + ", connect each"
        bench.add(section, f"{words}: p50", usec(rounds.median(name, "p50")),
                  rounds.ratio(name, "floor", "p50"))


def _fingerprint_rows(bench, size):
    reader = sqlite3.connect(bench.database(size).path)
    try:
        return [(digest.hex(), account) for digest, account in reader.execute(
            "SELECT f.fingerprint, m.account FROM fact AS f"
            " JOIN mapping AS m ON m.id = f.mapping_id")]
    finally:
        reader.close()


def flood(bench):
    """Good clients beside many that never stop asking for nothing."""
    size, plan = bench.largest, bench.plan
    path = bench.socket(f"d{size}")
    bench.served(size)
    good = bench.questions(size).hit()
    section = (f"Four good clients beside {plan.flood_clients} that never pause "
               "(ratio: to their time alone)")

    def beside(kind):
        cases = getattr(bench.questions(size), kind)()

        def take():
            with subprocess.Popen(
                    [str(word) for word in (bench.programs["load"], "exchange",
                                            plan.flood_clients, plan.msec * 2 + 400, cases, path)],
                    stdout=subprocess.PIPE) as noise:
                time.sleep(0.2)
                figures = bench.load("exchange", 4, good, path, msec=plan.msec * 2)
                noise.communicate()
            if noise.returncode != 0:
                raise measure.Wrong(f"a flood of {kind} was answered otherwise")
            return figures
        return take

    rounds = measure.Rounds(
        {"alone": lambda: bench.load("exchange", 4, good, path, msec=plan.msec * 2),
         "miss": beside("miss"), "malformed": beside("malformed")}, max(1, plan.rounds // 2))
    bench.add(section, "alone: p99", usec(rounds.median("alone", "p99")))
    for kind in ("miss", "malformed"):
        value = rounds.median(kind, "p99")
        bench.add(section, f"beside a flood of {kind}: p99", usec(value),
                  rounds.ratio(kind, "alone", "p99"), at_most(10, value / 1e6, " ms"),
                  key=f"p99 of 4 clients beside {plan.flood_clients} that send {kind} all the time")


ALL = {"bulk": bulk, "lookup": lookup, "login": login, "memory": memory, "cold": cold,
       "edit": edit, "flood": flood, "peers": peers_, "import": import_}
