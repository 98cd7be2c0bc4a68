# SPDX-License-Identifier: LGPL-2.1-or-later
"""submit.py: a mail client for the tests of Exim.

    submit.py [--certificate=NAME] [--plain] ACCOUNT...

Logs in on port 25 of this machine after STARTTLS, by AUTH EXTERNAL as ACCOUNT, with the certificate
/root/clients/NAME.pem, and sends a mail to somewhere else, once for every ACCOUNT. --plain: ACCOUNT
is ACCOUNT:PASSWORD, for AUTH PLAIN. --account=ACCOUNT is one that may begin with "-". Prints the
mechanisms that are offered, then a line per ACCOUNT: "sent", or what the server said.

It comes from 127.0.0.2: mail of 127.0.0.1 is sent on without any login."""
import argparse
import smtplib
import ssl
import sys
from base64 import b64encode

CLIENTS = "/root/clients"


def connect(certificate):
    context = ssl.create_default_context(cafile=f"{CLIENTS}/ca.pem")
    if certificate:
        context.load_cert_chain(f"{CLIENTS}/{certificate}.pem", f"{CLIENTS}/{certificate}.key")
    smtp = smtplib.SMTP("localhost", 25, timeout=120, source_address=("127.0.0.2", 0))
    smtp.starttls(context=context)
    smtp.ehlo()
    return smtp


def log_in(smtp, account, plain):
    """By hand: smtplib takes "503 not advertised" for a login that was made before."""
    name, _, password = account.partition(":")
    mechanism, text = ("PLAIN", f"\0{name}\0{password}") if plain else ("EXTERNAL", account)
    # RFC 4954: "=" is a response of no bytes.
    code, message = smtp.docmd("AUTH", f"{mechanism} {b64encode(text.encode()).decode() or '='}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, message)


def submit(arguments, account):
    smtp = connect(arguments.certificate)
    try:
        log_in(smtp, account, arguments.plain)
        smtp.sendmail("alice@localhost", ["someone@example.net"],
                      "Subject: by certificate\n\nHello.\n")
    except smtplib.SMTPResponseException as refusal:
        return f"{refusal.smtp_code} {refusal.smtp_error.decode()}"
    except smtplib.SMTPRecipientsRefused as refusal:
        return str(refusal.recipients)
    finally:
        smtp.close()
    return "sent"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--account", action="append")
    parser.add_argument("account", nargs="*", action="extend")
    arguments = parser.parse_args()
    print("offered:", connect(arguments.certificate).esmtp_features.get("auth", "nothing").strip())
    for account in arguments.account:
        print(submit(arguments, account).replace("\n", " "))
    return 0


sys.exit(main())
