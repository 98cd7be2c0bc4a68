# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# install.sh owns which packages the build, the demo and the tests need, and how they get onto a
# machine that is in use: nothing is removed, nothing is started or enabled, and what stays is
# named. It is sourced; the caller runs as root.

packages_build=(gcc libc6-dev meson ninja-build pkgconf python3
	libpam0g-dev libssl-dev libsqlite3-dev libsystemd-dev)
packages_demo=("${packages_build[@]}"
	curl openssl proftpd-core proftpd-mod-crypto sqlite3 systemd)
# shellcheck disable=SC2034 # for those who source this
packages_tests=("${packages_demo[@]}"
	apache2 bash-completion binutils clang cppcheck dovecot-core dovecot-imapd
	exim4-daemon-heavy libapache2-mod-authnz-pam libcap2-bin libclang-rt-dev
	libcmocka-dev libcsv-dev libjansson-dev libnginx-mod-http-auth-pam libnginx-mod-http-js
	libsmartcols-dev libxml2-dev man-db mandoc manpages nginx openssh-client
	openssh-server python3-pytest strace stunnel4 systemd-container valgrind)
# shellcheck disable=SC2034 # for tests/packages/run alone
packages_packages=("${packages_build[@]}"
	bash-completion build-essential debhelper debootstrap dpkg-dev fakeroot libcsv-dev
	libjansson-dev libsmartcols-dev libxml2-dev lintian openssl python3-pytest systemd systemd-container)

install_policy=/usr/sbin/policy-rc.d
install_denial=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/policy-rc.d

# Prints those of the named packages that are not installed.
packages_missing() {
	local package
	for package; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
		installed) ;;
		*) echo "$package" ;;
		esac
	done
}

packages_installed() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort -u
}

# Is it certain that nothing would be started? A policy that the machine has is asked, never
# changed.
install_may_begin() {
	[ -e $install_policy ] || return 0
	cmp -s "$install_denial" $install_policy && return 0
	local status=0
	$install_policy proftpd start >/dev/null 2>&1 || status=$?
	[ $status -eq 101 ]
}

# Removes the policy if it is the one that was put there from here.
install_end() {
	! cmp -s "$install_denial" $install_policy || rm -f $install_policy
}

# The policy is put in place and removed by apt-get itself, while it holds the lock of the package
# system: an unattended upgrade that runs at the same time never sees it, so that the services which
# that one restarts do come back.
install_apt() {
	local begin="[ -e $install_policy ] || cp \"\$CERTMAP_DENIAL\" $install_policy"
	local end="! cmp -s \"\$CERTMAP_DENIAL\" $install_policy || rm -f $install_policy"

	CERTMAP_DENIAL=$install_denial DEBIAN_FRONTEND=noninteractive LC_ALL=C \
	NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none \
	apt-get --no-remove -y -o DPkg::Lock::Timeout=600 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
		-o DPkg::Pre-Invoke::="$begin" -o DPkg::Post-Invoke::="$end" \
		install --no-install-recommends "$@" </dev/null
}

# A server that was installed for a demonstration does not open its port after the next boot either.
install_disable() {
	local server package unit
	for server in proftpd-core:proftpd apache2:apache2 dovecot-core:dovecot exim4-base:exim4 \
		nginx:nginx openssh-server:ssh stunnel4:stunnel4; do
		package=${server%:*} unit=${server#*:}
		case " $* " in
		*" $package "*)
			if systemctl disable "$unit.service" >/dev/null 2>&1; then
				echo "$unit does not start at boot either: systemctl enable $unit."
			fi
			;;
		esac
	done
}

# install_packages LOG PACKAGE...: installs what is missing, and says which packages stay. The long
# output of apt-get goes to LOG. Returns 1, explained, where that can't be done.
install_packages() {
	local log=$1 before after missing new
	shift
	mapfile -t missing < <(packages_missing "$@")
	if [ ${#missing[@]} -eq 0 ]; then
		echo "Every package that this needs is installed."
		return 0
	fi
	if ! install_may_begin; then
		echo "$install_policy of this machine lets new packages start their services."
		echo "Install these yourself and run this again: ${missing[*]}"
		return 1
	fi
	before=$(packages_installed)
	echo "Installing ${#missing[@]} packages and what they need: ${missing[*]}" | fold -s -w 90
	LC_ALL=C apt-get -o DPkg::Lock::Timeout=600 update </dev/null >>"$log" 2>&1 ||
		echo "(apt-get update failed; going on with the package lists that are there)"
	if ! install_apt "${missing[@]}" >>"$log" 2>&1; then
		install_end
		echo "apt-get could not do it without removing packages. The end of what it said:"
		tail -n 15 "$log"
		return 1
	fi
	install_end
	after=$(packages_installed)
	mapfile -t new < <(comm -13 <(echo "$before") <(echo "$after"))
	echo "${#new[@]} packages are new on this machine and stay; nothing in them was started:"
	echo "${new[*]}" | fold -s -w 86 | sed 's/^/    /'
	install_disable "${new[@]}"
}
