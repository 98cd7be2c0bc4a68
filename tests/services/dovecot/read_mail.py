# SPDX-License-Identifier: LGPL-2.1-or-later
"""read_mail.py: a mail reader for the tests of Dovecot.

    read_mail.py [--certificate=NAME] [--plain=NAME:PASSWORD] [--ask-for=NAME]

Logs in on port 993 of this machine, by AUTHENTICATE EXTERNAL with the certificate
/root/clients/NAME.pem, as the certificate's name or as the one it asks for; or by AUTHENTICATE
PLAIN. Prints the subjects of the mails in the inbox, or what the server said."""
import argparse
import imaplib
import ssl
import sys

CLIENTS = "/root/clients"


def connect(certificate):
    context = ssl.create_default_context(cafile=f"{CLIENTS}/ca.pem")
    if certificate:
        context.load_cert_chain(f"{CLIENTS}/{certificate}.pem", f"{CLIENTS}/{certificate}.key")
    return imaplib.IMAP4_SSL("localhost", ssl_context=context, timeout=120)


def log_in(imap, arguments):
    if arguments.plain is not None:
        name, _, password = arguments.plain.partition(":")
        imap.authenticate("PLAIN", lambda challenge: f"\0{name}\0{password}".encode())
    else:
        imap.authenticate("EXTERNAL", lambda challenge: arguments.ask_for.encode())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate")
    parser.add_argument("--plain")
    parser.add_argument("--ask-for", default="")
    arguments = parser.parse_args()
    try:
        imap = connect(arguments.certificate)
        log_in(imap, arguments)
        imap.select("INBOX", readonly=True)
        _, mails = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    except (imaplib.IMAP4.error, ssl.SSLError) as refusal:
        print(refusal)
    else:
        print(*(mail[1].decode().strip() for mail in mails if isinstance(mail, tuple)), sep="\n")
    return 0


sys.exit(main())
