# Sourced by the checks of the packages: the sandbox in Buildkite's place, certificates, and waiting.
# shellcheck shell=bash disable=SC2154,SC2034  # `monitoring` is set, and `sandbox` and `token` are used, by those who source it

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Repeats a command until it succeeds, for at most a minute.
wait_until() {
    local attempts
    for ((attempts = 0; attempts < 600; attempts++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "this did not come true within a minute: $*"
}

# Whether a check of scope health, read from the listener for monitors, is in a state.
check_is() {
    curl --silent "$monitoring/metrics" |
        grep -qxF "buildkite_connector_scope_state{check=\"$1\",state=\"$2\"} 1"
}

# Starts the sandbox of a binary on a port of this machine. Sets `sandbox`, its process id, and `token`, an admin's.
start_sandbox() {
    local binary=$1 port=$2
    sandbox_output=$(mktemp)
    "$binary" sandbox --listen "127.0.0.1:$port" >"$sandbox_output" &
    sandbox=$!
    wait_until curl --silent "http://127.0.0.1:$port/v2"
    token=$(sed -n 's/^ *\(bkua_[^ ]*\)  admin, every scope$/\1/p' "$sandbox_output")
    [ -n "$token" ] || fail "the sandbox printed no token"
}

# Makes a certificate for a name, and the authority that signed it: DIRECTORY/{ca.crt,tls.crt,tls.key}.
make_certificate() {
    local directory=$1 name=$2
    mkdir -p "$directory"
    (
        cd "$directory"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj "/CN=Authority of a test" \
            -addext keyUsage=critical,keyCertSign
        openssl req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj "/CN=$name"
        openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt \
            -extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n' "$name")
    ) 2>/dev/null || fail "no certificate could be made for $name"
}
