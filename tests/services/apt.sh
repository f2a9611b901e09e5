# Debian packages without their daemons: nothing that apt installs is started. Sourced, not run.
# shellcheck shell=bash

POLICY=/usr/sbin/policy-rc.d
policy_is_ours=

# as_root COMMAND…: root runs it, others by sudo; 1 when neither is possible.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    sudo "$@"
  else
    return 1
  fi
}

can_install() {
  command -v apt-get >/dev/null && as_root true
}

# Debian asks this script before it starts a daemon; 101 means no. An existing one is left alone.
forbid_daemons() {
  [ -e "$POLICY" ] && return 0
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
  as_root chmod 755 "$POLICY"
  policy_is_ours=1
}

allow_daemons() {
  [ -z "$policy_is_ours" ] || as_root rm -f "$POLICY"
  policy_is_ours=
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# By itself apt calls a half-failed update a success. After three of them the lists at hand must do: the
# broken source may be one that we do not need.
apt_update() {
  retried 3 apt_get -o APT::Update::Error-Mode=any update || echo "going on with the package lists at hand"
}

apt_install() {
  retried 3 apt_get install --no-install-recommends "$@"
}
