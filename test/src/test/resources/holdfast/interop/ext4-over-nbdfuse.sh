# ext4 on a loop device over nbdfuse: made, used, unmounted, checked, mounted again, compared.
#   ext4-over-nbdfuse.sh URI DIRECTORY
# Whatever happens, nothing stays mounted.
set -eu
uri=$1
directory=$2/ext4.$$
mkdir -p "$directory/fuse" "$directory/mnt"
loop=
cleanup() {
    umount "$directory/mnt" 2>/dev/null || true
    [ -z "$loop" ] || losetup -d "$loop" 2>/dev/null || true
    fusermount3 -u "$directory/fuse" 2>/dev/null || umount "$directory/fuse" 2>/dev/null || true
}
trap cleanup EXIT

nbdfuse -P "$directory/pid" "$directory/fuse" "$uri" &
for _ in $(seq 100); do [ -s "$directory/pid" ] && break; sleep 0.1; done
loop=$(losetup --show -f "$directory/fuse/nbd")
mkfs.ext4 -q "$loop"
mount "$loop" "$directory/mnt"
for i in $(seq 60); do
    mkdir "$directory/mnt/d$i"
    head -c $((i * 3001)) /dev/urandom >"$directory/mnt/d$i/file"
    [ $((i % 3)) -ne 0 ] || rm -r "$directory/mnt/d$i"
    [ $((i % 20)) -ne 0 ] || sync -f "$directory/mnt"
done
(cd "$directory/mnt" && find . -type f -exec sha256sum {} + | sort) >"$directory/sums"
umount "$directory/mnt"
e2fsck -fn "$loop"
mount "$loop" "$directory/mnt"
(cd "$directory/mnt" && find . -type f -exec sha256sum {} + | sort) | cmp - "$directory/sums"
umount "$directory/mnt"
losetup -d "$loop"
loop=
echo content
