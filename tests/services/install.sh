#!/usr/bin/env bash
# Installs what the tests need and the machine lacks. Debian 12 or later, Ubuntu 22.04 or later.
#   tests/services/install.sh [--check] [COMPONENT…]
# Components: tools rabbitmq redis postgres ldap promtool interop chromium; by default all.
# --check installs nothing and exits 1 when something is missing.
# As root, or with sudo for apt alone; else it says what to install. No daemon is left running.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=apt.sh
. "$here/apt.sh"
trap 'allow_daemons; rm -rf "$step_logs"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# has COMPONENT: whether it is there. A shell that cannot find sbin still counts what is in it.
has() {
  local PATH="$PATH:/usr/sbin:/sbin"
  case $1 in
    tools) command -v cc >/dev/null && command -v make >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null ;;
    # 18 is the oldest that the servers of tests/interop run on.
    node) node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null ;;
    rabbitmq) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v epmd >/dev/null ;;
    redis) command -v redis-server >/dev/null || command -v valkey-server >/dev/null ;;
    postgres) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
    ldap) command -v slapd >/dev/null && compgen -G '/usr/lib/ldap/memberof*.so*' >/dev/null ;;
    promtool) command -v promtool >/dev/null ;;
    chromium) browser >/dev/null ;;
  esac
}

# The first browser that runs. Ubuntu's chromium-browser is a stub that only names a snap; it does not count.
browser() {
  local name
  for name in chromium google-chrome chromium-browser; do
    "$name" --version >/dev/null 2>&1 && command -v "$name" && return 0
  done
  return 1
}

packages_of() {
  case $1 in
    tools) echo build-essential make python3 python3-venv ca-certificates procps ;;
    node) echo nodejs npm ;;
    rabbitmq) echo rabbitmq-server ;;
    redis) echo redis-server ;;
    postgres) echo postgresql ;;
    ldap) echo slapd ;;
    promtool) echo prometheus ;;
    chromium) echo chromium ;;
  esac
}

# What the interop servers and suites are made with.
expand() {
  local component
  for component in "$@"; do
    case $component in
      interop) echo tools; echo node ;;
      *) echo "$component" ;;
    esac
  done | sort -u
}

missing_of() {
  local component
  for component in $(expand "$@"); do
    has "$component" || echo "$component"
  done
}

declare -A hints=(
  [chromium]="; where chromium is a snap, install the google-chrome-stable package of Google's repository"
  [node]="; Node.js 18 or later is needed"
)

install_packages() {
  local component packages=()
  for component in "$@"; do
    read -ra words <<<"$(packages_of "$component")"
    packages+=("${words[@]}")
  done
  if ! can_install; then
    say "missing: $*; neither root, nor sudo, nor apt-get is at hand. Install these packages: ${packages[*]}"
    return 1
  fi
  forbid_daemons
  step "package lists" apt_update
  for component in "$@"; do
    read -ra words <<<"$(packages_of "$component")"
    step "$component (${words[*]})" apt_install "${words[@]}"
    has "$component" || { say "step failed: $component: installed, but still not usable${hints[$component]:-}"; return 1; }
  done
  allow_daemons
}

rust_is_there() {
  local tool
  for tool in "cargo" "cargo fmt" "cargo clippy"; do
    $tool --version >/dev/null 2>&1 || {
      say "missing: $tool; get Rust 1.95 or later from https://rustup.rs (rustup component add rustfmt clippy)"
      return 1
    }
  done
}

main() {
  local check='' components=() missing=()
  while [ $# -gt 0 ]; do
    case $1 in
      --check) check=1 ;;
      -h | --help) sed -n '2,6s/^# //p' "$0"; return 0 ;;
      tools | rabbitmq | redis | postgres | ldap | promtool | interop | chromium) components+=("$1") ;;
      *) say "unknown option or component: $1; see --help"; return 2 ;;
    esac
    shift
  done
  [ ${#components[@]} -gt 0 ] || components=(tools rabbitmq redis postgres ldap promtool interop chromium)

  mapfile -t missing < <(missing_of "${components[@]}")
  if [ -n "$check" ]; then
    [ ${#missing[@]} -eq 0 ] || { say "missing: ${missing[*]}"; return 1; }
    return 0
  fi
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
  case " ${components[*]} " in *" tools "*) rust_is_there ;; esac
  case " ${components[*]} " in *" interop "*) "$here/interop.sh" ;; esac
}

main "$@"
