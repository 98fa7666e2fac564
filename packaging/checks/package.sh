#!/usr/bin/env bash
# package.sh boot SCRATCH PACKAGE: becomes the throw-away machine. package.sh check: run inside of it, installs the Debian
# package, starts its service, replaces its secrets, upgrades, removes and purges it, and looks at what is left.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=machine.sh
. "$(dirname "$0")/machine.sh"

name=buildkite-connector
settings=/etc/$name
unit=/usr/lib/systemd/system/$name.service
monitoring=http://127.0.0.1:9464

# The service by systemd where it runs, else its command as its user with its environment.
has_systemd() {
    [ -d /run/systemd/system ]
}

start_service() {
    if has_systemd; then
        systemctl start $name
        return
    fi
    local environment command
    mapfile -t environment < <(sed -n 's/^Environment=//p' $unit; grep -v '^#' $settings/environment | grep .)
    read -ra command < <(sed -n 's/^ExecStart=//p' $unit)
    install -d -m 750 -o $name -g $name /var/lib/$name
    setpriv --reuid=$name --regid=$name --clear-groups --no-new-privs --bounding-set=-all \
        env -i "${environment[@]}" "${command[@]}" 2>/run/service.log &
    service=$!
}

stop_service() {
    if has_systemd; then
        systemctl stop $name
        [ "$(systemctl show --property=Result --value $name)" = success ] || fail "the service did not end cleanly"
    else
        kill -TERM "$service"
        wait "$service" || fail "the service ended with $? after SIGTERM"
    fi
}

service_log() {
    if has_systemd; then
        journalctl --unit=$name --no-pager --output=cat
    else
        cat /run/service.log
    fi
}

# The files where a package may leave traces, without the package manager's own records.
list_files() {
    find /etc /home /opt /srv /usr /var -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /var/tmp \) \
        -prune -o -print | sort
}

install_package() {
    dpkg --install "$1" >/run/dpkg.log 2>&1 || fail "the package could not be installed: $(cat /run/dpkg.log)"
}

certificate_serial() {
    openssl s_client -connect 127.0.0.1:50051 </dev/null 2>/dev/null | openssl x509 -noout -serial
}

shows_certificate() {
    [ "$(certificate_serial)" = "$(openssl x509 -noout -serial -in "$1/tls.crt")" ]
}

replace_secret() {
    install -m 640 -g $name "$1" "$settings/$2.new"
    mv "$settings/$2.new" "$settings/$2"
}

check_package() {
    local package=$1
    if has_systemd; then
        wait_until systemctl --quiet is-active machine.target
    else
        echo "package: systemd could not be booted, so the unit's command is run without its sandbox" >&2
    fi
    ! dpkg --status $name >/dev/null 2>&1 || fail "the package is installed on this machine already"
    list_files >/run/before

    install_package "$package"
    getent passwd $name >/dev/null || fail "there is no user $name"
    [ "$(stat --format='%a %U:%G' $settings)" = "2750 root:$name" ] || fail "$settings is open to others"
    $name --version
    [ "$(baton-buildkite --version | cut -d' ' -f1)" = baton-buildkite ] || fail "baton-buildkite does not know its name"
    man --where $name >/dev/null || fail "there is no manual"
    systemd-analyze verify $unit || fail "systemd does not accept the unit"

    # Without an organization, the service says what is missing instead of starting again and again.
    if has_systemd; then
        systemctl start $name || true
        wait_until systemctl --quiet is-failed $name
        [ "$(systemctl show --property=ExecMainStatus --value $name)" = 2 ] || fail "an empty configuration is not told"
        systemctl reset-failed $name
    fi

    start_sandbox /usr/bin/$name 18080
    make_certificate /run/first connector.test
    make_certificate /run/second connector.test
    echo bkua_wrong >/run/wrong-token
    echo "$token" >/run/token
    replace_secret /run/wrong-token token
    replace_secret /run/first/tls.crt tls.crt
    replace_secret /run/first/tls.key tls.key
    cat >$settings/environment <<END
BUILDKITE_ORGANIZATION_SLUG=northwind-rail
BUILDKITE_REST_URL=http://127.0.0.1:18080
BUILDKITE_CONNECTOR_METRICS_LISTEN=127.0.0.1:9464
BUILDKITE_CONNECTOR_TLS_CERT=$settings/tls.crt
BUILDKITE_CONNECTOR_TLS_KEY=$settings/tls.key
END
    start_service
    wait_until curl --silent --fail $monitoring/readyz || fail "the service is not ready: $(service_log)"
    wait_until check_is authentication UNHEALTHY
    wait_until shows_certificate /run/first
    [ "$(stat --format='%a %U' /var/lib/$name/audit.jsonl)" = "600 $name" ] || fail "the audit record is open to others"

    # Secrets that are replaced take effect while the service runs.
    replace_secret /run/token token
    wait_until check_is authentication HEALTHY
    replace_secret /run/second/tls.key tls.key
    replace_secret /run/second/tls.crt tls.crt
    wait_until shows_certificate /run/second
    ! service_log | grep -q "$token" || fail "the token is in the log"

    # An upgrade keeps the settings, and the service runs on.
    install_package "$package"
    grep -q northwind-rail $settings/environment || fail "an upgrade overwrote the settings"
    wait_until curl --silent --fail $monitoring/readyz
    stop_service

    dpkg --remove $name >/dev/null || fail "the package could not be removed"
    [ ! -e /usr/bin/$name ] && [ -e $settings/token ] || fail "removing took the settings, or left the program"
    dpkg --purge $name >/dev/null || fail "the package could not be purged"
    [ ! -e $settings ] || fail "purging left secrets behind"
    [ -e /var/lib/$name/audit.jsonl ] || fail "purging took the audit record"
    kill $sandbox

    # Without an audit record, a purge leaves nothing at all.
    install_package "$package"
    rm -rf /var/lib/$name
    dpkg --purge $name >/dev/null
    ! getent passwd $name >/dev/null || fail "purging left the user behind"
    list_files >/run/after
    diff /run/before /run/after || fail "the package left files behind, or took some"
    echo "package: passed"
}

case $1 in
boot) become_machine "$2" "$3" ;;
check) check_package /run/packages/package.deb ;;
esac
