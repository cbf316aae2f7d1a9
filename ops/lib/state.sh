# shellcheck shell=bash
# Sourced by up, down, status, doctor: where the state of the kept service lives. Sets STATE.

# True when every directory above lets others in; what does not exist yet will be made so.
others_can_enter() {
    local dir=$1
    while [ "$dir" != / ]; do
        [ ! -e "$dir" ] || [ $((0$(stat -c %a "$dir") & 1)) -ne 0 ] || return 1
        dir=$(dirname "$dir")
    done
}

default_state() {
    if others_can_enter "$TOP/var"; then
        echo "$TOP/var"
    else
        printf 'note: the system user cannot enter %s, so the state is in /var/lib/rustbox\n' "$TOP" >&2
        echo /var/lib/rustbox
    fi
}

STATE=$(readlink -m "${RUSTBOX_STATE:-$(default_state)}")
