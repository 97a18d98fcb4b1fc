#!/bin/bash
# base-image.sh NODE_BINARY IMAGE: a base image around a Node binary, made from the files of this machine, for where no
# registry can be reached. About 150 MB. Needs busybox-static, iproute2, dash and npm.
# For NODE_BINARY take node_modules/node/bin/node: the machine's own Node may be too old.
set -euo pipefail
NODE=$1 IMAGE=$2
R=$(mktemp -d)
trap 'rm -rf "$R"' EXIT
mkdir -p "$R"/{bin,sbin,usr/bin,usr/sbin,usr/local/bin,lib,lib64,usr/lib,etc/ssl/certs,tmp,root,home/node,proc,sys,dev,run,var/tmp}
chmod 1777 "$R/tmp" "$R/var/tmp"
# copy an ELF file (or a script) and every library it is linked with, symlinks followed
put() { # src dst
  install -D -m 755 "$(readlink -f "$1")" "$R$2"
  ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' | while read -r l; do
    [ -e "$R$l" ] || install -D -m 755 "$(readlink -f "$l")" "$R$l"
  done
}
put "$NODE" /usr/local/bin/node
install -m 755 /bin/busybox "$R/bin/busybox"
for a in $("$R/bin/busybox" --list); do [ -e "$R/bin/$a" ] || ln -s busybox "$R/bin/$a"; done
rm -f "$R/bin/sh"; put /bin/dash /bin/sh
for t in ip tc iptables-nft-multi xtables-legacy-multi; do p=$(command -v $t || true); [ -n "$p" ] && { rm -f "$R/bin/$t"; put "$p" /usr/sbin/$t; }; done
rm -f "$R/bin/ip" "$R/bin/tc"
if [ -x /usr/sbin/xtables-legacy-multi ]; then
  for n in iptables iptables-save iptables-restore; do ln -sf xtables-legacy-multi "$R/usr/sbin/$n"; done
  mkdir -p "$R/usr/lib/x86_64-linux-gnu/xtables"; cp -a /usr/lib/x86_64-linux-gnu/xtables/. "$R/usr/lib/x86_64-linux-gnu/xtables/"
fi
[ -d /usr/lib/tc ] && cp -a /usr/lib/tc "$R/usr/lib/" || true
ln -sf /bin/busybox "$R/usr/bin/env"
NPM=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
mkdir -p "$R/usr/local/lib/node_modules"; cp -a "$NPM" "$R/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$R/usr/local/bin/npm"; ln -s ../lib/node_modules/npm/bin/npx-cli.js "$R/usr/local/bin/npx"
cp /etc/ssl/certs/ca-certificates.crt "$R/etc/ssl/certs/"
printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' > "$R/etc/passwd"
printf 'root:x:0:\nnode:x:1000:\nnogroup:x:65534:\n' > "$R/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' > "$R/etc/nsswitch.conf"
cp /etc/os-release "$R/etc/os-release"; : > "$R/etc/hosts"
chown -R 1000:1000 "$R/home/node"
tar -C "$R" --numeric-owner -cf - . | docker import -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -c 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' -c 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' -c 'CMD ["node"]' - "$IMAGE"
