# shellcheck shell=bash
# Sourced by up, down, status, doctor: where the state of the kept service lives. Sets STATE.

default_state() {
    local dir=$TOP
    # Every directory above must let others in, else the system user cannot reach var/.
    while [ "$dir" != / ]; do
        if [ $((0$(stat -c %a "$dir") & 1)) -eq 0 ]; then
            printf 'note: the system user cannot enter %s, so the state is in /var/lib/rustbox\n' "$dir" >&2
            echo /var/lib/rustbox
            return
        fi
        dir=$(dirname "$dir")
    done
    echo "$TOP/var"
}

STATE=$(readlink -m "${RUSTBOX_STATE:-$(default_state)}")
