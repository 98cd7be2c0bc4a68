# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# scratch.sh owns the choice of a temporary directory. It is sourced.

scratch=

# scratch_make NAME: sets $scratch to a new directory where programs may run (some machines mount
# /tmp noexec) and through which an unprivileged daemon can reach its files. Returns 1 if there is
# none.
scratch_make() {
	local parent
	for parent in "${TMPDIR:-/var/tmp}" /var/tmp /tmp; do
		scratch=$(mktemp -d "$parent/$1.XXXXXX" 2>/dev/null) || continue
		printf '#!/bin/sh\n' >"$scratch/try"
		chmod 0755 "$scratch/try"
		chmod 0711 "$scratch"
		if setpriv --reuid=65534 --regid=65534 --clear-groups "$scratch/try" 2>&-; then
			rm "$scratch/try"
			return 0
		fi
		rm -r "$scratch"
	done
	scratch=
	return 1
}
