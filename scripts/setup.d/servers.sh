# Programs that the drill's containers run: Java and Maven, Node and npm, PostgreSQL's server.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/kcfix

java_is_new() {
  have java || return 1
  local major
  major=$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ]
}

node_is_new() {
  have node || return 1
  [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge 18 ]
}

has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || [ -x /usr/bin/initdb ]; }

# The package would make a cluster and start it; the drill only wants the programs.
install_postgresql() {
  local conf=/etc/postgresql-common/createcluster.conf
  install "PostgreSQL's server" postgresql-common
  if [ -f "$conf" ] && ! grep -qE '^create_main_cluster' "$conf"; then
    as_root sh -c "echo 'create_main_cluster = false # kcfix set-up' >>$conf"
  fi
  install "PostgreSQL's server" postgresql
  if [ -f "$conf" ]; then
    as_root sed -i '/# kcfix set-up$/d' "$conf"
  fi
}

# The package would start a pooler of its own where there is systemd; the tests only want the program.
install_pooler() {
  install "the pooler of the tests" pgbouncer
  if have systemctl; then
    quietly as_root systemctl disable --now pgbouncer || true
  fi
}

has_pooler() { have pgbouncer || [ -x /usr/sbin/pgbouncer ]; }

# The package would start a Prometheus of its own; the tests only want the programs.
install_prometheus() {
  local policy=/usr/sbin/policy-rc.d made='' ok=''
  if ! as_root test -e "$policy"; then
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
    made=yes
  fi
  (install "the Prometheus of the tests" prometheus) && ok=yes
  if [ -n "$made" ]; then as_root rm -f "$policy"; fi
  if have systemctl; then
    as_root systemctl disable --now prometheus >/dev/null 2>&1 || true
  fi
  [ -n "$ok" ] || exit 4
}

# test_programs: what only the tests on real servers need.
test_programs() {
  { have prometheus && have promtool; } || install_prometheus
  has_pooler || install_pooler
  have ip || install "what makes a network for a second Docker Engine in the tests" iproute2
  have openssl || install "what makes certificates for the tests" openssl
  have chromium || install "the browser that shows the tests a report" "$(first_known chromium chromium-browser)"
  have tmux || install "the terminal at which tests sit" tmux
}

server_programs() {
  local missing=()
  java_is_new || missing+=("$(java_package)")
  have mvn || [ -d "$cache/kafka/3.5.2" ] || missing+=(maven)
  have node || missing+=(nodejs)
  have npm || missing+=(npm)
  if [ ${#missing[@]} -gt 0 ]; then
    install "part of what a drill runs on" "${missing[@]}"
  fi
  has_postgresql || install_postgresql
  java_is_new || fail "Java 17 or later is needed: $(java -version 2>&1 | head -n 1)"
  node_is_new || fail "Node 18 or later is needed, here is $(node --version 2>&1 || echo none): please install a newer one"
  has_postgresql || fail "PostgreSQL's server programs (initdb, postgres) are needed"
}

java_package() {
  lists_are_fresh || ! have apt-get || quietly as_root apt-get update -qq || true
  first_known openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless
}

# fetched VERSION...: the brokers' jars and the workers' modules (or the images of both) are in the user's cache.
fetched() {
  scripts/with-docker .venv/bin/python -W ignore scripts/setup.d/fetch.py "$@" || fail "could not fetch what a drill needs"
}
