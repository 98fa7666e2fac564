#!/usr/bin/env bash
# image.sh IMAGE BINARY SCRATCH: runs the image's program in its files, as its user, read-only, with its environment. It
# is started by packaging/check in namespaces of its own: there is no network but the one made here.
set -euo pipefail
image=$1
binary=$2
scratch=$3
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"
program=/usr/bin/buildkite-connector
host=api.buildkite.test
monitoring=http://127.0.0.1:9464

ip link set lo up
mkdir "$scratch/layout"
tar -xf "$image" -C "$scratch/layout"
tag=$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' "$scratch/layout/index.json")
umoci unpack --image "$scratch/layout:$tag" "$scratch/bundle"
root=$scratch/bundle/rootfs
configuration=$scratch/bundle/config.json

[ "$(jq -r '"\(.process.user.uid):\(.process.user.gid)"' "$configuration")" = 65532:65532 ] ||
    fail "the image's user is not 65532:65532"
[ "$(jq -r '.process.args | join(" ")' "$configuration")" = "$program serve" ] || fail "the image does not start serve"
found=$(cd "$root" && find . ! -type d | sort | tr '\n' ' ')
expected="./etc/group ./etc/passwd ./etc/ssl/certs/ca-certificates.crt ./usr/bin/baton-buildkite .$program "
[ "$found" = "$expected" ] || fail "the image holds other files than expected: $found"
[ -z "$(find "$root" -perm /6022 ! -type l)" ] || fail "files of the image have set-id bits or are writable by others"
cmp "$binary" "$root$program" || fail "the image's program is not the one of the archive"

# What a runtime adds: devices, the resolver's configuration and the mounted secrets. Then nothing can be written any more.
secrets=$scratch/secrets
mkdir -p "$root"/{dev,proc,etc/buildkite-connector} "$secrets/..first" "$secrets/..second"
echo 'nameserver 127.0.0.53' >"$root/etc/resolv.conf"
# A list of modules that this machine might have; the program uses none of them.
echo 'hosts: mymachines resolve myhostname' >"$root/etc/nsswitch.conf"
mount --bind "$root" "$root"
mount --bind "$secrets" "$root/etc/buildkite-connector"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 devices "$root/dev"
for device in null zero random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -o remount,ro "$root/dev"

mapfile -t environment < <(jq -r '.process.env[]' "$configuration")
become_image() {
    exec env -i "${environment[@]}" "${settings[@]}" \
        "$(command -v chroot)" --userspec=65532:65532 --groups=65532 "$root" "$program" "$@"
}
in_image() {
    (become_image "$@")
}

settings=()
in_image --version

# `serve --sandbox` needs nothing, and ends cleanly.
become_image serve --sandbox --metrics-listen 127.0.0.1:9464 &
served=$!
wait_until curl --silent --fail $monitoring/readyz
wait_until check_is team_listing HEALTHY
kill -TERM $served
wait $served || fail "serve ended with $? after SIGTERM"

# A Buildkite behind a name of a DNS server and a certificate of an authority that only this test has.
start_sandbox "$binary" 18080
make_certificate "$scratch/buildkite" $host
tls=$scratch/buildkite/tls
socat "OPENSSL-LISTEN:443,bind=127.0.0.2,reuseaddr,fork,verify=0,cert=$tls.crt,key=$tls.key" TCP:127.0.0.1:18080 2>"$scratch/socat.log" &
dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --pid-file --user=root --listen-address=127.0.0.53 \
    --bind-interfaces --address=/$host/127.0.0.2 --log-queries --log-facility="$scratch/dns.log" &
wait_until curl --silent --insecure --resolve $host:443:127.0.0.2 https://$host/v2
wait_until grep -q started "$scratch/dns.log"

echo "$token" >"$secrets/..first/token"
ln -s ..first "$secrets/..data"
ln -s ..data/token "$secrets/token"
settings=(BUILDKITE_ORGANIZATION_SLUG=northwind-rail BUILDKITE_API_TOKEN_FILE=/etc/buildkite-connector/token)

if in_image check --api-url https://absent.test >"$scratch/output" 2>&1; then
    fail "check reached a name that does not exist"
fi
if in_image check --api-url https://$host >"$scratch/output" 2>&1; then
    fail "check trusts an authority that is not in the image's bundle"
fi
grep -qi certificate "$scratch/output" || fail "check does not name the certificate: $(cat "$scratch/output")"

# The same, with the authority in the bundle that the image brings.
bundle=$root/etc/ssl/certs/ca-certificates.crt
cat "$bundle" "$scratch/buildkite/ca.crt" >"$scratch/bundle.crt"
mount --bind "$scratch/bundle.crt" "$bundle"
in_image check --api-url https://$host || fail "check failed with the image's resolver and bundle"
grep -q "query\[A\] $host" "$scratch/dns.log" || fail "the name was not looked up at the DNS server"

# A secret is replaced the way Kubernetes does it: the link to the whole directory is exchanged.
echo "bkua_wrong" >"$secrets/..second/token"
ln -sfn ..second "$secrets/..data"
become_image serve --api-url https://$host --metrics-listen 127.0.0.1:9464 2>"$scratch/serve.log" &
served=$!
wait_until check_is authentication UNHEALTHY
ln -s ..first "$secrets/..new"
mv -T "$secrets/..new" "$secrets/..data"
wait_until check_is authentication HEALTHY
kill -TERM $served
wait $served || fail "serve ended with $? after SIGTERM"
echo "image: passed"
