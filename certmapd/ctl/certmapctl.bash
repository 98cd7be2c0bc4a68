# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# certmapctl.bash owns the completion of certmapctl's command line in bash. What can be typed is
# read from `--help', so that a new verb or option needs nothing here. Names come from the database
# as bytes that anybody with a certificate's note or account may have chosen: they are never given
# to `compgen -W', which would expand them.

# _certmapctl_help WORD...: the help behind these verbs.
_certmapctl_help() {
	LC_ALL=C ARGP_HELP_FMT='' "$_certmapctl_tool" "$@" --help 2>/dev/null </dev/null
}

# _certmapctl_add CANDIDATE...: those that begin like the current word, quoted for the shell.
_certmapctl_add() {
	local candidate quoted
	for candidate; do
		# What stands with an escape is not the name itself.
		if [[ $candidate == "$_certmapctl_current"* && $candidate != *\\* ]]; then
			printf -v quoted %q "$candidate"
			COMPREPLY+=("$quoted")
		fi
	done
}

_certmapctl_files() {
	local file
	compopt -o filenames 2>/dev/null
	while IFS= read -r file; do
		COMPREPLY+=("$file")
	done < <(compgen -f -- "$_certmapctl_current")
}

# _certmapctl_run WORD...: certmapctl on the database that the line names.
_certmapctl_run() {
	"$_certmapctl_tool" ${_certmapctl_database:+--database "$_certmapctl_database"} --wait 0 \
		"$@" 2>/dev/null </dev/null
}

_certmapctl_accounts() {
	local names
	if [[ $_certmapctl_path == add ]]; then
		mapfile -t names < <(compgen -u)
	else
		mapfile -t names < <(_certmapctl_run list --names accounts)
	fi
	_certmapctl_add "${names[@]}"
}

_certmapctl_services() {
	local names file
	mapfile -t names < <(_certmapctl_run list --names services)
	for file in /etc/pam.d/*; do
		names+=("${file##*/}")
	done
	mapfile -t names < <(printf '%s\n' "${names[@]}" | LC_ALL=C sort -u)
	_certmapctl_add "${names[@]}"
}

_certmapctl_settings() {
	local names
	mapfile -t names < <(_certmapctl_run service show '*' | sed -n '1!s/[^a-z_].*/=/p')
	compopt -o nospace 2>/dev/null
	_certmapctl_add "${names[@]}"
}

# _certmapctl_value KIND: what an operand or an option's argument stands for, by its name in the
# help.
_certmapctl_value() {
	case $1 in
	*ACCOUNT* | --account) _certmapctl_accounts ;;
	SERVICE | --service) _certmapctl_services ;;
	SETTING*) _certmapctl_settings ;;
	*FILE* | *PATH* | *CERT* | --database | --output | --key | --socket) _certmapctl_files ;;
	esac
}

# Reads the help of the verbs so far: its verbs, options with their arguments, and operands.
_certmapctl_read() {
	local line usage='' in_verbs='' in_usage=1 help
	local option='^ {2,6}(-([a-zA-Z?]), )?(--[a-z][a-z-]*)(\[?=([A-Z]+))?'
	_certmapctl_verbs=() _certmapctl_options=() _certmapctl_operands=()
	_certmapctl_arguments=()
	mapfile -t help < <(_certmapctl_help "$@")
	for line in "${help[@]}"; do
		if [[ -n $in_usage && $line == [Uu\ ]* ]]; then
			usage+=" $line"
			continue
		fi
		in_usage=
		if [[ $line == Verbs: ]]; then
			in_verbs=1
		elif [[ -z $line ]]; then
			in_verbs=
		elif [[ -n $in_verbs && $line =~ ^\ \ ([a-z][a-z-]*) ]]; then
			_certmapctl_verbs+=("${BASH_REMATCH[1]}")
		elif [[ $line =~ $option ]]; then
			_certmapctl_options+=("${BASH_REMATCH[3]}")
			if [[ -n ${BASH_REMATCH[5]} ]]; then
				_certmapctl_arguments[${BASH_REMATCH[3]}]=${BASH_REMATCH[5]}
				[[ -z ${BASH_REMATCH[2]} ]] ||
					_certmapctl_arguments[-${BASH_REMATCH[2]}]=${BASH_REMATCH[3]}
			fi
		fi
	done
	read -ra _certmapctl_operands <<<"${usage##*\[OPTION...\]}"
}

# _certmapctl_argument OPTION: by its own name where that says more than what its argument is called.
_certmapctl_argument() {
	local name=$1 kind=${_certmapctl_arguments[$1]}
	if [[ $kind == --* ]]; then
		name=$kind kind=${_certmapctl_arguments[$kind]}
	fi
	case $name in
	--service | --account) _certmapctl_value "$name" ;;
	*) _certmapctl_value "$kind" ;;
	esac
}

# _certmapctl_take OPTION VALUE: what of the line matters for the rest of it.
_certmapctl_take() {
	case $1 in
	-D | --database) _certmapctl_database=$2 ;;
	esac
}

_certmapctl() {
	local _certmapctl_tool=${COMP_WORDS[0]} _certmapctl_current=${COMP_WORDS[COMP_CWORD]}
	local _certmapctl_database='' _certmapctl_path=''
	local -a _certmapctl_verbs _certmapctl_options _certmapctl_operands words=()
	local -A _certmapctl_arguments
	local i word pending='' operand=0
	COMPREPLY=()
	_certmapctl_read

	# Bash takes `=' for a word of its own.
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == = && -n $pending ]]; then
			continue
		elif [[ -n $pending ]]; then
			_certmapctl_take "$pending" "$word"
			pending=
		elif [[ $word == -- ]]; then
			continue
		elif [[ $word == -* && -n ${_certmapctl_arguments[$word]} ]]; then
			pending=$word
		elif [[ $word == -* ]]; then
			[[ $word != -D?* ]] || _certmapctl_database=${word#-D}
		elif ((${#_certmapctl_verbs[@]} > 0)); then
			words+=("$word")
			_certmapctl_path="${words[*]}"
			_certmapctl_read "${words[@]}"
		elif [[ $word != = && ${COMP_WORDS[i - 1]} != = ]]; then
			operand=$((operand + 1))
		fi
	done
	if [[ $_certmapctl_current == = ]]; then
		_certmapctl_current=
	fi

	if [[ -n $pending ]]; then
		_certmapctl_argument "$pending"
	elif [[ $_certmapctl_current == -* ]]; then
		_certmapctl_add "${_certmapctl_options[@]}"
	elif ((${#_certmapctl_verbs[@]} > 0)); then
		_certmapctl_add "${_certmapctl_verbs[@]}"
	elif ((${#_certmapctl_operands[@]} > 0)); then
		# The last operand may come more than once.
		if ((operand >= ${#_certmapctl_operands[@]})); then
			[[ ${_certmapctl_operands[-1]} == *... ]] || return 0
			operand=$((${#_certmapctl_operands[@]} - 1))
		fi
		_certmapctl_value "${_certmapctl_operands[operand]}"
	fi
}

complete -F _certmapctl certmapctl
