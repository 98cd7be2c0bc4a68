/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certfile.h owns the file in which a person brings a certificate: what certmapctl takes there, and
 * the words for what it does not take.
 */
#pragma once

#include "armour.h"
#include "certificate.h"
#include "ctl.h"
#include "store_pending.h"

struct certfile {
	/* What goes into mapping.certificate. */
	size_t stored_length;
	uint8_t stored[STORE_CERTIFICATE_MAX_BYTES];
	size_t der_length;
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct certificate_facts facts;
};

/* Reads the bytes of the file `name`, whatever they are, up to `capacity` of them; what is too long
 * fills all of it. CTL_REFUSED: it could not be read, and that has been said. */
WARN_UNUSED enum ctl_status certfile_load(
	const char *name, uint8_t *bytes, size_t capacity, size_t *ret_length);

/* Reads the one certificate of the file `name`, "-" being the standard input. CTL_REFUSED: it could
 * not be read or is not one certificate, and that has been said. */
WARN_UNUSED enum ctl_status certfile_read(const char *name, struct certfile *ret);

/* Says on stderr what speaks against the certificate: it is not valid now, a CA's, not made for
 * clients, or weak. None of it keeps anybody from mapping it. */
void certfile_warn(const struct certfile *file);
