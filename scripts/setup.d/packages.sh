# Packages of Debian and Ubuntu. Elsewhere the set-up says what is missing and stops.

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    fail "must be root, or have sudo, to run: $*"
  fi
}

have() { command -v "$1" >/dev/null 2>&1; }

known_to_apt() { apt-cache policy "$1" 2>/dev/null | grep '^ *Candidate:' | grep -qv '(none)'; }

lists_are_fresh() {
  local newest
  newest=$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mmin -1440 -print -quit 2>/dev/null || true)
  [ -n "$newest" ]
}

# install WHAT PACKAGE...: install packages that WHAT needs.
install() {
  local what=$1
  shift
  have apt-get || fail "$what is missing and this is neither Debian nor Ubuntu: please install $* (or what it is called here)"
  if ! lists_are_fresh; then
    say "reading the package lists"
    quietly as_root apt-get update -qq || fail "apt-get update failed"
  fi
  say "installing $*"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
    fail "apt-get could not install $*"
}

# first_known PACKAGE...: the first that apt knows.
first_known() {
  local name
  for name in "$@"; do
    if known_to_apt "$name"; then
      echo "$name"
      return
    fi
  done
  echo "$1"
}
