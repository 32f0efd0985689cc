#!/bin/sh
# Boots one host of the rig in a mount namespace of its own, and boots it again when it reboots
# or loses its power. All its mounts vanish with the last process of the namespace.
#
#   boot.sh DIRECTORY TREE CGROUP DISK_SIZE INTERFACE NSPAWN-ARGUMENTS...
set -eu
directory=$1 tree=$2 cgroup=$3 disk_size=$4 interface=$5
shift 5

# From here on the host's own directory in the hierarchy is the whole hierarchy's root mount,
# and nspawn finds a cgroup2 here whatever the layout outside.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$cgroup/launcher" "/sys/fs/cgroup/$cgroup/box"
echo 0 >"/sys/fs/cgroup/$cgroup/launcher/cgroup.procs"

disk=$directory/disk
mkdir -p "$disk"
mount -t tmpfs -o "mode=0755,size=$disk_size" aiconsole-rig "$disk"
mkdir "$disk/upper" "$disk/work" "$disk/root"
cp -a "$directory/seed/." "$disk/upper/"
mount -t overlay overlay \
    -o "lowerdir=$tree,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"

while :; do
    # A killed host leaves its cable behind for a moment.
    ip link delete "$interface" 2>/dev/null || true
    status=0
    (
        echo 0 >"/sys/fs/cgroup/$cgroup/box/cgroup.procs"
        exec systemd-nspawn --directory="$disk/root" "$@"
    ) || status=$?
    # 133: rebooted; 137: killed, which is how the rig cuts the power, or takes the host away.
    case $status in
        133 | 137) [ ! -e "$directory/gone" ] || exit 0 ;;
        *) exit "$status" ;;
    esac
done
