# Sourced by package.sh: a throw-away copy of this machine, in which a package can be installed. Its files are this
# machine's, with an overlay in memory for all that is written; its systemd is booted with nothing but the basics.
# shellcheck shell=bash

# Run as the first process of new mount, process, network, IPC, host name and control group namespaces: becomes systemd,
# or, where SYSTEMD=no, a process that only waits.
become_machine() {
    local scratch=$1 files=$1/files device unit legacy
    mount --make-rprivate /
    mount -t tmpfs scratch "$scratch"
    mkdir "$scratch/upper" "$scratch/work" "$files"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$files"
    ip link set lo up
    mount -t proc proc "$files/proc"
    mount --bind "$files/proc/sys" "$files/proc/sys"
    mount -o remount,ro,bind "$files/proc/sys"
    mount -t sysfs -o ro sysfs "$files/sys"
    mount -t tmpfs -o mode=755 devices "$files/dev"
    for device in null zero full random urandom tty; do
        touch "$files/dev/$device"
        mount --bind "/dev/$device" "$files/dev/$device"
    done
    mkdir "$files"/dev/{shm,pts,mqueue,hugepages}
    mount -t tmpfs shared "$files/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 terminals "$files/dev/pts"
    ln -s pts/ptmx "$files/dev/ptmx"
    ln -s /proc/self/fd "$files/dev/fd"
    mount -t tmpfs -o mode=755 runtime "$files/run"
    mount -t tmpfs -o mode=1777 temporary "$files/tmp"
    mkdir "$files/run/packages" "$files/run/this-machine"
    cp "$2" "$files/run/packages/package.deb"
    cp "$(dirname "$0")"/*.sh "$files/run/packages"
    [ -d /sys/fs/cgroup/systemd ] && legacy=yes || legacy=no
    cd "$files" || return
    pivot_root . run/this-machine
    umount --lazy /run/this-machine
    rm -rf /etc/systemd/system/*.wants /etc/systemd/system/default.target
    for unit in udevd sysctl modules-load remount-fs update-utmp journal-flush; do
        ln -sf /dev/null "/etc/systemd/system/systemd-$unit.service"
    done
    printf '[Unit]\nRequires=basic.target\n' >/etc/systemd/system/machine.target
    if [ "${SYSTEMD:-yes}" = no ] || ! mount_control_groups $legacy; then
        exec sleep infinity
    fi
    exec env -i container=packaging PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --unit=machine.target --log-target=journal
}

mount_control_groups() {
    if [ "$1" = yes ]; then
        mount -t tmpfs groups /sys/fs/cgroup
        mkdir /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd groups /sys/fs/cgroup/systemd
    else
        mount -t cgroup2 groups /sys/fs/cgroup
    fi
}
