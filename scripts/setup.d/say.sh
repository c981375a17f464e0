# Words of the set-up: all on standard error, one line each.

say() { echo "setup: $*" >&2; }

fail() {
  say "$*"
  exit 4
}

# Run quietly; where it fails, show the end of what it said.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
