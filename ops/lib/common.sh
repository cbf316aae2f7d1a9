# shellcheck shell=bash
# Sourced by every command of ops/: how progress and failures are said. Decides nothing else.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LC_ALL=C.UTF-8 LANG=C.UTF-8
# Debian's tools, whatever else the user's PATH finds first.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022

say() { # one line of progress
    printf '%s %s\n' "$(date +%H:%M:%S)" "$*"
}

# What failed, and what to do about it.
fail() {
    printf '%s: %s\n  what to do: %s\n' "$(basename "$0")" "$1" "$2" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" -eq 0 ] || fail "this needs root" "run it with sudo: it makes cgroups, a system user and supervised services"
}

# Prints a TCP port of 127.0.0.1 that nobody listens on now. Not the ephemeral range, so that clients' ports are not met.
free_port() {
    local port
    for _ in $(seq 200); do
        port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
        if ! { ss -Htln "sport = :$port" | grep -q .; }; then
            echo "$port"
            return
        fi
    done
    fail "no free TCP port found on 127.0.0.1" "look at: ss -tln"
}

port_is_free() {
    ! ss -Htln "sport = :$1" | grep -q .
}

# Runs a command quietly; its output is shown only when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -40 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
