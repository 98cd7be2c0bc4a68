/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_daemon.h owns a listener that takes a whole request and then sends the bytes of a fuzzer:
 * the daemon as its clients must fear it.
 */
#pragma once

#include "span.h"

/* Stands in a reply for the request's correlation id, which nobody can know before. */
#define FAKE_DAEMON_ID "00000000000000000000000000000000"

/* Starts the listener's thread once; the path of its socket. */
const char *fake_daemon_start(void);

/* What it answers from now on; borrowed until fake_daemon_take_exchange(). */
void fake_daemon_set_reply(struct span reply);

/* The reply as it was sent last, with the correlation id in it, and the request that it answered,
 * both borrowed until the next exchange. False: nobody asked since fake_daemon_set_reply(). */
bool fake_daemon_take_exchange(struct span *ret_request, struct span *ret_reply);
