#!/bin/bash
# engine.sh install|start|stop DIR: a Docker engine of its own, without a container registry, on Debian 12 as root.
# All of its state is in DIR. Afterwards: export DOCKER_HOST=unix://DIR/docker.sock DOCKER_CONFIG=DIR/config
# Compose v2 and buildx are not in Debian 12: they come from the next release, unpacked into DIR and not installed.
set -euo pipefail
cmd=$1 D=$2; mkdir -p "$D"; export DEBIAN_FRONTEND=noninteractive DOCKER_CONFIG=$D/config DOCKER_HOST=unix://$D/docker.sock
case $cmd in
install)
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends docker.io iptables iproute2 busybox-static ca-certificates >/dev/null
  A=$D/apt; mkdir -p "$A"/lists/partial "$A"/cache/archives/partial "$A"/parts "$DOCKER_CONFIG"/cli-plugins
  SITE=$(apt-get indextargets --format '$(SITE)' | grep '/debian$' | sort -u | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $SITE trixie main" >"$A/sources.list"
  O=(-o Dir::Etc::sourcelist="$A/sources.list" -o Dir::Etc::sourceparts="$A/parts" -o Dir::State::lists="$A/lists" -o Dir::Cache="$A/cache" -o APT::Sandbox::User=root)
  apt-get "${O[@]}" -qq update
  (cd "$A" && apt-get "${O[@]}" -qq download docker-compose docker-buildx && for f in ./*.deb; do dpkg -x "$f" x; done)
  cp "$A"/x/usr/libexec/docker/cli-plugins/docker-{compose,buildx} "$DOCKER_CONFIG/cli-plugins/"; rm -rf "$A" ;;
start)
  setsid nohup dockerd -H "$DOCKER_HOST" --pidfile "$D/pid" --data-root "$D/data" --exec-root "$D/exec" --iptables=false --ip6tables=false >"$D/log" 2>&1 </dev/null &
  p=$!
  for _ in $(seq 300); do docker info >/dev/null 2>&1 && exit 0; [ -d /proc/$p ] || break; sleep 0.1; done; tail -n 5 "$D/log" >&2; exit 1 ;;
stop)
  docker ps -aq | xargs -r docker rm -fv >/dev/null; p=$(cat "$D/pid"); kill "$p"
  for _ in $(seq 300); do s=$(awk '/^State/{print $2}' "/proc/$p/status" 2>/dev/null || true); [ -n "$s" ] && [ "$s" != Z ] || break; sleep 0.1; done
  umount "$D/exec/netns/default" 2>/dev/null || true; rm -rf "$D/exec" "$D/data" ;;
esac
